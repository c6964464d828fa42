"""The rows that llama.cpp evaluates, and the flag that ends it early."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from llmrec.errors import CallCancelledError
from llmrec.llm.llama_batch import Batch
from llmrec.llm.llama_cpp import LlamaCppModel


@pytest.fixture(scope="module")
def llama_cpp() -> Any:
    return pytest.importorskip("llama_cpp")


def rows_in(batch: Batch) -> list[tuple[int, int, list[int], int]]:
    raw = batch.raw
    return [
        (raw.token[i], raw.pos[i], [raw.seq_id[i][k] for k in range(raw.n_seq_id[i])], raw.logits[i])
        for i in range(raw.n_tokens)
    ]


class TestBatch:
    def test_it_holds_what_was_put_in_it_last(self, llama_cpp: Any) -> None:
        batch = Batch(llama_cpp, 4)
        batch.fill([(7, 0, 0, False), (8, 1, 0, True), (9, 1, 3, True), (9, 1, 4, True)])
        batch.fill([(5, 2, 1, True), (6, 3, (1, 4, 63), False), (8, 0, (2,), True)])
        assert rows_in(batch) == [(5, 2, [1], 1), (6, 3, [1, 4, 63], 0), (8, 0, [2], 1)]
        assert isinstance(batch.raw, ctypes.Structure)

    def test_it_can_be_empty(self, llama_cpp: Any) -> None:
        batch = Batch(llama_cpp, 2)
        batch.fill([(5, 2, 1, True)])
        batch.fill([])
        assert rows_in(batch) == []

    def test_each_batch_keeps_its_own(self, llama_cpp: Any) -> None:
        one, two = Batch(llama_cpp, 2), Batch(llama_cpp, 2)
        one.fill([(1, 0, (1, 2), True)])
        two.fill([(2, 5, 9, False)])
        assert (rows_in(one), rows_in(two)) == ([(1, 0, [1, 2], 1)], [(2, 5, [9], 0)])


class TestAbortFlag:
    def test_a_raised_flag_ends_every_evaluation_until_it_is_lowered(
        self, open_tiny: Callable[..., LlamaCppModel]
    ) -> None:
        context = open_tiny()._context
        expected = context.evaluate([5, 6, 7])
        context.abort()
        for _ in range(2):
            with pytest.raises(CallCancelledError):
                context.evaluate([8, 9])
        context.allow()
        assert context.evaluate([5, 6, 7]) == pytest.approx(expected, abs=0.05)

    @pytest.mark.embedded
    def test_a_long_evaluation_ends_in_its_midst(self, embedded_model: LlamaCppModel) -> None:
        context = embedded_model._context
        tokens = np.random.default_rng(0).integers(100, 20_000, 2_000).tolist()
        raising = threading.Timer(0.3, context.abort)
        raising.start()
        began = time.monotonic()
        try:
            with pytest.raises(CallCancelledError):
                context.evaluate(tokens)
        finally:
            raising.join()
            context.allow()
        # Two thousand tokens take many seconds, and the first batch of them more than one.
        assert time.monotonic() - began < 2.5
