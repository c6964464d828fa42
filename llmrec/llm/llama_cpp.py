"""A local GGUF through llama.cpp: batched scoring over a shared prefix, and constrained generation."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from llmrec.errors import CallCancelledError, ContextLengthError, ModelError
from llmrec.llm import llama_bindings as bindings
from llmrec.llm.base import Capabilities, Completion, FinishReason, Message, Score, Usage
from llmrec.llm.cancellation import Cancellation
from llmrec.llm.chat_template import conversation_parts
from llmrec.llm.llama_batch import Row
from llmrec.llm.llama_build import uses_repacking
from llmrec.llm.llama_context import BATCH_LOGITS, LlamaContext
from llmrec.llm.llama_generation import AnswerText, SchemaGuide, choose, schema_tokenizer
from llmrec.llm.llama_scoring import (
    BatchLimits,
    PathGroup,
    TokenPath,
    log_normalizers,
    plan_groups,
    rows_of_texts,
)
from llmrec.llm.prefix_states import PrefixStates, shared_length
from llmrec.settings import load_settings

OPEN_ANSWERS_PARAMETERS = 3_000_000_000
PREFIX_MEGABYTES = 40
WAITING_SECONDS = 0.02


class LlamaCppModel:
    """A GGUF model in this process. One instance may be called from many threads; calls take turns.

    What was read is remembered: a prefix that begins like one of the last ones costs only what differs.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        name: str | None = None,
        context_length: int = 4096,
        threads: int | None = None,
        open_answers: bool | None = None,
        repack: bool | None = None,
        cache_dir: Path | None = None,
        prefix_megabytes: int = PREFIX_MEGABYTES,
        prefix_folder: Path | None = None,
    ) -> None:
        """Load the model.

        `context_length` is in tokens and cut to what the model was trained with; `threads` defaults to
        every usable core; `open_answers` overrides the guess by the number of parameters (3 billion and
        more are trusted with free structured answers). `repack` lets llama.cpp lay the weights out anew for
        this CPU; by default it does so where it was found to be safe, which is remembered in `cache_dir`
        (by default that of the settings). `prefix_megabytes` bounds the memory for what was read before,
        0 for none, and `prefix_folder` keeps it across processes, in files as private as the texts.
        Raises ModelError when llama.cpp is absent or the file cannot be loaded.
        """
        bindings.check_gguf(Path(path))
        if repack is None:
            repack = uses_repacking(cache_dir or load_settings().cache_dir)
        identity = f"gguf-{bindings.file_fingerprint(Path(path))}"
        self._context = context = LlamaContext(
            path,
            context_length=context_length,
            threads=threads,
            repack=repack,
            states=PrefixStates(
                most_bytes=prefix_megabytes * 1_000_000,
                folder=prefix_folder,
                fingerprint=f"{identity}-{bindings.library_version()}",
            ),
        )
        self._vocabulary = context.vocabulary
        self._template = bindings.metadata(context.llama_cpp, context.model, "tokenizer.chat_template")
        self._schema_tokenizer: Any = None
        self._turn = threading.RLock()
        self._cancellations: list[Cancellation] = []
        self._usage = Usage()
        self._name = name or f"llama-cpp:{Path(path).name}"
        self._fingerprint = f"{identity}-{context.length}"
        parameters = context.llama_cpp.llama_model_n_params(context.model)
        self._capabilities = Capabilities(
            score=True,
            generate=True,
            structured="json_schema",
            open_answers=parameters >= OPEN_ANSWERS_PARAMETERS if open_answers is None else open_answers,
            weights_known=True,
            context_length=context.length,
        )

    @property
    def name(self) -> str:
        """What the model is called in reports."""
        return self._name

    @property
    def fingerprint(self) -> str:
        """A hash of the model file, and the context length, which bounds an answer."""
        return self._fingerprint

    @property
    def capabilities(self) -> Capabilities:
        """What this model can do."""
        return self._capabilities

    @property
    def usage(self) -> Usage:
        """Everything this instance has cost so far."""
        return self._usage

    def close(self) -> None:
        """Free the model, its context and its cache."""
        with self._turn:
            self._context.close()

    def forget_prefixes(self) -> int:
        """Forget every text that was read: in memory, and all files of the prefix folder, of every model.

        Other processes that use the folder forget theirs before they read the next text. Waits for calls in
        other threads. Returns how many states and files went. Raises StoreError where a file cannot be
        removed.
        """
        with self._turn:
            return self._context.forget_prefixes()

    def tokenize(self, text: str) -> list[int]:
        """Cut a text into tokens as the middle of a prompt is; control tokens in it are plain characters."""
        with self._call(None):
            return self._tokens_of_continuation(text)

    def score(
        self, prefix: str, continuations: Sequence[str], *, cancellation: Cancellation | None = None
    ) -> list[Score]:
        """Score each continuation of the prefix, which is evaluated once for all of them.

        What continuations share at their beginning is evaluated once too. Control tokens in the texts are
        read as plain characters. See LanguageModel.score.
        """
        return self.score_prefixes([prefix], continuations, cancellation=cancellation)[0]

    def score_prefixes(
        self,
        prefixes: Sequence[str],
        continuations: Sequence[str],
        *,
        cancellation: Cancellation | None = None,
    ) -> list[list[Score]]:
        """Score the continuations after each prefix: one list a prefix, in their order.

        Prefixes that differ only towards their end are read in one pass, the others in turn: a batch in
        which tokens attend to different long texts is slower than two. Raises as `score` does.
        """
        with self._call(cancellation):
            heads = [self._tokens_of_prefix(prefix) for prefix in prefixes]
            tails = [tuple(self._tokens_of_continuation(text)) for text in continuations]
            longest = max(map(len, tails), default=0)
            if tails and heads:
                self._check_length(max(map(len, heads)) + longest)
            if not longest or not heads:
                return [[Score(logprob=0.0, tokens=0) for _ in tails] for _ in heads]
            before = self._context.rows_evaluated
            distinct = list(dict.fromkeys(tail for tail in tails if tail))
            totals: dict[int, list[float]] = {}
            for trunk, members in self._families(heads, distinct):
                leads = [tuple(heads[member][len(trunk) :]) for member in members]
                totals.update(zip(members, self._score_family(trunk, leads, distinct), strict=True))
            self._count(prompt_tokens=self._context.rows_evaluated - before, calls=1)
            places = {tail: place for place, tail in enumerate(distinct)}
            return [
                [
                    Score(logprob=min(totals[head][places[tail]], 0.0) if tail else 0.0, tokens=len(tail))
                    for tail in tails
                ]
                for head in range(len(heads))
            ]

    def generate(
        self,
        messages: Sequence[Message],
        *,
        schema: dict[str, Any] | None = None,
        max_tokens: int = 512,
        temperature: float = 0.0,
        seed: int = 0,
        stop: Sequence[str] = (),
        on_text: Callable[[str], object] | None = None,
        cancellation: Cancellation | None = None,
    ) -> Completion:
        """Answer a conversation. With a schema, no token outside it can be chosen. See LanguageModel."""
        structured = "json_schema" if schema is not None else "none"
        answer = AnswerText(stop, on_text)
        spent: dict[str, int] = {}
        try:
            with self._call(cancellation):
                guide = self._guide(schema) if schema is not None else None
                prompt = self._tokens_of_conversation(messages)
                self._check_length(len(prompt) + 1)
                spent["calls"] = 1
                try:
                    reason = self._write(
                        answer, prompt, guide, max_tokens, temperature, seed, cancellation, spent
                    )
                finally:
                    self._count(**spent)
        except CallCancelledError:
            # What on_text called may have been cancelled by another one.
            if cancellation is None or not cancellation.cancelled:
                raise
            reason = "cancelled"
        usage = Usage(**spent)
        return Completion(text=answer.text, finish_reason=reason, structured=structured, usage=usage)

    def _write(
        self,
        answer: AnswerText,
        prompt: list[int],
        guide: SchemaGuide | None,
        max_tokens: int,
        temperature: float,
        seed: int,
        cancellation: Cancellation | None,
        spent: dict[str, int],
    ) -> FinishReason:
        """Choose token by token; what that costs, without what `on_text` asks for, is noted in `spent`."""
        generator = np.random.default_rng(seed % 2**64)
        tokens = list(prompt)
        end = min(len(prompt) + max_tokens, self._context.length)
        while len(tokens) < end and not (guide is not None and guide.is_finished):
            before = self._context.rows_evaluated
            logits = self._context.evaluate(tokens)
            if len(tokens) == len(prompt):
                spent["prompt_tokens"] = self._context.rows_evaluated - before
            if cancellation is not None:
                cancellation.check()
            if guide is not None:
                guide.restrict(logits)
            token = choose(logits, temperature, generator)
            if self._vocabulary.ends(token) or logits[token] == -np.inf:
                answer.finish()
                return "stop"
            for taken in [token] if guide is None else guide.accept(token, most=end - len(tokens)):
                tokens.append(taken)
                spent["completion_tokens"] = len(tokens) - len(prompt)
                # on_text may do anything with this model, even close it.
                self._context.check_open()
                if answer.add(self._vocabulary.bytes_of(taken)):
                    return "stop"
        answer.finish()
        # An answer that could still go on, such as a number, may have been cut.
        return "stop" if guide is not None and guide.is_finished else "length"

    def _guide(self, schema: dict[str, Any]) -> SchemaGuide:
        if self._schema_tokenizer is None:
            self._schema_tokenizer = schema_tokenizer(self._vocabulary)
        return SchemaGuide(self._schema_tokenizer, schema)

    @contextlib.contextmanager
    def _call(self, cancellation: Cancellation | None) -> Iterator[None]:
        """Take a turn with the model, unless cancelled first; inside, cancelling ends evaluations.

        Raises CallCancelledError, and ModelError when the model was closed.
        """
        if cancellation is None:
            self._turn.acquire()
        else:
            cancellation.check()
            while not self._turn.acquire(timeout=WAITING_SECONDS):
                cancellation.check()
        try:
            self._context.check_open()
            if cancellation is None:
                yield
                return
            self._cancellations.append(cancellation)
            try:
                with cancellation.watched_by(self._context.abort):
                    yield
            finally:
                self._cancellations.pop()
                # A call around this one, whose on_text made it, may have been cancelled meanwhile.
                if not any(outer.cancelled for outer in self._cancellations):
                    self._context.allow()
        finally:
            self._turn.release()

    def _families(
        self, heads: list[list[int]], tails: list[tuple[int, ...]]
    ) -> Iterator[tuple[list[int], list[int]]]:
        """Split prefixes into those that are read in one pass: what they share, and their places."""
        # With its continuations, a prefix must leave room in a batch to be worth going along.
        spare = BATCH_LOGITS - rows_of_texts(tails, shares_rows=self._context.shares_rows)
        trunk: list[int] = []
        family: list[int] = []
        for place in sorted(range(len(heads)), key=lambda place: heads[place]):
            head = heads[place]
            common = trunk[: shared_length(trunk, head)]
            longest = max(len(heads[member]) for member in [*family, place])
            if family and (not common or longest - len(common) > spare):
                yield trunk, family
                family, common = [], head
            trunk = common if family else head
            family.append(place)
        if family:
            yield trunk, family

    def _score_family(
        self, trunk: list[int], leads: list[tuple[int, ...]], tails: list[tuple[int, ...]]
    ) -> list[list[float]]:
        """Sum the log-probabilities of the tails after each lead, where all leads go on from one trunk."""
        first = self._context.evaluate(trunk)
        paths = [TokenPath(lead + tail, lead=len(lead)) for lead in leads for tail in tails]
        totals = np.zeros(len(paths), np.float64)
        if not all(leads):
            first -= log_normalizers(first[None])[0]
            for place, path in enumerate(paths):
                totals[place] += first[path.tokens[0]] if not path.lead else 0.0
        room = self._context.length - len(trunk)
        limits = BatchLimits(
            rows=min(self._context.batch_tokens, room), logits=BATCH_LOGITS, branches=self._context.branches
        )
        for group in plan_groups(paths, limits, shares_rows=self._context.shares_rows):
            self._score_group(len(trunk), group, totals)
        if np.isnan(totals).any():
            raise self._context.damaged()
        return totals.reshape(len(leads), len(tails)).tolist()

    def _score_group(self, start: int, group: PathGroup, totals: Any) -> None:
        rows: list[Row] = [
            (token, start + depth, tuple(branches), wanted)
            for token, depth, branches, wanted in zip(
                group.tokens, group.depths, group.branches, group.wanted, strict=True
            )
        ]
        reads = np.array(group.reads, np.int64).reshape(-1, 3)
        with self._context.branched(len(group.paths)):
            for begin in range(0, len(rows), BATCH_LOGITS):
                part = rows[begin : begin + BATCH_LOGITS]
                logits = self._context.decode(part)
                outputs = np.cumsum([row[3] for row in part]) - 1
                chosen = reads[(reads[:, 0] >= begin) & (reads[:, 0] < begin + len(part))]
                lines = outputs[chosen[:, 0] - begin]
                values = logits[lines, chosen[:, 1]] - log_normalizers(logits)[lines]
                np.add.at(totals, chosen[:, 2], values)

    def _tokens_of_prefix(self, prefix: str) -> list[int]:
        tokens = self._vocabulary.tokenize(prefix)
        if self._vocabulary.adds_first or (not tokens and self._vocabulary.first >= 0):
            tokens.insert(0, self._vocabulary.first)
        if not tokens:
            raise ModelError("this model has no token to begin with: give a prefix that is not empty")
        return tokens

    def _tokens_of_continuation(self, text: str) -> list[int]:
        return self._vocabulary.tokenize(text, continued=True)

    def _tokens_of_conversation(self, messages: Sequence[Message]) -> list[int]:
        vocabulary = self._vocabulary
        tokens: list[int] = []
        for text, special in conversation_parts(
            self._template, messages, first_text=vocabulary.first_text, last_text=vocabulary.last_text
        ):
            tokens += vocabulary.tokenize(text, special=special, continued=bool(tokens))
        # Some templates write the first token themselves, and others leave it to the vocabulary.
        if vocabulary.adds_first and tokens[:1] != [vocabulary.first]:
            tokens.insert(0, vocabulary.first)
        return tokens

    def _check_length(self, tokens: int) -> None:
        limit = self._context.length
        if tokens > limit:
            raise ContextLengthError(
                f"a text of {tokens} tokens does not fit the context of {limit}: shorten it, "
                "or raise LLMREC_CONTEXT_LENGTH as far as the model allows",
                tokens=tokens,
                limit=limit,
            )

    def _count(self, **amounts: int) -> None:
        self._usage += Usage(**amounts)
