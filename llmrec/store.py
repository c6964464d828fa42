"""What is kept between runs, in one SQLite file: events, profile versions, rankings and model calls."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import threading
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from llmrec.behavior.events import Event
from llmrec.errors import StoreError
from llmrec.interests.profile import InterestProfile
from llmrec.llm.cache import ModelCallCache
from llmrec.ranking.types import Ranking

StoredT = TypeVar("StoredT", bound=BaseModel)

SCHEMA_VERSION = 1
BUSY_SECONDS = 10.0
TABLES = """
CREATE TABLE IF NOT EXISTS events (
    user_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    event TEXT NOT NULL,
    PRIMARY KEY (user_id, event_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS profiles (
    version INTEGER NOT NULL,
    user_id TEXT NOT NULL,
    content TEXT NOT NULL,
    profile TEXT NOT NULL,
    PRIMARY KEY (user_id, version)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rankings (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    ranking TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS rankings_of_user ON rankings (user_id, number);
"""


class PersonSummary(BaseModel):
    """What is kept of one person, in numbers."""

    model_config = ConfigDict(frozen=True)

    user_id: str
    events: int
    profiles: int
    rankings: int


class Store:
    """The SQLite file, or a store in memory. Threads and processes may share one."""

    def __init__(self, path: Path | None = None) -> None:
        """Open or create the file; None keeps everything in memory until it is closed.

        Raises StoreError when the file cannot be used or was written by a newer llmrec.
        """
        self._path = path
        self._lock = threading.RLock()
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                str(path) if path is not None else ":memory:",
                timeout=BUSY_SECONDS,
                check_same_thread=False,
                isolation_level=None,
            )
            # Whoever forgets to close leaves no file open, and no warning.
            weakref.finalize(self, self._connection.close)
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error
        try:
            self._check_version()
            # It switches the file to a write-ahead log, which must come before other processes write.
            self.model_calls = ModelCallCache(path, busy_seconds=BUSY_SECONDS)
            """The answers of models, by the hash of the request."""
            try:
                self._connection.executescript(TABLES)
                self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            except BaseException:
                self.model_calls.close()
                raise
        except sqlite3.Error as error:
            self._connection.close()
            raise self._unusable(error) from error
        except BaseException:
            self._connection.close()
            raise

    def save_events(self, events: Iterable[Event]) -> list[str]:
        """Keep events in their order.

        An event that differs from a kept one of the same person and id takes its place. Returns the ids of
        those. Raises StoreError.
        """
        displaced: list[str] = []
        with self._transaction() as connection:
            start = connection.execute("SELECT coalesce(max(position), 0) FROM events").fetchone()[0]
            for position, event in enumerate(events, start=start + 1):
                text = event.model_dump_json()
                kept = connection.execute(
                    "SELECT event FROM events WHERE user_id = ? AND event_id = ?", (event.user_id, event.id)
                ).fetchone()
                if kept is None:
                    connection.execute(
                        "INSERT INTO events VALUES (?, ?, ?, ?)", (event.user_id, event.id, position, text)
                    )
                elif kept[0] != text:
                    displaced.append(event.id)
                    connection.execute(
                        "UPDATE events SET event = ? WHERE user_id = ? AND event_id = ?",
                        (text, event.user_id, event.id),
                    )
        return displaced

    def events(self, user_id: str) -> list[Event]:
        """The kept events of a person, in the order they were saved. Raises StoreError."""
        rows = self._rows("SELECT event FROM events WHERE user_id = ? ORDER BY position", user_id)
        return [self._read(Event, text) for (text,) in rows]

    def save_profile(self, profile: InterestProfile) -> int:
        """Keep a profile and return its version, from 1 up.

        A profile that says the same as the last one is not kept again. Raises StoreError.
        """
        content = content_hash(profile)
        with self._transaction() as connection:
            last = connection.execute(
                "SELECT version, content FROM profiles WHERE user_id = ? ORDER BY version DESC LIMIT 1",
                (profile.user_id,),
            ).fetchone()
            if last and last[1] == content:
                return int(last[0])
            version = (last[0] if last else 0) + 1
            connection.execute(
                "INSERT INTO profiles VALUES (?, ?, ?, ?)",
                (version, profile.user_id, content, profile.model_dump_json()),
            )
            return int(version)

    def profile(self, user_id: str, version: int | None = None) -> InterestProfile | None:
        """One version of a person's profile, the last one unless named; None when there is none."""
        if version is None:
            rows = self._rows(
                "SELECT profile FROM profiles WHERE user_id = ? ORDER BY version DESC LIMIT 1", user_id
            )
        else:
            rows = self._rows(
                "SELECT profile FROM profiles WHERE user_id = ? AND version = ?", user_id, version
            )
        return self._read(InterestProfile, rows[0][0]) if rows else None

    def version_of(self, profile: InterestProfile) -> int | None:
        """The last kept version that says what this profile says; None when there is none."""
        rows = self._rows(
            "SELECT max(version) FROM profiles WHERE user_id = ? AND content = ?",
            profile.user_id,
            content_hash(profile),
        )
        return rows[0][0] if rows else None

    def profile_versions(self, user_id: str) -> list[int]:
        """The versions of a person's profile, oldest first."""
        rows = self._rows("SELECT version FROM profiles WHERE user_id = ? ORDER BY version", user_id)
        return [row[0] for row in rows]

    def save_ranking(self, ranking: Ranking, version: int) -> int:
        """Keep a ranking made from a version of the profile, and return its number. Raises StoreError."""
        with self._transaction() as connection:
            cursor = connection.execute(
                "INSERT INTO rankings (user_id, version, ranking) VALUES (?, ?, ?)",
                (ranking.user_id, version, ranking.model_dump_json()),
            )
            return int(cursor.lastrowid or 0)

    def rankings(self, user_id: str) -> list[Ranking]:
        """All rankings of a person, oldest first."""
        rows = self._rows("SELECT ranking FROM rankings WHERE user_id = ? ORDER BY number", user_id)
        return [self._read(Ranking, text) for (text,) in rows]

    def people(self) -> list[PersonSummary]:
        """Everyone something is kept of, by id."""
        rows = self._rows(
            "SELECT user_id, sum(e), sum(p), sum(r) FROM ("
            " SELECT user_id, count(*) e, 0 p, 0 r FROM events GROUP BY user_id"
            " UNION ALL SELECT user_id, 0, count(*), 0 FROM profiles GROUP BY user_id"
            " UNION ALL SELECT user_id, 0, 0, count(*) FROM rankings GROUP BY user_id"
            ") GROUP BY user_id ORDER BY user_id"
        )
        return [PersonSummary(user_id=u, events=e, profiles=p, rankings=r) for u, e, p, r in rows]

    def close(self) -> None:
        """Close the file. Closing twice is allowed."""
        with self._lock:
            self._connection.close()
        self.model_calls.close()

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

    def _check_version(self) -> None:
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise StoreError(f"the store {self._path} was written by a newer llmrec: update llmrec")

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("ROLLBACK")

    def _rows(self, query: str, *values: object) -> list[Any]:
        with self._lock:
            try:
                return self._connection.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise self._unusable(error) from error

    def _read(self, kind: type[StoredT], text: str) -> StoredT:
        try:
            return kind.model_validate_json(text)
        except ValidationError as error:
            raise StoreError(
                f"the store at {self._path or 'memory'} holds a record ({kind.__name__}) that this llmrec "
                "cannot read: use the llmrec that wrote it, or another file"
            ) from error

    def _unusable(self, error: Exception) -> StoreError:
        return StoreError(
            f"the store at {self._path or 'memory'} cannot be used ({error}): "
            "close what else holds it, make room on the disk, or choose another file"
        )


def content_hash(profile: InterestProfile) -> str:
    """A hash of what a profile says, whenever and however fast it was made."""
    said = profile.model_dump_json(exclude={"created", "seconds", "usage", "report"})
    return hashlib.sha256(said.encode()).hexdigest()
