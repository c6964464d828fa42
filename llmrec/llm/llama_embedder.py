"""A local GGUF through llama.cpp as an embedder: models made to embed, and language models at a pinch."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from llmrec.errors import InputError, ModelError
from llmrec.llm import llama_bindings as bindings
from llmrec.llm.embedder import FloatMatrix, checked_texts, unit_rows
from llmrec.llm.llama_batch import Batch
from llmrec.llm.llama_build import uses_repacking
from llmrec.settings import load_settings

logger = logging.getLogger(__name__)

Pooling = Literal["mean", "cls", "last"]

# Where short texts gain no more from each other's company, and attention among strangers begins to cost.
BATCH_TOKENS = 512
# A language model also computes, unasked, a number for each word of its vocabulary after each token, and
# keeps them twice: 300 MB here for a vocabulary of 150,000.
PIECE_TOKENS = 256
SEQUENCES = 64
# A model with recurrent layers reserves its whole state, up to 50 MB, for each sequence.
RECURRENT_SEQUENCES = 4
LEAST_CONTEXT = 8
NO_POOLING = 0
POOLING_NUMBERS: dict[Pooling, int] = {"mean": 1, "cls": 2, "last": 3}
POOLING_OF_RERANKERS = 4


class LlamaCppEmbedder:
    """A GGUF model in this process as an embedder. One instance may be called from many threads.

    Models made to embed (BERT and its kin, and language models trained on to embed) tell in their file how
    one vector is made of a text's tokens, the pooling. For a model that tells nothing, such as a plain
    language model, it is the mean of all tokens: its vectors know less than those of a model made to embed.
    Texts are read as they are: where a model wants a word such as `query: ` before them, write it there.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        name: str | None = None,
        context_length: int = 2048,
        threads: int | None = None,
        pooling: Pooling | None = None,
        languages: Sequence[str] = (),
        repack: bool | None = None,
        cache_dir: Path | None = None,
    ) -> None:
        """Load the model.

        `context_length` is in tokens and cut to what the model was trained with: a longer text is read up
        to there, which is logged as a warning the first time. `threads` defaults to every usable core.
        `pooling` overrides what the file tells: the mean of the tokens, the first one (`cls`) or the last.
        `languages` is what the model was made for, where you know it. `repack` and `cache_dir` are those of
        LlamaCppModel.
        Raises InputError for an argument out of range, ModelError when llama.cpp is absent, or the file
        cannot be loaded or holds no embedder.
        """
        _check_arguments(context_length, pooling)
        self._path = Path(path)
        self._name = name or f"llama-cpp:{self._path.name}"
        self._languages = tuple(languages)
        bindings.check_gguf(self._path)
        if repack is None:
            repack = uses_repacking(cache_dir or load_settings().cache_dir)
        self._llama_cpp = llama_cpp = bindings.import_llama_cpp()
        self._log = bindings.log_collector(llama_cpp)
        self._model = bindings.load_model(llama_cpp, self._path, embeds=True, repack=repack)
        try:
            self._pooling = pooling or _told_pooling(llama_cpp, self._model, self._path)
            trained = llama_cpp.llama_model_n_ctx_train(self._model)
            self._context_length = min(context_length, trained) if trained > 0 else context_length
            self._capacity = max(self._context_length, BATCH_TOKENS)
            recurrent = llama_cpp.llama_model_is_recurrent(self._model)
            hybrid = llama_cpp.llama_model_is_hybrid(self._model)
            self._sequences = RECURRENT_SEQUENCES if recurrent or hybrid else SEQUENCES
            self._reads_ahead = _told(llama_cpp, self._model, "attention.causal") == "false"
            self._context = self._open_context(threads or bindings.usable_threads())
            # Models that read in both directions keep no memory of what they read.
            self._memory = llama_cpp.llama_get_memory(self._context)
            if not self._memory and not self._reads_ahead:
                llama_cpp.llama_free(self._context)
                self._reads_ahead = True
                self._context = self._open_context(threads or bindings.usable_threads())
        except ModelError:
            llama_cpp.llama_model_free(self._model)
            raise
        self._batch = Batch(llama_cpp, self._capacity)
        self._release = weakref.finalize(self, _release, llama_cpp, self._context, self._model)
        # At the end of the process the system frees them: a thread may still be at work.
        self._release.atexit = False
        self._vocabulary = bindings.Vocabulary(llama_cpp, self._model)
        self._before, self._after = self._frame()
        self._unknown = _unknown_token(llama_cpp, self._model)
        # Some models end in a layer that makes their vectors longer or shorter; older bindings know of none.
        width = getattr(llama_cpp, "llama_model_n_embd_out", llama_cpp.llama_model_n_embd)
        self._dimensions: int = width(self._model)
        self._fingerprint = (
            f"gguf-{bindings.file_fingerprint(self._path)}-{self._pooling}-{self._context_length}"
        )
        self._has_warned = False
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """What the embedder is called in reports."""
        return self._name

    @property
    def fingerprint(self) -> str:
        """A hash of the model file, the pooling, and the context length, which cuts long texts."""
        return self._fingerprint

    @property
    def dimensions(self) -> int:
        """The length of a vector."""
        return self._dimensions

    @property
    def languages(self) -> tuple[str, ...]:
        """What was said when it was opened."""
        return self._languages

    @property
    def pooling(self) -> Pooling:
        """How one vector is made of a text's tokens."""
        return self._pooling

    @property
    def context_length(self) -> int:
        """The longest text that is read whole, in tokens."""
        return self._context_length

    def embed(self, texts: Sequence[str]) -> FloatMatrix:
        """Embed each text on its own. See Embedder.embed.

        Control tokens in the texts are read as plain characters. A text of which the model knows no piece
        is a row of zeros. The company of other texts moves a vector by rounding alone: the cosine of the
        same text in two batches is above 0.9999 for weights of 16 bits, and above 0.999 for 8 and 4.
        """
        texts = checked_texts(texts)
        vectors = np.zeros((len(texts), self._dimensions), dtype=np.float32)
        with self._lock:
            if not self._release.alive:
                raise ModelError(f"the embedder {self._name} was closed: open it again")
            tokens = [self._tokens(text) for text in texts]
            for group in self._groups(tokens):
                vectors[group] = self._evaluate([tokens[row] for row in group])
        return unit_rows(vectors)

    def close(self) -> None:
        """Free the model and its context."""
        with self._lock:
            self._release()

    def _open_context(self, threads: int) -> Any:
        # Where each token may look at those behind it, a text must be evaluated in one piece, and llama.cpp
        # pools it. Elsewhere it need not be, which bounds the memory, and the pooling is done here.
        return bindings.open_context(
            self._llama_cpp,
            self._model,
            context_length=self._capacity,
            batch=self._capacity if self._reads_ahead else PIECE_TOKENS,
            sequences=self._sequences,
            threads=threads,
            pooling=POOLING_NUMBERS[self._pooling] if self._reads_ahead else NO_POOLING,
        )

    def _tokens(self, text: str) -> list[int]:
        """The tokens of a text with those its model wants around it; none when nothing in it is known."""
        if not text.strip():
            return []
        tokens = self._vocabulary.tokenize_whole(text)
        inner = tokens[len(self._before) : len(tokens) - len(self._after)]
        if all(token == self._unknown for token in inner):
            return []
        if len(tokens) <= self._context_length:
            return tokens
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "a text of %d tokens is longer than the %d that %s reads of a text, and is read up to there; "
                "so will be every further one: embed shorter pieces, or raise the context length "
                "(LLMREC_CONTEXT_LENGTH) where the model allows more",
                len(tokens),
                self._context_length,
                self._name,
            )
        room = max(self._context_length - len(self._before) - len(self._after), 0)
        return [*self._before, *inner[:room], *self._after][: self._context_length]

    def _frame(self) -> tuple[list[int], list[int]]:
        """The tokens that the model's tokenizer puts before and after every text."""
        bare, whole = self._vocabulary.tokenize("a"), self._vocabulary.tokenize_whole("a")
        for begin in range(len(whole) - len(bare) + 1):
            if whole[begin : begin + len(bare)] == bare:
                return whole[:begin], whole[begin + len(bare) :]
        return [], []

    def _groups(self, tokens: Sequence[Sequence[int]]) -> Iterator[list[int]]:
        """Pack texts into batches; those of like length together, and one too long for company alone."""
        group: list[int] = []
        filled = 0
        for row in sorted(range(len(tokens)), key=lambda row: len(tokens[row])):
            length = len(tokens[row])
            if not length:
                continue
            if group and (len(group) == self._sequences or filled + length > BATCH_TOKENS):
                yield group
                group, filled = [], 0
            group.append(row)
            filled += length
        if group:
            yield group

    def _evaluate(self, texts: Sequence[Sequence[int]]) -> FloatMatrix:
        """The pooled vector of each of a few texts, which fit the context together; of any length."""
        if self._memory:
            self._llama_cpp.llama_memory_clear(self._memory, False)
        vectors = self._pooled_there(texts) if self._reads_ahead else self._pooled_here(texts)
        if np.isfinite(vectors).all():
            return vectors
        if self._memory:
            # What is no number would spread to the next texts from cells that they only pass over.
            self._llama_cpp.llama_memory_clear(self._memory, True)
        raise ModelError(
            f"the model {self._name} computes no numbers: its file is damaged, or this llama.cpp does not "
            "compute it rightly; fetch it again, or update llama-cpp-python"
        )

    def _pooled_there(self, texts: Sequence[Sequence[int]]) -> FloatMatrix:
        self._run(_rows(texts))
        vectors = np.zeros((len(texts), self._dimensions), dtype=np.float32)
        for sequence, vector in enumerate(vectors):
            vector[:] = self._read(self._llama_cpp.llama_get_embeddings_seq(self._context, sequence), 1)[0]
        return vectors

    def _pooled_here(self, texts: Sequence[Sequence[int]]) -> FloatMatrix:
        rows = _rows(texts)
        vectors = np.zeros((len(texts), self._dimensions), dtype=np.float32)
        for begin in range(0, len(rows), PIECE_TOKENS):
            part = rows[begin : begin + PIECE_TOKENS]
            self._run(part)
            found = self._read(self._llama_cpp.llama_get_embeddings(self._context), len(part))
            for vector, (_, position, sequence) in zip(found, part, strict=True):
                if self._pooling == "mean" or position == (
                    0 if self._pooling == "cls" else len(texts[sequence]) - 1
                ):
                    vectors[sequence] += vector
        return vectors

    def _run(self, rows: list[tuple[int, int, int]]) -> None:
        self._batch.fill([(*row, True) for row in rows])
        run = self._llama_cpp.llama_decode if self._memory else self._llama_cpp.llama_encode
        code = run(self._context, self._batch.raw)
        if code != 0:
            raise ModelError(
                f"llama.cpp could not embed {len(rows)} tokens (code {code}"
                f"{'; ' + reason if (reason := self._log.take_errors()) else ''}): "
                "shorten the texts or lower the context length (LLMREC_CONTEXT_LENGTH)"
            )

    def _read(self, pointer: Any, count: int) -> FloatMatrix:
        if not pointer:
            raise ModelError(f"the model {self._name} gives no vectors: give the GGUF of an embedding model")
        return np.ctypeslib.as_array(pointer, shape=(count, self._dimensions))


def _rows(texts: Sequence[Sequence[int]]) -> list[tuple[int, int, int]]:
    """Token, position and sequence for every token of the texts."""
    return [
        (token, position, sequence)
        for sequence, tokens in enumerate(texts)
        for position, token in enumerate(tokens)
    ]


def _told(llama_cpp: Any, model: Any, key: str) -> str | None:
    """What the file tells of its architecture under a key."""
    architecture = bindings.metadata(llama_cpp, model, "general.architecture")
    return bindings.metadata(llama_cpp, model, f"{architecture}.{key}")


def _told_pooling(llama_cpp: Any, model: Any, path: Path) -> Pooling:
    """The pooling that the file names; the mean where it names none."""
    told = _told(llama_cpp, model, "pooling_type")
    if told == str(POOLING_OF_RERANKERS):
        raise ModelError(
            f"{path} holds a reranker, which compares two texts and has no vector for one: "
            "give the GGUF of an embedding model"
        )
    return next((pooling for pooling, number in POOLING_NUMBERS.items() if str(number) == told), "mean")


def _check_arguments(context_length: int, pooling: str | None) -> None:
    if context_length < LEAST_CONTEXT:
        raise InputError(f"a context length of {context_length} is too short: give at least {LEAST_CONTEXT}")
    if pooling is not None and pooling not in POOLING_NUMBERS:
        raise InputError(
            f"there is no pooling {pooling!r} that gives vectors: choose one of {', '.join(POOLING_NUMBERS)}"
        )


def _unknown_token(llama_cpp: Any, model: Any) -> int:
    """The token that stands for what the vocabulary lacks; negative when there is none."""
    told = bindings.metadata(llama_cpp, model, "tokenizer.ggml.unknown_token_id")
    return int(told) if told is not None and told.isdigit() else -1


def _release(llama_cpp: Any, context: Any, model: Any) -> None:
    llama_cpp.llama_free(context)
    llama_cpp.llama_model_free(model)
