"""Reading an interaction log: events in any format, or JSON lines with all the items of a person."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from llmrec.behavior.cleaning import CleaningNote, CleaningReport, NoteKind, clean_events
from llmrec.behavior.columns import as_text, is_missing
from llmrec.behavior.readers import read_events
from llmrec.behavior.rows import Row
from llmrec.behavior.sources import Format, Source, open_source
from llmrec.behavior.text import record_text
from llmrec.candidates.log import InteractionLog
from llmrec.errors import InputError
from llmrec.settings import Settings, load_settings

PERSON_FIELDS = ("user_id", "user")
ITEMS_FIELD = "items"
FOLDER_FILE = "ratings.csv"
"""What is read of the folder of a MovieLens data set."""


def read_log(
    source: Source,
    *,
    format: Format | None = None,  # noqa: A002
    columns: Mapping[str, str] | None = None,
    settings: Settings | None = None,
) -> tuple[InteractionLog, CleaningReport]:
    """Read what many people chose, and report on every record that was not simply kept.

    The source is one of events, as `read_events` takes it, with the same `format` and `columns`; events are
    cleaned, and those that speak for an item are taken (`InteractionLog.from_events`). Or it is of JSON lines
    like `{"user_id": "ana", "items": ["tt1", "tt2"]}`, the oldest item first, `user` being as good as
    `user_id`: the first record decides. A person's records are joined in the order of the file. Ids may be
    numbers; what is no id is left out of its record with a note.
    Raises InputError as `read_events` does, and for `columns` with records of the second kind.
    """
    settings = settings if settings is not None else load_settings()
    source = _readable_twice(source, format)
    if _holds_sequences(source, format):
        if columns:
            raise InputError(
                "columns= is for events: records with all the items of a person have user_id and items"
            )
        return _read_sequences(source, format)
    events, report = read_events(source, format=format, columns=columns)
    cleaned, cleaning = clean_events(events, None, settings, rows=report.rows)
    return InteractionLog.from_events(cleaned, settings), report.then(cleaning)


class _Lines:
    """A stream whose first lines can be read twice."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._rest: Iterator[Any] | None = None
        self._read: list[Any] = []
        self.looking = True

    def __iter__(self) -> Iterator[Any]:
        yield from tuple(self._read)
        self._rest = iter(self._stream) if self._rest is None else self._rest
        for line in self._rest:
            if self.looking:
                self._read.append(line)
            yield line

    def read(self) -> Any:
        """The whole of it; being there says that this is a stream."""
        first = next(iter(self), b"")
        return first + type(first)().join(self)

    @property
    def name(self) -> Any:
        return "standard input" if self._stream is _standard_input() else getattr(self._stream, "name", None)


def _standard_input() -> Any:
    return getattr(sys.stdin, "buffer", sys.stdin)


def _readable_twice(source: Source, given_format: Format | None) -> Any:
    stream = _standard_input() if source == "-" else source
    is_stream = not isinstance(stream, (str, os.PathLike)) and hasattr(stream, "read")
    return _Lines(stream) if is_stream and given_format in (None, "json", "jsonl") else source


def _holds_sequences(source: Any, given_format: Format | None) -> bool:
    with open_source(source, given_format, FOLDER_FILE) as opened:
        first = None
        if opened.format in ("json", "jsonl"):
            first = next((row.fields for row in opened.rows if row.fields is not None), None)
    if isinstance(source, _Lines):
        source.looking = False
    return first is not None and isinstance(first.get(ITEMS_FIELD), list)


def _read_sequences(source: Any, given_format: Format | None) -> tuple[InteractionLog, CleaningReport]:
    sequences: dict[str, list[str]] = {}
    notes: list[CleaningNote] = []
    rows: list[int] = []
    read = 0
    with open_source(source, given_format, FOLDER_FILE) as opened:

        def note(kind: NoteKind, reason: str, row: Row) -> None:
            record = record_text(row.fields if row.fields is not None else row.raw)
            notes.append(
                CleaningNote(row=row.number, kind=kind, reason=reason, record=record, source=opened.name)
            )

        for row in opened.rows:
            read += 1
            person, items, fault = _sequence(row)
            if fault:
                note("set_aside", fault, row)
                continue
            ids = [item_id for item_id in map(_id, items) if item_id]
            if len(ids) < len(items):
                gone = len(items) - len(ids)
                note("repaired", f"{gone} of its items {'is' if gone == 1 else 'are'} no id", row)
            sequences.setdefault(person, []).extend(ids)
            rows.append(row.number)
    if read and not rows:
        raise InputError(
            f"{opened.name}: not one of its records ({read}) could be read; "
            f"the first, row {notes[0].row}: {notes[0].reason}"
        )
    return InteractionLog(sequences), CleaningReport(read=read, kept=len(rows), notes=notes, rows=rows)


def _sequence(row: Row) -> tuple[str, list[Any], str]:
    """A record's person and items, or what is wrong with it."""
    if row.fields is None:
        return "", [], row.fault
    person = next((found for field in PERSON_FIELDS if (found := _id(row.fields.get(field)))), "")
    if not person:
        return "", [], "it has no user_id (a text or a number)"
    items = row.fields.get(ITEMS_FIELD)
    if not isinstance(items, list):
        return "", [], "it has no list of items"
    return person, items, ""


def _id(value: Any) -> str:
    if isinstance(value, (list, bool)) or is_missing(value):
        return ""
    found = as_text(value, [])
    return found if isinstance(found, str) else ""
