"""The file of a store: its tables, transactions, and writing it anew without what was deleted."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

from llmrec.errors import StoreError
from llmrec.llm.model_calls import ModelCallCache, forget_answers
from llmrec.llm.sqlite_files import connect
from llmrec.store.upgrade import upgrade_from_1

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 2
BUSY_SECONDS = 10.0
CACHE_KILOBYTES = 8_000
REWRITING_WAITS = 1.0
"""Seconds to wait for others before the file is left as it is after forgetting."""
TABLES = (
    """
    CREATE TABLE IF NOT EXISTS events (
        user_id TEXT NOT NULL,
        event_id TEXT NOT NULL,
        position INTEGER NOT NULL,
        event TEXT NOT NULL,
        PRIMARY KEY (user_id, event_id)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS profiles (
        version INTEGER NOT NULL,
        user_id TEXT NOT NULL,
        content TEXT NOT NULL,
        profile TEXT NOT NULL,
        PRIMARY KEY (user_id, version)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS rankings (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        user_id TEXT NOT NULL,
        version INTEGER NOT NULL,
        ranking TEXT NOT NULL
    )
    """,
    "CREATE INDEX IF NOT EXISTS rankings_of_user ON rankings (user_id, number)",
    # The last version there ever was, so that no number is given twice, and when it was saved (seconds).
    """
    CREATE TABLE IF NOT EXISTS people (
        user_id TEXT PRIMARY KEY,
        last_version INTEGER NOT NULL,
        saved REAL NOT NULL
    ) WITHOUT ROWID
    """,
)


class StoreFile:
    """One SQLite file, or a database in memory, with the answers of models beside the other tables.

    Threads take turns; processes may share a file. What is deleted is overwritten.
    """

    def __init__(self, path: Path | None) -> None:
        """Open or create the file, for its owner alone to read, and bring an older one up to date.

        Raises StoreError when it cannot be used or was written by a newer llmrec.
        """
        self.path = path
        self._lock = threading.RLock()
        try:
            self._connection = connect(path, busy_seconds=BUSY_SECONDS)
            # Whoever forgets to close leaves no file open, and no warning.
            weakref.finalize(self, self._connection.close)
        except (OSError, sqlite3.Error) as error:
            raise self.unusable(error) from error
        try:
            self._version()
            # A profile of a thousand events is a megabyte, and what does not fit is written twice.
            self._connection.execute(f"PRAGMA cache_size = -{CACHE_KILOBYTES}")
            # It switches the file to a write-ahead log, which must come before other processes write.
            self.model_calls = ModelCallCache(path, busy_seconds=BUSY_SECONDS)
            """The answers of models, by the hash of the request."""
            try:
                self._bring_up_to_date()
            except BaseException:
                self.model_calls.close()
                raise
        except sqlite3.Error as error:
            self._connection.close()
            raise self.unusable(error) from error
        except BaseException:
            self._connection.close()
            raise

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Inside, all that is written is kept in the end or nothing is. Raises StoreError."""
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                self._roll_back()
                raise self.unusable(error) from error
            except BaseException:
                self._roll_back()
                raise

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Inside, no other thread has the connection. Raises StoreError."""
        with self._lock:
            try:
                yield self._connection
            except sqlite3.Error as error:
                raise self.unusable(error) from error

    def forget_answers(self, connection: sqlite3.Connection, user_id: str, *, unattributed: bool) -> int:
        """`ModelCallCache.forget_person` within a transaction of this file. Raises what that raises."""
        if self.path is None:
            # In memory the answers are a database of their own.
            return self.model_calls.forget_person(user_id, unattributed=unattributed)
        return forget_answers(connection, user_id, unattributed=unattributed)

    def rewrite(self) -> bool:
        """Write the file anew without what was deleted; false while others are at work, or without room."""
        with self._lock:
            try:
                self._connection.execute(f"PRAGMA busy_timeout = {int(1000 * REWRITING_WAITS)}")
                if not self._empty_log():
                    return False
                self._connection.execute("VACUUM")
                return self._empty_log()
            except sqlite3.Error as error:
                logger.info("the store at %s was not written anew: %s", self.path, error)
                return False
            finally:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute(f"PRAGMA busy_timeout = {int(1000 * BUSY_SECONDS)}")

    def close(self) -> None:
        """Close the file. Closing twice is allowed."""
        with self._lock:
            self._connection.close()
        self.model_calls.close()

    def unusable(self, error: Exception) -> StoreError:
        """What to tell of an error of SQLite or of the system."""
        return StoreError(
            f"the store at {self.path or 'memory'} cannot be used ({error}): "
            "close what else holds it, make room on the disk, or choose another file"
        )

    def _version(self) -> int:
        version: int = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise StoreError(f"the store {self.path} was written by a newer llmrec: update llmrec")
        return version

    def _bring_up_to_date(self) -> None:
        if self._version() == SCHEMA_VERSION:
            return
        with self.transaction() as connection:
            # Another process may have done it meanwhile, or be newer.
            if self._version() < SCHEMA_VERSION:
                for table in TABLES:
                    connection.execute(table)
                upgrade_from_1(connection)
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _empty_log(self) -> bool:
        busy: int = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        return not busy

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("ROLLBACK")
