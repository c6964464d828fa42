"""What stands at the head of a file that keeps the state of a prefix."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy.typing as npt

HEADER_BYTES = 4096


def read_header(file: BinaryIO) -> tuple[int, int, str]:
    """The numbers of tokens and logits, and the hash. Raises ValueError, KeyError, TypeError, OSError."""
    header = json.loads(file.readline(HEADER_BYTES))
    tokens, logits, digest = header["tokens"], header["logits"], header["sha256"]
    here, end = file.tell(), os.fstat(file.fileno()).st_size
    if not (
        type(tokens) is type(logits) is int and tokens > 0 <= logits and 4 * (tokens + logits) <= end - here
    ):
        raise ValueError("it is shorter than it says")
    return tokens, logits, digest


def content_digest(model: str, counts: dict[str, int], parts: Sequence[npt.NDArray[Any]]) -> str:
    """The hash, in hexadecimal digits, of what a file holds and of the model it is for."""
    hasher = hashlib.sha256(f"{model} {counts}\n".encode())
    for part in parts:
        hasher.update(part.data)
    return hasher.hexdigest()
