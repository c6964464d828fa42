"""Files in the cache folder: whole or not there at all, whoever else writes at the same moment."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

UNFINISHED_PREFIX = ".preparing-"
UNFINISHED_SECONDS = 3600


@contextlib.contextmanager
def unfinished_file(folder: Path, suffix: str) -> Iterator[Path]:
    """Make an empty file to be filled and then renamed; what is left of it at the end is removed.

    The folder is made where it is missing. Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{UNFINISHED_PREFIX}{uuid.uuid4().hex}{suffix}"
    try:
        path.touch()
        yield path
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that nobody ever reads a part of it. Raises OSError."""
    with unfinished_file(path.parent, path.suffix) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)


def remove_unfinished(folder: Path) -> None:
    """Remove what processes left, an hour ago or earlier, that were ended while they wrote."""
    for leftover in folder.glob(f"{UNFINISHED_PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - leftover.stat().st_mtime > UNFINISHED_SECONDS:
                leftover.unlink()
