"""What llama.cpp evaluates in one go, and how that is ended early."""

from __future__ import annotations

import ctypes
import itertools
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from llmrec.llm.llama_bindings import c_function

logger = logging.getLogger(__name__)

Row = tuple[int, int, "int | tuple[int, ...]", bool]
"""A token to evaluate: the token, its position, its sequence or sequences, and whether logits are wanted."""


class Batch:
    """A llama_batch over arrays of our own, filled by rows; it needs no freeing."""

    def __init__(self, llama_cpp: Any, capacity: int) -> None:
        self.capacity = capacity
        self._tokens = np.zeros(capacity, np.int32)
        self._positions = np.zeros(capacity, np.int32)
        self._counts = np.zeros(capacity, np.int32)
        self._addresses = np.zeros(capacity, np.uintp)
        self._wanted = np.zeros(capacity, np.int8)
        self._sequences = np.zeros(0, np.int32)
        self.raw = llama_cpp.llama_batch()
        for field, array in (
            ("token", self._tokens),
            ("pos", self._positions),
            ("n_seq_id", self._counts),
            ("seq_id", self._addresses),
            ("logits", self._wanted),
        ):
            pointer_type = dict(self.raw._fields_)[field]
            setattr(self.raw, field, ctypes.cast(array.ctypes.data, pointer_type))

    def fill(self, rows: Sequence[Row]) -> None:
        """Set the rows, at most `capacity`."""
        count = len(rows)
        members = [row[2] if isinstance(row[2], tuple) else (row[2],) for row in rows]
        counts = np.fromiter(map(len, members), np.int32, count)
        self._sequences = np.fromiter(itertools.chain.from_iterable(members), np.int32, int(counts.sum()))
        starts = np.cumsum(counts, dtype=np.uintp) - counts.astype(np.uintp)
        self._tokens[:count] = [row[0] for row in rows]
        self._positions[:count] = [row[1] for row in rows]
        self._counts[:count] = counts
        self._addresses[:count] = self._sequences.ctypes.data + starts * self._sequences.itemsize
        self._wanted[:count] = [row[3] for row in rows]
        self.raw.n_tokens = count


class AbortFlag:
    """A flag that llama.cpp reads while it evaluates: raised by any thread, it ends the evaluation.

    llama.cpp asks a C function, many times in each evaluation, whether to stop. A Python function would hold
    it up each time; the C library's own `strlen` answers for us: the length of the empty string is 0, which
    means no, and the length of a string of one byte is 1.
    """

    def __init__(self, llama_cpp: Any, context: Any) -> None:
        self._text = ctypes.create_string_buffer(2)
        self._callback = c_function("strlen", llama_cpp.ggml_abort_callback)
        if self._callback is None:
            # Then a call ends between two evaluations, not within one.
            logger.debug("evaluations cannot be interrupted here: the C library has no strlen to call")
            return
        llama_cpp.llama_set_abort_callback(context, self._callback, ctypes.cast(self._text, ctypes.c_void_p))

    def lift(self) -> None:
        """End the evaluation that goes on now, and every later one until `lower`."""
        self._text[0] = b"!"

    def lower(self) -> None:
        """Let evaluations go on."""
        self._text[0] = b"\0"
