"""Reading events and items from files: JSON lines, CSV, Parquet, RecBole atomic files, MovieLens."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from llmrec.behavior.cleaning import CleaningNote, CleaningReport, NoteKind
from llmrec.behavior.columns import (
    EVENT_COLUMNS,
    ITEM_COLUMNS,
    TIME_UNITS,
    ColumnFinder,
    as_attribute,
    as_categories,
    as_text,
    as_timestamp,
    is_missing,
)
from llmrec.behavior.events import Event, Item, describe_validation_error
from llmrec.behavior.rows import Row
from llmrec.behavior.sources import Format, Source, open_source
from llmrec.behavior.text import printable, record_text
from llmrec.errors import InputError

_Record = TypeVar("_Record", bound=BaseModel)
_Build = Callable[[dict[str, Any], ColumnFinder, list[str]], dict[str, Any]]

_TITLE_WITH_YEAR = re.compile(r"(.*\S)\s*\((\d{4})(?:[-–]\d{0,4})?\)\s*", re.DOTALL)
_LANGUAGE_CODE = re.compile(r"[A-Za-z]{2,3}([-_]\w+)*")
_MOVIELENS_MOVIES = ["movieId", "title", "genres"]


class _UnusableRowError(Exception):
    """A record lacks what it needs; the text says what."""


def read_events(
    source: Source,
    *,
    format: Format | None = None,  # noqa: A002
    columns: Mapping[str, str] | None = None,
) -> tuple[list[Event], CleaningReport]:
    """Read events, in the order of the source, and report on every record that was not simply kept.

    `source` is a path, "-" for standard input, an open stream, or the folder of a MovieLens data set
    (its ratings.csv). `format` follows from the file's extension, and is jsonl for streams; json and
    jsonl are told apart by the contents. Text is UTF-8; CSV, TSV and RecBole files have a header.

    Columns are found under their common names (user, userId, movieId, asin, rating, ts, ...). `columns`
    names others, by our field, or gives a text for all records after "=":
    `{"item_id": "sku", "action": "=purchase"}`. Records with a rating and no action are of action `rate`.
    Columns that no field needs are not read.

    A record that cannot be read is set aside and a timestamp that is none becomes None, each with its row
    in the report; times in milliseconds and smaller units become seconds. An empty file gives no events.
    Raises InputError when the source cannot be opened, is not UTF-8 or not in its format, when a column
    is missing, and when not a single record can be read.
    """
    return _read(Event, _event_fields, source, format, ColumnFinder(EVENT_COLUMNS, columns), "ratings.csv")


def read_items(
    source: Source,
    *,
    format: Format | None = None,  # noqa: A002
    columns: Mapping[str, str] | None = None,
) -> tuple[list[Item], CleaningReport]:
    """Read items, in the order of the source, and report on every record that was not simply kept.

    Sources, formats, `columns` and errors are those of `read_events`; of a MovieLens folder movies.csv is
    read, and the year after a title becomes an attribute. Categories are a list or a text like "A|B".
    Columns that belong to no field become attributes, except those without a name.
    """
    return _read(Item, _item_fields, source, format, ColumnFinder(ITEM_COLUMNS, columns), "movies.csv")


class _Reading:
    """The records and notes gathered from one source."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.read = 0
        self.rows: list[int] = []
        self.notes: list[CleaningNote] = []
        self.time_units: Counter[str] = Counter()
        self._first_of_unit: dict[str, tuple[int, str]] = {}

    def note(self, kind: NoteKind, reason: str, row: Row) -> None:
        record = record_text(row.fields if row.fields is not None else row.raw)
        self.notes.append(
            CleaningNote(row=row.number, kind=kind, reason=reason, record=record, source=self.name)
        )

    def note_repairs(self, repairs: list[str], row: Row) -> None:
        for repair in dict.fromkeys(repairs):
            if repair in TIME_UNITS:
                # One note for the file: every record of it may be meant.
                self.time_units[repair] += 1
                self._first_of_unit.setdefault(repair, (row.number, record_text(row.fields)))
            else:
                self.note("repaired", repair, row)

    def report(self) -> CleaningReport:
        notes = list(self.notes)
        for unit, count in self.time_units.items():
            number, record = self._first_of_unit[unit]
            times = "1 timestamp" if count == 1 else f"{count} timestamps, the first here,"
            notes.append(
                CleaningNote(
                    row=number,
                    kind="repaired",
                    reason=f"{times} in {unit} read as seconds",
                    record=record,
                    source=self.name,
                )
            )
        return CleaningReport(read=self.read, kept=len(self.rows), notes=notes, rows=self.rows)


def _read(
    model: type[_Record],
    build: _Build,
    source: Source,
    given_format: Format | None,
    finder: ColumnFinder,
    folder_file: str,
) -> tuple[list[_Record], CleaningReport]:
    records: list[_Record] = []
    with open_source(source, given_format, folder_file) as opened:
        reading = _Reading(opened.name)
        is_table = opened.format not in ("json", "jsonl")
        header_checked = not is_table
        for row in opened.rows:
            reading.read += 1
            if row.fields is None:
                reading.note("set_aside", row.fault, row)
                continue
            if not header_checked:
                _check_header(row.fields, model, finder, opened.name)
                header_checked = True
            repairs: list[str] = []
            try:
                record = model.model_validate(build(row.fields, finder, repairs))
            except _UnusableRowError as fault:
                reading.note("set_aside", str(fault), row)
            except ValidationError as error:
                reading.note("set_aside", printable(describe_validation_error(error)), row)
            except RecursionError:
                reading.note("set_aside", "its values are nested too deeply", row)
            else:
                records.append(record)
                reading.rows.append(row.number)
                reading.note_repairs(repairs, row)
    finder.check_all_seen(reading.name)
    if reading.read and not records:
        first = reading.notes[0]
        raise InputError(
            f"{reading.name}: not one of its records ({reading.read}) could be read; "
            f"the first, row {first.row}: {first.reason}"
        )
    return records, reading.report()


def _check_header(record: dict[str, Any], model: type[BaseModel], finder: ColumnFinder, name: str) -> None:
    """Fail on the first row of a table when all the rows must fail for want of a column."""
    found = {*finder.columns_of(record), *finder.constants}
    finder.check_all_seen(name)
    needed = ("id", "title") if model is Item else ("user_id",)
    absent = [field for field in needed if field not in found]
    if model is Event and not found & {"item_id", "text"}:
        absent.append("item_id")
    if model is Event and not found & {"action", "value"}:
        raise InputError(f"{name}: {_no_action(record, finder)}")
    if absent:
        raise InputError(f"{name}: {finder.missing(absent[0], record)}")


def _no_action(record: dict[str, Any], finder: ColumnFinder) -> str:
    return finder.missing("action", record) + ", or give one action for all, columns={'action': '=view'}"


def _event_fields(record: dict[str, Any], finder: ColumnFinder, repairs: list[str]) -> dict[str, Any]:
    values, _ = finder.values(record)
    for field in ("user_id", "item_id", "action", "text", "id"):
        if field in values:
            values[field] = as_text(values[field], repairs)
    if values.get("user_id", "") == "":
        raise _UnusableRowError(finder.missing("user_id", record))
    if values.get("action", "") == "":
        if "action" in finder.columns_of(record) or "value" not in values:
            raise _UnusableRowError(_no_action(record, finder))
        values["action"] = "rate"
    if values.get("item_id", "") == "" and not str(values.get("text", "")).strip():
        raise _UnusableRowError(finder.missing("item_id", record) + "; or give the event a text")
    if "timestamp" in values:
        values["timestamp"], repair = as_timestamp(values["timestamp"])
        if repair in TIME_UNITS:
            repairs.append(repair)
        elif repair is not None:
            repairs.append(f"the timestamp was taken as unknown: {printable(repair)}")
    return values


def _item_fields(record: dict[str, Any], finder: ColumnFinder, repairs: list[str]) -> dict[str, Any]:
    values, sources = finder.values(record)
    for field in ("id", "title"):
        if values.get(field, "") == "":
            raise _UnusableRowError(finder.missing(field, record))
    for field in ("id", "title", "description", "domain", "language"):
        if field in values:
            values[field] = as_text(values[field], repairs)
    used = set(sources.values())
    attributes = {
        str(as_text(column, repairs)): as_attribute(value, repairs)
        for column, value in record.items()
        if column and column not in used and not is_missing(value)
    }
    if isinstance(given := values.pop("attributes", None), Mapping):
        attributes |= {
            str(as_text(name, repairs)): as_attribute(value, repairs)
            for name, value in given.items()
            if not is_missing(value)
        }
    elif given is not None:
        attributes["attributes"] = as_attribute(given, repairs)
    language = values.get("language")
    if isinstance(language, str) and not _LANGUAGE_CODE.fullmatch(language):
        # A film's language written out ("English, French") is a fact about it, not the code of its text.
        attributes["language"] = values.pop("language")
    if "categories" in values:
        values["categories"] = as_categories(values["categories"], repairs)
    if list(record) == _MOVIELENS_MOVIES:
        if titled := _TITLE_WITH_YEAR.fullmatch(str(values["title"])):
            values["title"], attributes["year"] = titled[1], titled[2]
        if values.get("categories") == ("(no genres listed)",):
            del values["categories"]
    values["attributes"] = attributes
    return values
