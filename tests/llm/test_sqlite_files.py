"""SQLite files: for their owner alone, and without what was deleted from them."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmrec.llm.sqlite_files import connect

needs_modes = pytest.mark.skipif(os.name == "nt", reason="this system has no such permissions")


@pytest.fixture
def no_mask() -> Iterator[None]:
    mask = os.umask(0)
    yield
    os.umask(mask)


@needs_modes
def test_a_new_file_and_what_lies_beside_it_are_for_the_owner(tmp_path: Path, no_mask: None) -> None:
    path = tmp_path / "folder" / "file.db"
    with contextlib.closing(connect(path, busy_seconds=1)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE things (name TEXT)")
        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    assert modes == {"file.db": 0o600, "file.db-wal": 0o600, "file.db-shm": 0o600}


@needs_modes
def test_a_file_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "file.db"
    path.touch()
    path.chmod(0o640)
    connect(path, busy_seconds=1).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_what_is_deleted_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "file.db"
    with contextlib.closing(connect(path, busy_seconds=1)) as connection:
        connection.execute("CREATE TABLE things (name TEXT)")
        connection.executemany(
            "INSERT INTO things VALUES (?)",
            [(f"the secret {number} " + "is long " * number,) for number in range(300)],
        )
        assert path.read_bytes().count(b"the secret ") == 300
        connection.execute("DELETE FROM things WHERE name LIKE '%secret%'")
        assert connection.execute("PRAGMA secure_delete").fetchone() == (1,)
    assert b"secret" not in path.read_bytes()
    assert b"is long" not in path.read_bytes()


def test_nothing_is_asked_of_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("my diary, " * 500)
    connection = connect(path, busy_seconds=1)
    with contextlib.closing(connection), pytest.raises(sqlite3.DatabaseError):
        connection.execute("SELECT * FROM sqlite_master")
    assert path.read_text() == "my diary, " * 500


def test_a_place_where_no_file_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match="file"):
        connect(tmp_path / "file" / "below.db", busy_seconds=1)
    with pytest.raises(sqlite3.Error):
        connect(tmp_path, busy_seconds=1)


def test_in_memory_another_thread_may_use_it() -> None:
    with contextlib.closing(connect(None, busy_seconds=1)) as connection:
        connection.execute("CREATE TABLE things (name TEXT)")
        thread = threading.Thread(target=connection.execute, args=("INSERT INTO things VALUES ('x')",))
        thread.start()
        thread.join()
        assert connection.execute("SELECT name FROM things").fetchall() == [("x",)]
