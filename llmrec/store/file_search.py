"""Which texts lie anywhere in a SQLite file, deleted or not: in its bytes, not by its tables.

The search runs in a process of its own: closing a file that SQLite has open would end this process's locks
on it, and another process could then take the file for free (sqlite.org/howtocorrupt.html, section 2.2).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

LEAST_CHARACTERS = 8
"""Shorter texts are found by chance."""
SEARCH_ENDS_WITHIN = 300.0
PAGES_AT_ONCE = 1024
WAL_SUFFIX = "-wal"
WAL_HEADER_BYTES = 32
FRAME_HEADER_BYTES = 24
# Where a long record goes on in another page, four bytes tell which one comes after that.
LINK_BYTES = 4
# A program that embeds Python may start itself in place of an interpreter: it must not do so again and again.
UNDER_SEARCH = "LLMREC_UNDER_SEARCH"


def forms_of(text: str) -> tuple[str, ...]:
    """How a text may be written: as it is, and within a JSON string, with and without ASCII alone."""
    quoted = json.dumps(text, ensure_ascii=False)[1:-1]
    return tuple(dict.fromkeys((text, quoted, json.dumps(text)[1:-1])))


def texts_in_file(path: Path, texts: Sequence[str]) -> dict[str, list[str]]:
    """The texts that are found in the bytes of a SQLite file and of its write-ahead log.

    Texts of fewer than LEAST_CHARACTERS are not searched for. Returns the names of the files by text, in the
    order of the texts. Raises OSError when the search cannot be run or does not end.
    """
    sought = {text: forms_of(text) for text in texts if len(text) >= LEAST_CHARACTERS}
    files = [each for each in (path, path.with_name(path.name + WAL_SUFFIX)) if each.is_file()]
    if not sought or not files:
        return {}
    found = {file.name: _search_apart(file, sought) for file in files}
    places = {text: [name for name, there in found.items() if text in there] for text in sought}
    return {text: names for text, names in places.items() if names}


def search(path: Path, sought: Mapping[str, Sequence[str]]) -> set[str]:
    """The texts one of whose forms is in the bytes of a SQLite file or write-ahead log. Raises OSError."""
    needles = {
        text: [form.encode("utf-8", "surrogatepass") for form in forms] for text, forms in sought.items()
    }
    overlap = max((len(form) for forms in needles.values() for form in forms), default=1) - 1
    found: set[str] = set()
    with path.open("rb") as file:
        before: list[bytes] = [b"", b""]
        for views in _views(file):
            for which, view in enumerate(views):
                whole = before[which] + view
                found |= {
                    text
                    for text, forms in needles.items()
                    if text not in found and any(form in whole for form in forms)
                }
                before[which] = whole[-overlap:] if overlap else b""
    return found


def _views(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """The content of pages, some at a time: whole, and without the links between pages of one record."""
    head = file.read(WAL_HEADER_BYTES)
    is_log = head[:3] == b"\x37\x7f\x06"
    page = int.from_bytes(head[8:12] if is_log else head[16:18], "big")
    # A page of 65,536 bytes is written as 1.
    page = 65_536 if page == 1 and not is_log else page
    if not 512 <= page <= 65_536:
        page = 4096
    header = FRAME_HEADER_BYTES if is_log else 0
    if not is_log:
        file.seek(0)
    while piece := file.read(PAGES_AT_ONCE * (header + page)):
        starts = range(header, len(piece), header + page)
        yield (
            b"".join(piece[at : at + page] for at in starts),
            b"".join(piece[at + LINK_BYTES : at + page] for at in starts),
        )


def _search_apart(path: Path, sought: Mapping[str, Sequence[str]]) -> set[str]:
    """`search` in a process of its own. Raises OSError when that fails."""
    if not sys.executable or getattr(sys, "frozen", False) or UNDER_SEARCH in os.environ:
        raise OSError("there is no interpreter to search the file with")
    try:
        done = subprocess.run(  # noqa: S603  the interpreter, and this very file
            [sys.executable, "-I", "-S", __file__],
            input=json.dumps([str(path), sought]).encode(),
            capture_output=True,
            timeout=SEARCH_ENDS_WITHIN,
            check=True,
            env={**os.environ, UNDER_SEARCH: "1"},
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        return set(json.loads(done.stdout))
    except (subprocess.SubprocessError, ValueError) as error:
        raise OSError(f"the search in {path.name} failed: {error}") from error


def main() -> None:
    """Read a path and what to search for from the standard input, and write what is found, as JSON."""
    path, sought = json.loads(sys.stdin.buffer.read())
    sys.stdout.write(json.dumps(sorted(search(Path(path), sought))))


if __name__ == "__main__":
    main()
