"""The file of a store: who may read it, how an older one is brought up to date, and a full disk."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from llmrec.behavior.events import Event
from llmrec.errors import StoreError
from llmrec.store import SCHEMA_VERSION, Store
from llmrec.store.file import StoreFile
from tests.profiles import profile_of

# What llmrec 0.1.0 made a store with.
VERSION_1 = """
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
CREATE TABLE IF NOT EXISTS model_calls (
    key TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    model TEXT NOT NULL,
    prompt_id TEXT NOT NULL,
    answer TEXT NOT NULL,
    created REAL NOT NULL
) WITHOUT ROWID;
PRAGMA user_version = 1;
"""
SAID = Event(user_id="ana", action="say", text="quiet films for a rainy evening")


def old_store(path: Path, versions: int = 25) -> Path:
    """A file of version 1: a person with a sentence, profiles, and a model's answer."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(VERSION_1)
        connection.execute(
            "INSERT INTO events VALUES (?, ?, 1, ?)", (SAID.user_id, SAID.id, SAID.model_dump_json())
        )
        for version in range(1, versions + 1):
            profile = profile_of([SAID], notes=(f"version {version}",))
            connection.execute(
                "INSERT INTO profiles VALUES (?, 'ana', ?, ?)",
                (version, f"hash {version}", profile.model_dump_json()),
            )
        connection.execute("INSERT INTO model_calls VALUES ('k', 'score', 'm', 'p', '{}', 1.0)")
    return path


class TestVersion1:
    def test_all_of_it_is_there_and_numbers_go_on(self, tmp_path: Path) -> None:
        store = Store(old_store(tmp_path / "store.db"))
        assert store.events("ana") == [SAID]
        assert store.profile_versions("ana") == list(range(1, 26))
        assert store.profile("ana", 7) is not None
        assert len(store.model_calls) == 0, "nothing told whose they were"
        assert store.save_profile(profile_of([SAID], notes=("new",))) == 26
        assert store.profile_versions("ana") == list(range(7, 27))
        assert [profile.notes for profile in store.last_profiles()] == [("new",)]
        store.close()
        with contextlib.closing(sqlite3.connect(tmp_path / "store.db")) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)

    def test_it_can_be_forgotten_to_the_last_byte(self, tmp_path: Path) -> None:
        path = old_store(tmp_path / "store.db")
        store = Store(path)
        assert store.forget_person("ana").events == 1
        assert len(store.model_calls) == 0
        store.close()
        assert b"rainy" not in path.read_bytes()

    def test_a_migration_that_fails_leaves_it_as_it_was(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = old_store(tmp_path / "store.db")
        with monkeypatch.context() as patch:
            patch.setattr("llmrec.store.upgrade.COUNT_VERSIONS", "INSERT INTO nowhere VALUES (1)")
            with pytest.raises(StoreError, match="nowhere"):
                Store(path)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (1,)
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            assert "people" not in tables
        store = Store(path)
        assert store.save_profile(profile_of([SAID], notes=("new",))) == 26
        store.close()

    def test_several_that_open_it_at_once_migrate_it_once(self, tmp_path: Path) -> None:
        path = old_store(tmp_path / "store.db")
        barrier = threading.Barrier(4)
        saved: list[int] = []
        faults: list[BaseException] = []

        def open_it(number: int) -> None:
            try:
                barrier.wait(10)
                with contextlib.closing(Store(path)) as store:
                    saved.append(store.save_profile(profile_of([SAID], notes=(f"by {number}",))))
            except BaseException as error:
                faults.append(error)

        threads = [threading.Thread(target=open_it, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert faults == []
        assert sorted(saved) == [26, 27, 28, 29]


@pytest.mark.skipif(os.name == "nt", reason="this system has no such permissions")
def test_a_named_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        store = Store(tmp_path / "named.db")
        store.save_events([SAID])
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        store.close()
    finally:
        os.umask(mask)
    assert modes == {"named.db": 0o600, "named.db-wal": 0o600, "named.db-shm": 0o600}


def test_every_connection_overwrites_what_it_deletes(tmp_path: Path) -> None:
    for path in (tmp_path / "store.db", None):
        file = StoreFile(path)
        for connection in (file._connection, file.model_calls._connection):
            assert connection.execute("PRAGMA secure_delete").fetchone() == (1,)
        file.close()


class TestRewrite:
    def test_a_file_shrinks_to_what_is_left(self, tmp_path: Path) -> None:
        path = tmp_path / "store.db"
        file = StoreFile(path)
        with file.transaction() as connection:
            connection.execute("CREATE TABLE things (content TEXT)")
            connection.execute("INSERT INTO things VALUES (?)", ("x" * 1_000_000,))
        with file.transaction() as connection:
            connection.execute("DELETE FROM things")
        assert file.rewrite()
        assert path.stat().st_size < 100_000
        assert path.with_name("store.db-wal").stat().st_size == 0
        file.close()

    @pytest.mark.parametrize("at_work", ["BEGIN IMMEDIATE", "BEGIN"])
    def test_one_that_others_are_at_work_on_is_left_for_now(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_work: str
    ) -> None:
        monkeypatch.setattr("llmrec.store.file.REWRITING_WAITS", 0.05)
        file = StoreFile(tmp_path / "store.db")
        other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
        other.execute(at_work)
        other.execute("SELECT * FROM events").fetchall()
        with contextlib.suppress(StoreError):
            if at_work == "BEGIN":
                with file.transaction() as connection:
                    connection.execute("INSERT INTO people VALUES ('ana', 1, 0)")
        assert not file.rewrite()
        assert file._connection.execute("PRAGMA busy_timeout").fetchone() == (10_000,)
        other.close()
        assert file.rewrite()
        file.close()

    def test_another_that_only_has_it_open_is_no_hindrance(self, tmp_path: Path) -> None:
        file, other = StoreFile(tmp_path / "store.db"), StoreFile(tmp_path / "store.db")
        assert file.rewrite()
        with other.reading() as connection:
            assert connection.execute("SELECT count(*) FROM people").fetchone() == (0,)
        other.close()
        file.close()

    def test_in_memory_nothing_is_left_either(self) -> None:
        file = StoreFile(None)
        assert file.rewrite()
        file.close()

    def test_a_closed_one_is_not_written(self, tmp_path: Path) -> None:
        file = StoreFile(tmp_path / "store.db")
        file.close()
        assert not file.rewrite()


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from llmrec.errors import StoreError
from llmrec.store import Store
from tests.profiles import profile_of
from tests.store.test_file import SAID

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = Store(Path(sys.argv[1]))
store.save_events([SAID])
profiles = [profile_of([SAID], notes=("long " * 9000, str(number))) for number in range(3)]
store.save_profile(profiles[0])
store.model_calls.store({"k": "{}"}, kind="score", model="m")
before = (store.events("ana"), store.profile("ana"), len(store.model_calls))
plenty = resource.getrlimit(resource.RLIMIT_FSIZE)
# No file can grow beyond this: as a disk that is full.
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, plenty[1]))
for fill in (
    lambda: store.save_profile(profiles[1]),
    lambda: store.forget_events("ana", [SAID.id]),
    lambda: store.forget_person("ana"),
):
    try:
        fill()
    except StoreError as error:
        assert "make room on the disk" in str(error), error
    else:
        raise AssertionError("it was told nothing")
    assert (store.events("ana"), store.profile("ana"), len(store.model_calls)) == before
resource.setrlimit(resource.RLIMIT_FSIZE, plenty)
assert store.save_profile(profiles[2]) == 2
forgotten = store.forget_person("ana")
assert (forgotten.events, forgotten.profiles, forgotten.traces) == (1, 2, ()), forgotten
assert forgotten.vacuumed
store.close()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no such limits")
def test_a_full_disk_is_told_and_loses_nothing(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "store.db")],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
