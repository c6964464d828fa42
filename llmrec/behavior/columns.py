"""Which column of a source holds which field, and what its values become."""

from __future__ import annotations

import decimal
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from llmrec.behavior.events import EARLIEST_TIMESTAMP, LATEST_TIMESTAMP, parse_timestamp
from llmrec.behavior.rows import TokenSequence
from llmrec.behavior.text import join_surrogates, printable
from llmrec.errors import InputError

EVENT_COLUMNS: dict[str, tuple[str, ...]] = {
    "user_id": ("userid", "user", "uid", "customerid", "reviewerid"),
    "item_id": ("itemid", "item", "iid", "movieid", "parentasin", "asin", "productid", "bookid"),
    "action": ("action", "eventtype", "event", "behaviortype"),
    "text": ("text", "query", "searchquery", "reviewtext", "review", "reviewbody", "comment"),
    "value": ("value", "rating", "stars", "starrating", "overall"),
    "timestamp": ("timestamp", "ts", "time", "unixreviewtime", "datetime", "date", "eventtime", "createdat"),
    "id": ("id", "eventid", "reviewid"),
}
"""The names a column of events may have, without case and punctuation; the first one present is taken."""

ITEM_COLUMNS: dict[str, tuple[str, ...]] = {
    "id": ("id", "itemid", "item", "iid", "movieid", "parentasin", "asin", "productid", "bookid"),
    "title": ("title", "name", "itemtitle", "itemname", "movietitle", "producttitle", "productname"),
    "description": ("description", "desc", "overview", "summary", "abstract"),
    "categories": ("categories", "category", "genres", "genre", "class"),
    "attributes": ("attributes",),
    "domain": ("domain",),
    "language": ("language", "lang"),
}
"""The names a column of items may have; other columns become attributes."""

TIME_UNITS = {"milliseconds": 1e3, "microseconds": 1e6, "nanoseconds": 1e9}
"""How many of each unit a second has."""

_LARGEST_SECONDS = 1e11
_KNOWN_LAYOUTS = 256


class ColumnFinder:
    """Finds the fields of a record among its columns: as the caller names them, else by common names."""

    def __init__(self, common_names: Mapping[str, Sequence[str]], given: Mapping[str, str] | None) -> None:
        """Remember where to look; in `given`, "=text" stands for that text in every record.

        Raises InputError when `given` names a field that does not exist.
        """
        self._common_names = common_names
        self.constants: dict[str, str] = {}
        self.named: dict[str, str] = {}
        for field, column in (given or {}).items():
            if field not in common_names:
                raise InputError(
                    f"columns= names the field {field!r}, which does not exist: "
                    f"choose among {', '.join(common_names)}"
                )
            if column.startswith("="):
                self.constants[field] = column[1:]
            else:
                self.named[field] = column
        self._unseen = dict(self.named)
        self._layouts: dict[tuple[str, ...], dict[str, list[str]]] = {}

    def columns_of(self, record: Mapping[str, Any]) -> dict[str, list[str]]:
        """The columns that may hold each field, the most likely first; fields without any are absent."""
        layout = tuple(record)
        found = self._layouts.get(layout)
        if found is None:
            found = self._find(layout)
            self._unseen = {field: name for field, name in self._unseen.items() if name not in record}
            if len(self._layouts) < _KNOWN_LAYOUTS:
                self._layouts[layout] = found
        return found

    def _find(self, layout: tuple[str, ...]) -> dict[str, list[str]]:
        taken = set(self.named.values())
        plain_names = {column: re.sub(r"[\W_]+", "", column).casefold() for column in layout}
        found: dict[str, list[str]] = {}
        for field, common in self._common_names.items():
            if field in self.constants:
                continue
            if field in self.named:
                columns = [self.named[field]] if self.named[field] in layout else []
            else:
                columns = [
                    column
                    for name in common
                    for column in layout
                    if plain_names[column] == name and column not in taken
                ]
            if columns:
                found[field] = columns
        return found

    def values(self, record: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
        """The known values of a record by field, and the column each was taken from."""
        values: dict[str, Any] = dict(self.constants)
        sources: dict[str, str] = {}
        for field, columns in self.columns_of(record).items():
            for column in columns:
                if not is_missing(record[column]):
                    values[field], sources[field] = record[column], column
                    break
        return values, sources

    def missing(self, field: str, record: Mapping[str, Any]) -> str:
        """Say that a field has no value and how to name its column."""
        columns = ", ".join(printable(column, 40) for column in list(record)[:20])
        return (
            f"it has no {field}; if one of its columns ({columns}) holds it, name that one with "
            f"columns={{'{field}': '...'}}"
        )

    def check_all_seen(self, name: str) -> None:
        """Raise InputError when a column that the caller named was in no record."""
        if self._unseen and self._layouts:
            field, column = next(iter(self._unseen.items()))
            columns = ", ".join(printable(column, 40) for column in list(next(iter(self._layouts)))[:20])
            raise InputError(
                f"{name} has no column {column!r}, which columns= names for {field}; it has {columns}"
            )


def is_missing(value: Any) -> bool:
    """Whether a value stands for none: null, or the NaN that data frames write for it."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def as_text(value: Any, repairs: list[str]) -> Any:
    """A number, text or list as text (12.0 becomes "12"); anything else as it is.

    Half surrogate pairs, which no file can hold, are removed, and `repairs` says so.
    """
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        text = join_surrogates(value)
        if text != value:
            repairs.append("halves of characters (lone surrogates) were removed")
        return text
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, (int, float, decimal.Decimal)) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, (list, tuple)):
        return " ".join(str(as_text(part, repairs)) for part in value if not is_missing(part))
    return value


def as_categories(value: Any, repairs: list[str]) -> tuple[str, ...]:
    """Categories from a list, nested or not, or from a text like "Comedy|Drama"."""
    if isinstance(value, TokenSequence):
        return tuple(value.parts())
    if isinstance(value, (list, tuple)):
        return tuple(name for part in value for name in _category(part, repairs))
    text = str(as_text(value, repairs))
    return tuple(name.strip() for name in text.split("|") if name.strip())


def _category(part: Any, repairs: list[str]) -> Iterable[str]:
    if isinstance(part, (list, tuple)):
        return as_categories(part, repairs)
    return () if is_missing(part) or part == "" else (str(as_text(part, repairs)),)


def as_attribute(value: Any, repairs: list[str]) -> str:
    """Any value as the text of an attribute: lists joined by ", ", objects as JSON."""
    if isinstance(value, TokenSequence):
        return ", ".join(value.parts())
    if isinstance(value, (list, tuple)):
        return ", ".join(as_attribute(part, repairs) for part in value if not is_missing(part))
    if isinstance(value, dict):
        try:
            value = json.dumps(value, ensure_ascii=False, default=str)
        except (ValueError, RecursionError):
            value = "{…}"
    if isinstance(value, bool):
        return str(value).lower()
    return str(as_text(value, repairs))


def as_timestamp(value: Any) -> tuple[float | None, str | None]:
    """A time as seconds since the epoch, and what had to be repaired: a unit, or the fault of no time.

    Numbers in milliseconds, microseconds or nanoseconds become seconds, and the unit is returned.
    """
    try:
        return parse_timestamp(value), None
    except (ValueError, OverflowError) as error:
        fault = str(error)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = 0.0
    for unit, in_a_second in TIME_UNITS.items():
        seconds = number / in_a_second
        if number > _LARGEST_SECONDS and EARLIEST_TIMESTAMP <= seconds < LATEST_TIMESTAMP:
            return seconds, unit
    return None, fault
