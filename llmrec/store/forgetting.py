"""What a store deletes so that something a person did is forgotten, and what is left of it anywhere."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from llmrec.errors import StoreError
from llmrec.store.file import StoreFile
from llmrec.store.file_search import LEAST_CHARACTERS, forms_of
from llmrec.store.traces import (
    RECORDS,
    Strings,
    is_held,
    read_record,
    strings_of,
    tables_with,
    texts_in_files,
    traces_of,
)

logger = logging.getLogger(__name__)

MOST_SEARCHED = 64
"""Texts of one person that are searched for in the bytes of a file."""
NO_EVENTS = frozenset({"item", "item_id", "user_id"})
"""Keys under which no id of an event stands."""


class Forgotten(BaseModel):
    """What was deleted to forget something, and what is left of it."""

    model_config = ConfigDict(frozen=True)

    events: int = Field(default=0, ge=0)
    profiles: int = Field(default=0, ge=0)
    """Versions of the profile."""
    rankings: int = Field(default=0, ge=0)
    answers: int = Field(default=0, ge=0)
    """Answers of models."""
    prefixes: int = Field(default=0, ge=0)
    """States and files of what a local model had read."""
    traces: tuple[str, ...] = ()
    """Where some of it was found afterwards: tables of the store, names of its files; empty for nowhere. In
    the bytes of the files, up to MOST_SEARCHED of the texts are searched for."""
    vacuumed: bool = False
    """Whether the file was written anew from what is left; false while another process reads or writes it,
    or where there is no room for that. Forgetting again tries again."""


@dataclass(frozen=True)
class Deleted:
    """What one transaction deleted, and what must not be found afterwards."""

    counts: dict[str, int]
    """By the field of Forgotten."""
    texts: list[str]
    """The ids of the deleted events and what the person said, as far as no event that is left says it."""
    item_ids: list[str]
    """Of items that no event that is left is about."""


def forget_events(file: StoreFile, user_id: str, event_ids: Collection[str]) -> Forgotten:
    """`Store.forget_events`."""
    if not event_ids:
        return Forgotten()
    forgotten, deleted = _forget(
        file, user_id, lambda connection: delete_events(connection, user_id, event_ids)
    )
    with file.reading() as connection:
        # What was recommended before the person did anything with it stays.
        about = tables_with(connection, user_id, deleted.item_ids, tables=("events", "profiles"))
    traces = dict.fromkeys([*traces_of(file, user_id, deleted.texts), *about, *forgotten.traces])
    return forgotten.model_copy(update={"traces": tuple(traces)})


def forget_person(file: StoreFile, user_id: str, *, unattributed: bool = False) -> Forgotten:
    """`Store.forget_person`."""
    forgotten, deleted = _forget(
        file, user_id, lambda connection: delete_person(connection, user_id), unattributed=unattributed
    )
    traces = dict.fromkeys([*traces_of(file, user_id, [user_id, *deleted.texts]), *forgotten.traces])
    return forgotten.model_copy(update={"traces": tuple(traces)})


def _forget(
    file: StoreFile,
    user_id: str,
    delete: Callable[[sqlite3.Connection], Deleted],
    *,
    unattributed: bool = False,
) -> tuple[Forgotten, Deleted]:
    """Delete, write the file anew, and search its bytes; the traces are those in its bytes."""
    with file.transaction() as connection:
        deleted = delete(connection)
        answers = file.forget_answers(connection, user_id, unattributed=unattributed)
    vacuumed = file.rewrite()
    traces = tuple(_traces_in_files(file, deleted.texts))
    return Forgotten(**deleted.counts, answers=answers, traces=traces, vacuumed=vacuumed), deleted


def _traces_in_files(file: StoreFile, texts: Sequence[str]) -> list[str]:
    """The files in which texts are found that are in no record of anybody."""
    try:
        found = texts_in_files(file, some_of(texts))
    except StoreError as error:
        # What was deleted is deleted.
        logger.warning("%s", error)
        return [f"{file.path.name if file.path else 'memory'} (not searched)"]
    with file.reading() as connection:
        return sorted(
            {name for text, names in found.items() if not is_held(connection, text) for name in names}
        )


def delete_events(connection: sqlite3.Connection, user_id: str, event_ids: Collection[str]) -> Deleted:
    """Delete events of a person and all that was made of them, in the caller's transaction.

    Profiles go that hold one of the ids, and rankings that do or were made from such a profile, or from one
    that is no longer there to tell. Raises sqlite3.Error.
    """
    ids = frozenset(event_ids)
    rows = connection.execute("SELECT event_id, event FROM events WHERE user_id = ?", (user_id,)).fetchall()
    gone = [text for event_id, text in rows if event_id in ids]
    left = Strings(text for event_id, text in rows if event_id not in ids)
    connection.executemany(
        "DELETE FROM events WHERE user_id = ? AND event_id = ?", [(user_id, event_id) for event_id in ids]
    )
    kept: set[int] = set()
    stale: list[int] = []
    for version, text in connection.execute(
        "SELECT version, profile FROM profiles WHERE user_id = ?", (user_id,)
    ):
        if _mentions(text, ids):
            stale.append(version)
        else:
            kept.add(version)
    connection.executemany(
        "DELETE FROM profiles WHERE user_id = ? AND version = ?", [(user_id, version) for version in stale]
    )
    derived = [
        number
        for number, version, text in connection.execute(
            "SELECT number, version, ranking FROM rankings WHERE user_id = ?", (user_id,)
        )
        if version not in kept or _mentions(text, ids)
    ]
    connection.executemany("DELETE FROM rankings WHERE number = ?", [(number,) for number in derived])
    counts = {"events": len(gone), "profiles": len(stale), "rankings": len(derived)}
    texts, item_ids = _said(gone)
    return Deleted(
        counts,
        [text for text in dict.fromkeys([*ids, *texts]) if not left.hold(text)],
        [item_id for item_id in item_ids if not left.hold(item_id)],
    )


def delete_person(connection: sqlite3.Connection, user_id: str) -> Deleted:
    """Delete all records of a person, in the caller's transaction. Raises sqlite3.Error."""
    rows = connection.execute("SELECT event_id, event FROM events WHERE user_id = ?", (user_id,)).fetchall()
    counts = {
        table: connection.execute(f"DELETE FROM {table} WHERE user_id = ?", (user_id,)).rowcount  # noqa: S608
        for table in RECORDS
    }
    connection.execute("DELETE FROM people WHERE user_id = ?", (user_id,))
    texts, item_ids = _said(text for _, text in rows)
    return Deleted(counts, list(dict.fromkeys([*(event_id for event_id, _ in rows), *texts])), item_ids)


def some_of(texts: Sequence[str]) -> list[str]:
    """At most MOST_SEARCHED texts that are long enough to be searched for, evenly from all."""
    long = [text for text in texts if len(text) >= LEAST_CHARACTERS]
    step = max(1, -(-len(long) // MOST_SEARCHED))
    return long[::step]


def _mentions(record: str, event_ids: frozenset[str]) -> bool:
    """Whether the id of an event may be in a record: anywhere but in what tells of an item or a person."""
    there = {event_id for event_id in event_ids if any(f'"{form}"' in record for form in forms_of(event_id))}
    if not there:
        return False
    # A long one is an event's wherever it stands, and need not be looked for.
    if any(len(event_id) >= LEAST_CHARACTERS for event_id in there):
        return True
    said = read_record(record)
    return isinstance(said, str) or any(text in there for text in strings_of(said, without=NO_EVENTS))


def _said(events: Iterable[str]) -> tuple[list[str], list[str]]:
    """The texts and the item ids of events (JSON)."""
    read = [event for event in map(read_record, events) if isinstance(event, dict)]
    texts = [event["text"] for event in read if event.get("text")]
    return texts, list(dict.fromkeys(event["item_id"] for event in read if event.get("item_id")))
