"""What llama.cpp itself says of a text that is alone in it, to compare an engine with that shares work."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from llmrec.llm.base import Score

Logprobs = npt.NDArray[np.float64]
# Half floats and other shapes of batches move a score by hundredths; a wrong state moves it by whole nats.
NEAR = {"rel": 2e-3, "abs": 0.1}
FULL_PRECISION = 0
NO_FLASH_ATTENTION = 0


def near(expected: float | Sequence[float]) -> Any:
    """Equal to what is expected but for rounding."""
    return pytest.approx(expected, rel=NEAR["rel"], abs=NEAR["abs"])


def logprobs(scores: Sequence[Score]) -> list[float]:
    return [score.logprob for score in scores]


class OneByOne:
    """Evaluates one text at a time, from its first token, in a cache of full precision."""

    def __init__(self, path: Path, *, context_length: int = 2048) -> None:
        import llama_cpp

        self._llama_cpp = llama_cpp
        options = llama_cpp.llama_model_default_params()
        options.use_extra_bufts = False
        self._model = llama_cpp.llama_model_load_from_file(str(path).encode(), options)
        settings = llama_cpp.llama_context_default_params()
        settings.n_ctx = settings.n_batch = context_length
        settings.n_threads = settings.n_threads_batch = 1
        settings.type_k = settings.type_v = FULL_PRECISION
        settings.flash_attn_type = NO_FLASH_ATTENTION
        self._context = llama_cpp.llama_init_from_model(self._model, settings)
        self._vocabulary = llama_cpp.llama_model_get_vocab(self._model)
        self._size = llama_cpp.llama_vocab_n_tokens(self._vocabulary)
        self._batch = llama_cpp.llama_batch_init(context_length, 0, 1)
        self._scores: dict[tuple[str, str], float] = {}

    def close(self) -> None:
        self._llama_cpp.llama_batch_free(self._batch)
        self._llama_cpp.llama_free(self._context)
        self._llama_cpp.llama_model_free(self._model)

    def tokens(self, text: str, *, special: bool = False) -> list[int]:
        data = text.encode()
        room = (self._llama_cpp.llama_token * (len(data) + 1))()
        count = self._llama_cpp.llama_tokenize(
            self._vocabulary, data, len(data), room, len(room), False, special
        )
        return list(room[:count])

    def score(self, prefix: str, continuation: str) -> float:
        """The log-probability of the continuation, from one evaluation of the whole text."""
        if (prefix, continuation) not in self._scores:
            head, tail = self._parts(prefix, continuation)
            logprobs = self._evaluate([[*head, *tail]], skipped=len(head) - 1)
            self._scores[prefix, continuation] = _total(logprobs, tail)
        return self._scores[prefix, continuation]

    def score_token_by_token(self, prefix: str, continuation: str) -> float:
        """The same, from an evaluation for every token."""
        head, tail = self._parts(prefix, continuation)
        return _total(self._evaluate([[token] for token in [*head, *tail]], skipped=len(head) - 1), tail)

    def greedy_answer(self, prompt: str, length: int) -> tuple[bytes, float]:
        """The likeliest tokens after a prompt, and by how much each at least was ahead of the next."""
        tokens, answer, margin = self.tokens(prompt, special=True), b"", np.inf
        for _ in range(length):
            logprobs = self._evaluate([tokens], skipped=len(tokens) - 1)[-1]
            second, best = (int(token) for token in np.argsort(logprobs)[-2:])
            if self._llama_cpp.llama_vocab_is_eog(self._vocabulary, best):
                break
            margin = min(margin, float(logprobs[best] - logprobs[second]))
            piece = ctypes.create_string_buffer(1024)
            count = self._llama_cpp.llama_token_to_piece(self._vocabulary, best, piece, 1024, 0, False)
            answer += piece.raw[:count]
            tokens.append(best)
        return answer, margin

    def _parts(self, prefix: str, continuation: str) -> tuple[list[int], list[int]]:
        head = self.tokens(prefix) or [self._llama_cpp.llama_vocab_bos(self._vocabulary)]
        return head, self.tokens(continuation)

    def _evaluate(self, steps: Sequence[Sequence[int]], *, skipped: int) -> Logprobs:
        """Log-probabilities of what follows each token but the first ones."""
        self._llama_cpp.llama_memory_clear(self._llama_cpp.llama_get_memory(self._context), True)
        position, rows = 0, []
        for step in steps:
            wanted = self._fill(step, position, skipped)
            assert self._llama_cpp.llama_decode(self._context, self._batch) == 0
            position += len(step)
            if wanted:
                pointer = self._llama_cpp.llama_get_logits(self._context)
                logits = np.ctypeslib.as_array(pointer, shape=(wanted, self._size)).astype(np.float64)
                top = logits.max(axis=1, keepdims=True)
                rows.append(logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True)))
        return np.concatenate(rows)

    def _fill(self, tokens: Sequence[int], position: int, skipped: int) -> int:
        batch: Any = self._batch
        batch.n_tokens = len(tokens)
        for row, token in enumerate(tokens):
            batch.token[row], batch.pos[row] = token, position + row
            batch.logits[row] = position + row >= skipped
            batch.n_seq_id[row], batch.seq_id[row][0] = 1, 0
        return min(len(tokens), max(position + len(tokens) - skipped, 0))


def _total(logprobs: Logprobs, tail: Sequence[int]) -> float:
    return float(sum(logprobs[place, token] for place, token in enumerate(tail)))
