"""The scores of a run on disk: one line a query, written as soon as it is known, read again after a stop."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from llmrec.errors import InputError
from llmrec.evaluation.prepared import SCORES, write_lines
from llmrec.evaluation.types import Scored

SYSTEMS = "systems.json"
NAME = re.compile(r"[\w+.-]+")
VARIANT = "@"
"""Parts the name of a system from that of a probe."""


@dataclass(frozen=True)
class Price:
    """What the scores of one query cost."""

    seconds: float
    tokens: int
    failures: int
    notes: tuple[str, ...] = ()
    """Those of its `Scored`."""


class ScoreFile:
    """The scores of one system in the folder of a run, or those of a probe of it."""

    def __init__(self, folder: Path, system: str, probe: str = "") -> None:
        """Nothing is opened or made here."""
        self.name = f"{system}{VARIANT}{probe}" if probe else system
        self.path = folder / SCORES / f"{self.name}.jsonl"

    def resume(self, queries: Collection[str], sizes: Mapping[str, int] | None = None) -> dict[str, Price]:
        """What the queries cost whose scores are there, to go on behind them.

        `sizes` says how many scores a query has, where that is known. A line that was torn, that failed,
        whose scores are too few, too many or no finite numbers, or that is of no such query is dropped from
        the file. Raises InputError when the file cannot be read or written.
        """
        wanted = set(queries)
        found: dict[str, Price] = {}
        waiting = self.path.with_name(f"{self.path.name}.new")
        with _said_plainly(self.path):
            if not self.path.exists():
                return {}
            dropped = False
            try:
                with self.path.open("rb") as old, waiting.open("wb") as new:
                    for line in old:
                        read = _row(line)
                        if (
                            read is None
                            or read[0] not in wanted
                            or read[0] in found
                            or (sizes or {}).get(read[0], len(read[1].scores)) != len(read[1].scores)
                        ):
                            dropped = True
                            continue
                        scored = read[1]
                        found[read[0]] = Price(scored.seconds, scored.tokens, scored.failures, scored.notes)
                        new.write(line)
                if dropped:
                    waiting.replace(self.path)
            finally:
                waiting.unlink(missing_ok=True)
        return found

    def read(self, queries: Collection[str]) -> dict[str, Scored]:
        """The scores of these queries, as far as they are there and did not fail. Raises InputError."""
        wanted = set(queries)
        with _said_plainly(self.path):
            if not self.path.exists():
                return {}
            with self.path.open("rb") as lines:
                rows = (_row(line) for line in lines)
                return {row[0]: row[1] for row in rows if row is not None and row[0] in wanted}

    @contextlib.contextmanager
    def appending(self) -> Iterator[ScoreWriter]:
        """Open the file to add to it. Raises InputError when it cannot be written."""
        with _said_plainly(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            stream = self.path.open("a", encoding="utf-8", newline="\n")
        try:
            yield ScoreWriter(stream, self.path)
        finally:
            # What could not be written was told when it was tried.
            with contextlib.suppress(OSError):
                stream.close()

    def remove(self) -> None:
        """Delete the file, if it is there."""
        with _said_plainly(self.path):
            self.path.unlink(missing_ok=True)


class ScoreWriter:
    """Adds lines to a file of scores."""

    def __init__(self, stream: IO[str], path: Path) -> None:
        self._stream = stream
        self._path = path

    def write(self, query_id: str, scored: Scored) -> None:
        """Add the scores of a query, on the disk before this returns. Raises InputError."""
        self._line({"query": query_id, **scored.model_dump(mode="json", exclude_defaults=True)})

    def write_failure(self, query_id: str, reason: str, *, seconds: float, tokens: int = 0) -> None:
        """Add that a query failed, with no score at all: it counts as the worst order. Raises InputError."""
        self._line(
            {
                "query": query_id,
                "scores": [],
                "seconds": seconds,
                "tokens": tokens,
                "failures": 1,
                "error": reason,
            }
        )

    def _line(self, row: dict[str, object]) -> None:
        with _said_plainly(self._path):
            self._stream.write(json.dumps(row) + "\n")
            self._stream.flush()


def check_names(names: Collection[str]) -> None:
    """Raise InputError for a name that cannot be a file's, or that two systems share."""
    seen: set[str] = set()
    for name in names:
        if not NAME.fullmatch(name) or not name.strip("."):
            raise InputError(
                f"the system {name[:60]!r} cannot name a file: use letters, digits, and the signs _ + . -"
            )
        # Where files are named without regard to case, two such systems would share one.
        if name.casefold() in seen:
            raise InputError(f"two systems are called {name!r}: give each a name of its own")
        seen.add(name.casefold())


def check_same(folder: Path, fingerprints: dict[str, str]) -> None:
    """Remember what each system was, and refuse to go on with scores of another one of the same name.

    Scores of a system that does not say what it is are deleted, to be made anew: they may be another's.
    Raises InputError when a folder's scores are another system's, and when it cannot be written.
    """
    path = folder / SYSTEMS
    with _said_plainly(path):
        known: dict[str, str] = {}
        if path.exists():
            with contextlib.suppress(ValueError):
                read = json.loads(path.read_text(encoding="utf-8"))
                known = read if isinstance(read, dict) else {}
        for name, fingerprint in fingerprints.items():
            if name in known and known[name] != fingerprint and ScoreFile(folder, name).path.exists():
                raise InputError(
                    f"{folder} holds scores of another {name}: its model, settings or prompts have changed; "
                    "give another folder, or delete this one"
                )
            if not fingerprint:
                for own in (f"{name}.jsonl", f"{name}{VARIANT}*.jsonl"):
                    for scores in (folder / SCORES).glob(own):
                        scores.unlink(missing_ok=True)
    write_lines(path, [json.dumps({**known, **fingerprints}, ensure_ascii=False, indent=2)])


def _row(line: bytes) -> tuple[str, Scored] | None:
    """The query and the scores of a line; None for one that was torn, that failed, or that is not finite."""
    if not line.endswith(b"\n"):
        return None
    try:
        row = json.loads(line)
        query = row.pop("query")
        if row.pop("error", None) is not None or not isinstance(query, str):
            return None
        scored = Scored.model_validate(row)
        return (query, scored) if all(map(math.isfinite, scored.scores)) else None
    except (ValueError, AttributeError, KeyError, TypeError, ValidationError):
        return None


@contextlib.contextmanager
def _said_plainly(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise InputError(
                f"{path} cannot be written, since the disk is full: make room and run it again; it goes on "
                "where it stopped"
            ) from error
        raise InputError(
            f"{path} cannot be used ({error.strerror or error}): choose another folder"
        ) from error
