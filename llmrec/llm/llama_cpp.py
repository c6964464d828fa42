"""A local GGUF through llama.cpp: batched scoring over a shared prefix, and constrained generation."""

from __future__ import annotations

import codecs
import json
import os
import threading
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from llmrec.errors import ContextLengthError, ModelError
from llmrec.llm import llama_bindings as bindings
from llmrec.llm.base import Capabilities, Completion, FinishReason, Message, Score, Usage
from llmrec.llm.chat_template import conversation_parts

BATCH_TOKENS = 512
BATCH_LOGITS = 192
SEQUENCES = 64
OPEN_ANSWERS_PARAMETERS = 3_000_000_000
# Below this the likeliest token is all but certain, and dividing by less would overflow.
LEAST_TEMPERATURE = 1e-3
# Where any white space is allowed, a small model can write nothing else until its tokens are spent.
JSON_WHITE_SPACE = r"[ \n\t]{1,64}"

FloatMatrix = npt.NDArray[np.float32]


class LlamaCppModel:
    """A GGUF model in this process. One instance may be called from many threads; calls take turns.

    The key-value cache keeps the last prefix: a call whose prefix begins alike evaluates only what differs.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        name: str | None = None,
        context_length: int = 4096,
        threads: int | None = None,
        open_answers: bool | None = None,
    ) -> None:
        """Load the model.

        `context_length` is in tokens and cut to what the model was trained with; `threads` defaults to
        every usable core; `open_answers` overrides the guess by the number of parameters (3 billion and
        more are trusted with free structured answers).
        Raises ModelError when llama.cpp is absent or the file cannot be loaded.
        """
        self._path = Path(path)
        self._llama_cpp = llama_cpp = bindings.import_llama_cpp()
        self._log = bindings.log_collector(llama_cpp)
        self._model = bindings.load_model(llama_cpp, self._path)
        trained = llama_cpp.llama_model_n_ctx_train(self._model)
        self._context_length = min(context_length, trained) if trained > 0 else context_length
        try:
            self._context = bindings.open_context(
                llama_cpp,
                self._model,
                context_length=self._context_length,
                batch=BATCH_TOKENS,
                sequences=SEQUENCES,
                threads=threads or bindings.usable_threads(),
            )
        except ModelError:
            llama_cpp.llama_model_free(self._model)
            raise
        self._batch = bindings.Batch(llama_cpp, BATCH_TOKENS)
        self._release = weakref.finalize(self, _release, llama_cpp, self._batch, self._context, self._model)
        self._vocabulary = bindings.Vocabulary(llama_cpp, self._model)
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._template = bindings.metadata(llama_cpp, self._model, "tokenizer.chat_template")
        self._cached: list[int] = []
        self._grammar_tokenizer: Any = None
        self._lock = threading.RLock()
        self._usage = Usage()
        self._name = name or f"llama-cpp:{self._path.name}"
        self._fingerprint = f"gguf-{bindings.file_fingerprint(self._path)}-{self._context_length}"
        parameters = llama_cpp.llama_model_n_params(self._model)
        self._capabilities = Capabilities(
            score=True,
            generate=True,
            structured="json_schema",
            open_answers=parameters >= OPEN_ANSWERS_PARAMETERS if open_answers is None else open_answers,
            context_length=self._context_length,
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
        with self._lock:
            self._release()

    def score(self, prefix: str, continuations: Sequence[str]) -> list[Score]:
        """Score each continuation of the prefix, which is evaluated once for all of them.

        Control tokens in the texts are read as plain characters. See LanguageModel.score.
        """
        with self._lock:
            self._check_open()
            head = self._tokens_of_prefix(prefix)
            tails = [self._vocabulary.tokenize(text, continued=True) for text in continuations]
            longest = max((len(tail) for tail in tails), default=0)
            self._check_length(len(head) + longest)
            if not longest:
                return [Score(logprob=0.0, tokens=0) for _ in tails]
            first = self._evaluate_prefix(head)
            totals = [float(first[tail[0]]) if tail else 0.0 for tail in tails]
            for group in self._groups(tails, self._context_length - len(head)):
                self._score_group(len(head), tails, group, totals)
            self._count(prompt_tokens=sum(max(len(tail) - 1, 0) for tail in tails), calls=1)
            return [
                Score(logprob=min(total, 0.0), tokens=len(tail))
                for total, tail in zip(totals, tails, strict=True)
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
    ) -> Completion:
        """Answer a conversation. With a schema, no token outside it can be chosen. See LanguageModel."""
        with self._lock:
            self._check_open()
            matcher = self._matcher(schema) if schema is not None else None
            prompt = self._tokens_of_conversation(messages)
            self._check_length(len(prompt) + 1)
            spent = self._usage
            text, finish_reason = self._collect(prompt, matcher, max_tokens, temperature, seed, stop)
            self._count(calls=1)
            return Completion(
                text=text,
                finish_reason=finish_reason,
                structured="json_schema" if matcher is not None else "none",
                usage=self._usage - spent,
            )

    def _collect(
        self,
        prompt: list[int],
        matcher: Any,
        max_tokens: int,
        temperature: float,
        seed: int,
        stop: Sequence[str],
    ) -> tuple[str, FinishReason]:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        text = ""
        room = min(max_tokens, self._context_length - len(prompt))
        for token in self._sample(prompt, matcher, room, temperature, seed):
            if token is None:
                return text + decoder.decode(b"", final=True), "stop"
            text += decoder.decode(self._vocabulary.bytes_of(token))
            cut = min((at for at in (text.find(word) for word in stop if word) if at >= 0), default=-1)
            if cut >= 0:
                return text[:cut], "stop"
        return text + decoder.decode(b"", final=True), "length"

    def _sample(
        self, prompt: list[int], matcher: Any, room: int, temperature: float, seed: int
    ) -> Iterator[int | None]:
        """Yield the chosen tokens; None when the model or the grammar ends the answer."""
        generator = np.random.default_rng(seed % 2**64)
        logprobs = self._evaluate_prefix(prompt)
        for position in range(len(prompt), len(prompt) + room):
            if matcher is not None:
                if matcher.is_stopped():
                    yield None
                    return
                allowed = np.frombuffer(matcher.compute_logit_bias(), dtype=np.uint8)
                logprobs[: len(allowed)][allowed == 0] = -np.inf
                logprobs[len(allowed) :] = -np.inf
            token = _choose(logprobs, temperature, generator)
            if self._vocabulary.ends(token):
                yield None
                return
            if matcher is not None and not matcher.consume_token(token):
                raise ModelError(f"the grammar refused its own token: {matcher.get_error()}")
            self._count(completion_tokens=1)
            yield token
            if position + 1 < len(prompt) + room:
                logprobs = self._decode([(token, position, 0, True)])[0]
                self._cached.append(token)
        # An answer that could still go on, such as a number, may have been cut.
        if matcher is not None and matcher.is_stopped():
            yield None

    def _matcher(self, schema: dict[str, Any]) -> Any:
        try:
            import llguidance
            import llguidance.llamacpp
        except ImportError as error:
            raise ModelError(
                "answers held to a schema need llguidance: run pip install 'llmrec[local]'"
            ) from error
        if self._grammar_tokenizer is None:
            self._grammar_tokenizer = llguidance.llamacpp.lltokenizer_from_vocab(self._vocabulary.raw)
        try:
            grammar = llguidance.LLMatcher.grammar_from_json_schema(
                json.dumps(schema), defaults={"whitespace_pattern": JSON_WHITE_SPACE}
            )
        except (TypeError, ValueError) as error:
            raise ModelError(f"the schema cannot be held to: {error}") from error
        matcher = llguidance.LLMatcher(self._grammar_tokenizer, grammar)
        if matcher.is_error():
            raise ModelError(f"the schema cannot be held to: {' '.join(matcher.get_error().split())}")
        return matcher

    def _tokens_of_prefix(self, prefix: str) -> list[int]:
        tokens = self._vocabulary.tokenize(prefix)
        if self._vocabulary.adds_first or (not tokens and self._vocabulary.first >= 0):
            tokens.insert(0, self._vocabulary.first)
        if not tokens:
            raise ModelError("this model has no token to begin with: give a prefix that is not empty")
        return tokens

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

    def _evaluate_prefix(self, tokens: list[int]) -> npt.NDArray[np.float32]:
        """Bring sequence 0 to these tokens and return the log-probabilities of what comes next."""
        kept = 0
        for ours, theirs in zip(self._cached, tokens[:-1], strict=False):
            if ours != theirs:
                break
            kept += 1
        # Models with sliding-window or recurrent layers refuse to forget only a part.
        if not self._llama_cpp.llama_memory_seq_rm(self._memory, 0, kept, -1):
            self._llama_cpp.llama_memory_clear(self._memory, True)
            kept = 0
        self._cached = tokens[:kept]
        rows = [(token, at, 0, at == len(tokens) - 1) for at, token in enumerate(tokens)][kept:]
        logprobs = self._decode(rows)
        self._cached = list(tokens)
        self._count(prompt_tokens=len(rows))
        last: npt.NDArray[np.float32] = logprobs[-1]
        return last

    def _groups(self, tails: list[list[int]], room: int) -> Iterator[list[int]]:
        """Pack continuations into groups that fit the free sequences and the free cells of the cache."""
        group: list[int] = []
        cells = 0
        for index, tail in enumerate(tails):
            needed = max(len(tail) - 1, 0)
            if not needed:
                continue
            if group and (len(group) == SEQUENCES - 1 or cells + needed > room):
                yield group
                group, cells = [], 0
            group.append(index)
            cells += needed
        if group:
            yield group

    def _score_group(self, start: int, tails: list[list[int]], group: list[int], totals: list[float]) -> None:
        memory, llama_cpp = self._memory, self._llama_cpp
        rows: list[tuple[int, int, int, bool]] = []
        wanted: list[tuple[int, int]] = []
        for sequence, index in enumerate(group, start=1):
            llama_cpp.llama_memory_seq_cp(memory, 0, sequence, -1, -1)
            tail = tails[index]
            for offset, token in enumerate(tail[:-1]):
                rows.append((token, start + offset, sequence, True))
                wanted.append((index, tail[offset + 1]))
        try:
            for begin in range(0, len(rows), BATCH_LOGITS):
                logprobs = self._decode(rows[begin : begin + BATCH_LOGITS])
                for row, (index, token) in zip(logprobs, wanted[begin : begin + BATCH_LOGITS], strict=True):
                    totals[index] += float(row[token])
        finally:
            for sequence in range(1, len(group) + 1):
                llama_cpp.llama_memory_seq_rm(memory, sequence, -1, -1)

    def _decode(self, rows: list[tuple[int, int, int, bool]]) -> FloatMatrix:
        """Evaluate the rows and return log-probabilities, one line for each row that wanted them."""
        results: list[FloatMatrix] = []
        for begin in range(0, len(rows), BATCH_TOKENS):
            part = rows[begin : begin + BATCH_TOKENS]
            self._batch.fill(part)
            code = self._llama_cpp.llama_decode(self._context, self._batch.raw)
            if code != 0:
                self._forget()
                raise ModelError(
                    f"llama.cpp could not evaluate {len(part)} tokens (code {code}"
                    f"{'; ' + reason if (reason := self._log.take_errors()) else ''}): "
                    "shorten the texts or raise the context length (LLMREC_CONTEXT_LENGTH)"
                )
            outputs = sum(wanted for *_, wanted in part)
            if outputs:
                pointer = self._llama_cpp.llama_get_logits(self._context)
                logits = np.ctypeslib.as_array(pointer, shape=(outputs, self._vocabulary.size))
                if np.isnan(logits).any():
                    self._forget()
                    raise ModelError(
                        f"the model {self._name} computes no numbers: its file is damaged, or this llama.cpp "
                        "does not compute it rightly; fetch it again, or update llama-cpp-python"
                    )
                results.append(_log_softmax(logits))
        return results[0] if len(results) == 1 else np.concatenate(results)

    def _forget(self) -> None:
        self._llama_cpp.llama_memory_clear(self._memory, True)
        self._cached = []

    def _check_open(self) -> None:
        if not self._release.alive:
            raise ModelError(f"the model {self._name} was closed: open it again")

    def _check_length(self, tokens: int) -> None:
        if tokens > self._context_length:
            raise ContextLengthError(
                f"a text of {tokens} tokens does not fit the context of {self._context_length}: shorten it, "
                "or raise LLMREC_CONTEXT_LENGTH as far as the model allows",
                tokens=tokens,
                limit=self._context_length,
            )

    def _count(self, **amounts: int) -> None:
        self._usage += Usage(**amounts)


def _release(llama_cpp: Any, batch: bindings.Batch, context: Any, model: Any) -> None:
    batch.free()
    llama_cpp.llama_free(context)
    llama_cpp.llama_model_free(model)


def _log_softmax(logits: FloatMatrix) -> FloatMatrix:
    """Normalise in blocks that stay in the CPU's cache, and copy out of llama.cpp's buffer."""
    result = np.empty_like(logits)
    scratch = np.empty(logits.shape[1], dtype=np.float32)
    for source, target in zip(logits, result, strict=True):
        np.subtract(source, source.max(), out=target)
        np.exp(target, out=scratch)
        target -= np.log(scratch.sum(dtype=np.float32))
    return result


def _choose(logprobs: npt.NDArray[np.float32], temperature: float, generator: np.random.Generator) -> int:
    if temperature < LEAST_TEMPERATURE:
        return int(logprobs.argmax())
    # Gumbel's trick draws from the softmax without building it.
    noise = generator.gumbel(size=logprobs.shape).astype(np.float32)
    return int((logprobs / np.float32(temperature) + noise).argmax())
