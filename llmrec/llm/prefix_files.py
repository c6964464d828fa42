"""Files that keep the states of prefixes: what stands at their head, and how all of them are forgotten."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy.typing as npt

from llmrec.errors import StoreError
from llmrec.llm.cache_files import UNFINISHED_PREFIX

HEADER_BYTES = 4096
SUFFIX = ".prefix"
MARK = ".forgotten"
"""A file whose time tells every process when the folder's states were forgotten."""


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


def forget_files(folder: Path) -> int:
    """Remove every state from a folder, of every model, and those that a process had not finished writing.

    Other processes learn it by `forgotten_at`. Their own files are left alone. Returns how many files went.
    Raises StoreError when one cannot be removed, after all the others were.
    """
    faults: list[OSError] = []
    # Before the files: who writes one meanwhile looks for it afterwards.
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mark, before = folder / MARK, forgotten_at(folder)
        mark.touch(mode=0o600)
        now = max(time.time_ns(), before + 1)
        os.utime(mark, ns=(now, now))
    except OSError as error:
        faults.append(error)
    removed = 0
    # Files of other kinds that are being written have an ending.
    for path in [*folder.glob(f"*{SUFFIX}"), *folder.glob(f"{UNFINISHED_PREFIX}*")]:
        if path.suffix not in {SUFFIX, ""} or (path.is_dir() and not path.is_symlink()):
            continue
        try:
            path.unlink()
            removed += 1
        except FileNotFoundError:
            pass
        except OSError as error:
            faults.append(error)
    if faults:
        raise StoreError(
            f"what was read of people is not forgotten in {folder} ({faults[0]}): "
            "close what else uses the folder, or remove its files yourself"
        )
    return removed


def forgotten_at(folder: Path) -> int:
    """When the states of a folder were last forgotten, in nanoseconds since the epoch; 0 for never."""
    try:
        return (folder / MARK).stat().st_mtime_ns
    except OSError:
        return 0
