"""Where something that was deleted can still be found: in the records of a store, or in its file's bytes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from llmrec.errors import StoreError
from llmrec.store.file import StoreFile
from llmrec.store.file_search import LEAST_CHARACTERS, forms_of, texts_in_file

RECORDS = {"events": "event", "profiles": "profile", "rankings": "ranking"}
"""The column of each table that holds what is known of a person, as JSON."""


def traces_of(file: StoreFile, user_id: str, texts: Collection[str]) -> list[str]:
    """`Store.traces`."""
    with file.reading() as connection:
        found = tables_with(connection, user_id, texts)
        if user_id in texts:
            found += [table for table in _tables_of_people(file) if _has_person(connection, table, user_id)]
    answers = file.model_calls.answers_of(user_id)
    return [*found, *(["model_calls"] if hold_any(answers, texts) else [])]


def texts_in_files(file: StoreFile, texts: Sequence[str]) -> dict[str, list[str]]:
    """The names of the store's files in which a text is found, by text. Raises StoreError."""
    if file.path is None:
        return {}
    try:
        return texts_in_file(file.path, texts)
    except OSError as error:
        raise StoreError(
            f"the store at {file.path} cannot be searched for what was deleted ({error}): try it again"
        ) from error


def tables_with(
    connection: sqlite3.Connection, user_id: str, texts: Collection[str], *, tables: Iterable[str] = RECORDS
) -> list[str]:
    """Which tables have a record of a person in which one of the texts occurs. Raises sqlite3.Error."""
    found = []
    for table in tables:
        query = f"SELECT {RECORDS[table]} FROM {table} WHERE user_id = ?"  # noqa: S608
        if hold_any((text for (text,) in connection.execute(query, (user_id,)).fetchall()), texts):
            found.append(table)
    return found


def hold_any(records: Iterable[str], texts: Collection[str]) -> bool:
    """Whether one of the texts occurs in one of the records (JSON)."""
    if not texts:
        return False
    strings = Strings(records)
    return any(strings.hold(text) for text in texts)


def is_held(connection: sqlite3.Connection, text: str) -> bool:
    """Whether a text occurs in what is kept of anybody, as it should. Raises sqlite3.Error."""
    columns = {**RECORDS, "model_calls": "answer"}
    return any(
        connection.execute(
            f"SELECT 1 FROM {table} WHERE instr({column}, ?) LIMIT 1",  # noqa: S608
            (form,),
        ).fetchone()
        for table, column in columns.items()
        for form in forms_of(text)
    )


def _tables_of_people(file: StoreFile) -> tuple[str, ...]:
    # In memory the answers are a database of their own.
    return ("people", "model_call_people") if file.path is not None else ("people",)


def _has_person(connection: sqlite3.Connection, table: str, user_id: str) -> bool:
    query = f"SELECT 1 FROM {table} WHERE user_id = ? LIMIT 1"  # noqa: S608
    return connection.execute(query, (user_id,)).fetchone() is not None


class Strings:
    """The strings in JSON records, keys included."""

    def __init__(self, records: Iterable[str]) -> None:
        self._strings = {text for record in records for text in strings_of(read_record(record))}
        self._all = "\n".join(self._strings)

    def hold(self, text: str) -> bool:
        """Whether a text is one of the strings or, where it is not too short to tell, a part of one.

        An answer of a model may be JSON itself.
        """
        if text in self._strings:
            return True
        if len(text) < LEAST_CHARACTERS:
            return any(f'"{form}"' in self._all for form in forms_of(text))
        return any(form in self._all for form in forms_of(text))


def read_record(record: str) -> Any:
    """What a record says; the record itself where it is no JSON."""
    try:
        return json.loads(record)
    except ValueError:
        return record


def strings_of(value: Any, *, without: frozenset[str] = frozenset()) -> Iterator[str]:
    """Every string in a value read from JSON, keys included, except what stands under certain keys."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            yield from value
            waiting += [below for key, below in value.items() if key not in without]
