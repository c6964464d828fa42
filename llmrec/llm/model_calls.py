"""Answers of a language model in SQLite, by the hash of the request, and whose they are."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal

from llmrec.errors import StoreError
from llmrec.llm.sqlite_files import connect

logger = logging.getLogger(__name__)

BUSY_SECONDS = 5.0
# SQLite allows 999 variables in one statement in its older builds.
KEYS_PER_QUERY = 500

TABLES = (
    """
    CREATE TABLE IF NOT EXISTS model_calls (
        key TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        model TEXT NOT NULL,
        prompt_id TEXT NOT NULL,
        answer TEXT NOT NULL,
        created REAL NOT NULL
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS model_call_people (
        key TEXT NOT NULL,
        user_id TEXT NOT NULL,
        PRIMARY KEY (key, user_id)
    ) WITHOUT ROWID
    """,
)

# Only of answers that are still there: one may have been forgotten by another process meanwhile.
NOTE_FOUND_ANSWER = "INSERT OR IGNORE INTO model_call_people SELECT key, ? FROM model_calls WHERE key = ?"
ANSWERS_OF_PERSON = """
SELECT answer FROM model_calls WHERE key IN (SELECT key FROM model_call_people WHERE user_id = ?)
"""
REMOVE_ANSWERS_OF_PERSON = """
DELETE FROM model_calls WHERE key IN (
    SELECT key FROM model_call_people AS own WHERE user_id = :person AND NOT EXISTS (
        SELECT 1 FROM model_call_people AS other WHERE other.key = own.key AND other.user_id <> :person
    )
)
"""
REMOVE_UNATTRIBUTED_ANSWERS = """
DELETE FROM model_calls WHERE NOT EXISTS (
    SELECT 1 FROM model_call_people AS noted WHERE noted.key = model_calls.key
)
"""
REMOVE_STRAY_NOTES = """
DELETE FROM model_call_people WHERE NOT EXISTS (
    SELECT 1 FROM model_calls WHERE model_calls.key = model_call_people.key
)
"""

Batch = tuple[str, Sequence[tuple[Any, ...]]]
"""A statement, and the rows it is run with."""

_prompt_id: ContextVar[str] = ContextVar("llmrec_prompt_id", default="")
_user_id: ContextVar[str] = ContextVar("llmrec_user_id", default="")


@contextlib.contextmanager
def naming_prompt(prompt_id: str) -> Iterator[None]:
    """Store the calls made inside, by this thread, under the fingerprint of the prompt they came from."""
    token = _prompt_id.set(prompt_id)
    try:
        yield
    finally:
        _prompt_id.reset(token)


@contextlib.contextmanager
def naming_person(user_id: str) -> Iterator[None]:
    """Note the answers that are stored or found inside, by this thread, as this person's.

    That is what `ModelCallCache.forget_person` goes by; an empty id names nobody.
    """
    token = _user_id.set(user_id)
    try:
        yield
    finally:
        _user_id.reset(token)


class ModelCallCache:
    """A table of answers by key. Threads and processes may share one file.

    A request's text is not stored, only its hash; an answer is, and who `naming_person` named when it was
    stored or found.
    """

    def __init__(
        self, path: Path | None = None, *, busy_seconds: float = BUSY_SECONDS, notes_people: bool = True
    ) -> None:
        """Open or create the file, for its owner alone to read; None keeps the answers in memory.

        `busy_seconds` is how long another process may hold the file. Without `notes_people` nobody's name is
        ever noted: for answers about nobody in particular. Raises StoreError when the file is not a database,
        is locked for longer, or cannot be written.
        """
        self._path = path
        self._notes_people = notes_people
        self._lock = threading.Lock()
        self._warned = False
        try:
            self._connection = connect(path, busy_seconds=busy_seconds)
            # Whoever forgets to close leaves no file open, and no warning.
            weakref.finalize(self, self._connection.close)
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error
        try:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            for table in TABLES:
                self._connection.execute(table)
            # An open file may still refuse to be written; better to learn it now than after an answer.
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._connection.close()
            raise self._unusable(error) from error

    def __len__(self) -> int:
        with self._lock:
            count: int = self._execute("SELECT count(*) FROM model_calls").fetchone()[0]
        return count

    def find(self, keys: Sequence[str]) -> dict[str, str]:
        """Return the stored answers (JSON) of those keys that have one.

        Where a person is named, those that were not yet noted as this person's are; what hinders that costs
        a warning. Raises StoreError.
        """
        found: dict[str, str] = {}
        unnoted: list[str] = []
        person = self._person()
        with self._lock:
            for begin in range(0, len(keys), KEYS_PER_QUERY):
                some = list(keys[begin : begin + KEYS_PER_QUERY])
                marks = ",".join("?" * len(some))
                query = (
                    "SELECT key, answer, ? = '' OR EXISTS ("  # noqa: S608
                    " SELECT 1 FROM model_call_people AS noted"
                    " WHERE noted.key = model_calls.key AND noted.user_id = ?"
                    f") FROM model_calls WHERE key IN ({marks})"
                )
                for key, answer, noted in self._execute(query, [person, person, *some]).fetchall():
                    found[key] = answer
                    if not noted:
                        unnoted.append(key)
            if unnoted:
                rows = [(person, key) for key in unnoted]
                self._write([(NOTE_FOUND_ANSWER, rows)], "whose answers they are is")
        return found

    def store(self, answers: Mapping[str, str], *, kind: Literal["generate", "score"], model: str) -> None:
        """Store answers (JSON) by key, in one transaction; the caller has its answers in any case.

        They are noted as the answers of the person who is named, if one is. A full disk, a lock held too long
        or a file that became read-only cost only the memory: the first one is logged as a warning. Raises
        StoreError when the file is damaged.
        """
        now, prompt_id, person = time.time(), _prompt_id.get(), self._person()
        batches: list[Batch] = [
            (
                "INSERT OR REPLACE INTO model_calls VALUES (?,?,?,?,?,?)",
                [(key, kind, model, prompt_id, answer, now) for key, answer in answers.items()],
            )
        ]
        if person:
            batches.append(
                ("INSERT OR IGNORE INTO model_call_people VALUES (?,?)", [(key, person) for key in answers])
            )
        with self._lock:
            self._write(batches, "answers are")

    def remove_oldest(self, *, above: int, left: int) -> int:
        """With more than `above` answers, remove the oldest until `left` are there; return how many went.

        The file keeps its size, and new answers take their places. Raises StoreError.
        """
        if len(self) <= above:
            return 0
        # Counted again while nobody else can write: two processes must not both remove the excess.
        excess = "SELECT max(0, count(*) - ?) FROM model_calls"
        oldest = f"SELECT key FROM model_calls ORDER BY created, key LIMIT ({excess})"  # noqa: S608
        with self._transaction() as connection:
            removed = connection.execute(f"DELETE FROM model_calls WHERE key IN ({oldest})", [left]).rowcount  # noqa: S608
            connection.execute(REMOVE_STRAY_NOTES)
            return removed

    def forget_person(self, user_id: str, *, unattributed: bool = False) -> int:
        """Forget that answers are this person's, and those answers that are nobody else's.

        Answers that were stored or found while nobody was named stay, unless `unattributed` is true: then
        all those go that are noted as nobody's, whoever they came from. Returns how many answers went; all
        or none do. Raises StoreError.
        """
        with self._transaction() as connection:
            return forget_answers(connection, user_id, unattributed=unattributed)

    def answers_of(self, user_id: str) -> list[str]:
        """The answers (JSON) that are noted as this person's, others' or not. Raises StoreError."""
        with self._lock:
            rows = self._execute(ANSWERS_OF_PERSON, [user_id]).fetchall()
        return [answer for (answer,) in rows]

    def clear(self) -> None:
        """Forget every answer, and whose they were. Raises StoreError."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM model_calls")
            connection.execute("DELETE FROM model_call_people")

    def close(self) -> None:
        """Close the file. Closing twice is allowed; using the cache afterwards raises StoreError."""
        with self._lock:
            self._connection.close()

    def _person(self) -> str:
        return _user_id.get() if self._notes_people else ""

    def _write(self, batches: Sequence[Batch], what: str) -> None:
        """Write batches of rows in one transaction, or warn the first time that `what` is no longer kept."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for statement, rows in batches:
                self._connection.executemany(statement, rows)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            if not isinstance(error, sqlite3.OperationalError):
                raise self._unusable(error) from error
            if not self._warned:
                self._warned = True
                logger.warning("%s no longer kept in %s: %s", what, self._path, error)
        except BaseException:
            self._roll_back()
            raise

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                self._roll_back()
                raise self._unusable(error) from error
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("ROLLBACK")

    def _execute(self, statement: str, parameters: Sequence[str | int] = ()) -> sqlite3.Cursor:
        try:
            return self._connection.execute(statement, parameters)
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> StoreError:
        return StoreError(
            f"the cache of model answers at {self._path or 'memory'} cannot be used ({error}): "
            "close what else holds it, delete the file, or choose another one"
        )


def forget_answers(connection: sqlite3.Connection, user_id: str, *, unattributed: bool = False) -> int:
    """`ModelCallCache.forget_person` as a part of the caller's transaction on the same file.

    Raises sqlite3.Error.
    """
    removed = connection.execute(REMOVE_ANSWERS_OF_PERSON, {"person": user_id}).rowcount
    connection.execute("DELETE FROM model_call_people WHERE user_id = ?", (user_id,))
    if unattributed:
        removed += connection.execute(REMOVE_UNATTRIBUTED_ANSWERS).rowcount
    return removed
