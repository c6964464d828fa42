"""Searching the bytes of a SQLite file: nothing that lies there is missed, and no lock is lost."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llmrec.store import file_search
from llmrec.store.file_search import LEAST_CHARACTERS, UNDER_SEARCH, forms_of, search, texts_in_file

SECRET = "quiet films about 雨夜"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.db"


def opened(
    path: Path, *, page_size: int = 4096, log: bool = False, secure: bool = False
) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA page_size = {page_size}")
    connection.execute(f"PRAGMA secure_delete = {'ON' if secure else 'OFF'}")
    connection.execute(f"PRAGMA journal_mode = {'WAL' if log else 'DELETE'}")
    connection.execute("CREATE TABLE things (content TEXT)")
    return connection


def put(connection: sqlite3.Connection, content: str) -> None:
    connection.execute("INSERT INTO things VALUES (?)", (content,))


class TestFormsOf:
    @pytest.mark.parametrize(
        ("text", "forms"),
        [
            ("plain", ("plain",)),
            ('say "no"', ('say "no"', 'say \\"no\\"')),
            ("雨", ("雨", "\\u96e8")),
            ("two\nlines", ("two\nlines", "two\\nlines")),
        ],
    )
    def test_it_is_how_json_may_write_a_text(self, text: str, forms: tuple[str, ...]) -> None:
        assert forms_of(text) == forms


class TestTextsInFile:
    @pytest.mark.parametrize("log", [False, True])
    def test_a_text_is_found_where_it_lies(self, path: Path, log: bool) -> None:
        with contextlib.closing(opened(path, log=log)) as connection:
            put(connection, f"{SECRET} and more")
            place = "file.db-wal" if log else "file.db"
            assert texts_in_file(path, [SECRET, "never said"]) == {SECRET: [place]}
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            assert texts_in_file(path, [SECRET]) == {SECRET: ["file.db"]}

    @pytest.mark.parametrize("ascii_alone", [False, True])
    def test_also_within_json(self, path: Path, ascii_alone: bool) -> None:
        told = f'{SECRET}, "please"\n'
        with contextlib.closing(opened(path)) as connection:
            put(connection, json.dumps({"text": told}, ensure_ascii=ascii_alone))
        assert texts_in_file(path, [told]) == {told: ["file.db"]}

    @pytest.mark.parametrize("secure", [False, True])
    def test_a_deleted_text_is_found_unless_it_was_overwritten(self, path: Path, secure: bool) -> None:
        with contextlib.closing(opened(path, secure=secure)) as connection:
            put(connection, "x" * 3000)
            put(connection, SECRET)
            connection.execute("DELETE FROM things WHERE content = ?", (SECRET,))
        assert texts_in_file(path, [SECRET]) == ({} if secure else {SECRET: ["file.db"]})

    def test_short_texts_are_not_searched_for(self, path: Path) -> None:
        with contextlib.closing(opened(path)) as connection:
            put(connection, "12345678")
        assert texts_in_file(path, ["1234567", "12345678"]) == {"12345678": ["file.db"]}
        assert LEAST_CHARACTERS == 8

    def test_a_file_that_is_not_there_holds_nothing(self, path: Path) -> None:
        assert texts_in_file(path, [SECRET]) == {}

    def test_it_takes_no_lock_away(self, path: Path) -> None:
        """Within this process, reading the file would: another process could then write."""
        with contextlib.closing(opened(path)) as connection:
            put(connection, SECRET)
            connection.execute("BEGIN EXCLUSIVE")
            put(connection, "more")
            texts_in_file(path, [SECRET])
            program = (
                "import sqlite3, sys\n"
                "connection = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)\n"
                "connection.execute('BEGIN EXCLUSIVE')\n"
            )
            other = subprocess.run(
                [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False
            )
            assert "database is locked" in other.stderr
            connection.execute("COMMIT")

    @pytest.mark.parametrize("answer", ["exit(3)", "print('no JSON')"])
    def test_a_search_that_fails_is_told(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
    ) -> None:
        opened(path).close()
        run = subprocess.run

        def broken(command: list[str], **options: Any) -> Any:
            return run([command[0], "-c", answer], **options)

        monkeypatch.setattr(subprocess, "run", broken)
        with pytest.raises(OSError, match=r"the search in file\.db failed"):
            texts_in_file(path, [SECRET])

    def test_one_that_does_not_end_is_told(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        opened(path).close()
        monkeypatch.setattr(file_search, "SEARCH_ENDS_WITHIN", 0.0)
        with pytest.raises(OSError, match="failed"):
            texts_in_file(path, [SECRET])

    def test_a_program_that_embeds_python_does_not_start_itself_again(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opened(path).close()
        monkeypatch.setenv(UNDER_SEARCH, "1")
        with pytest.raises(OSError, match="no interpreter"):
            texts_in_file(path, [SECRET])


class TestSearch:
    @pytest.mark.parametrize("page_size", [512, 4096, 65_536])
    @pytest.mark.parametrize("log", [False, True])
    def test_a_text_over_the_edge_of_a_page_is_found(self, path: Path, page_size: int, log: bool) -> None:
        """Wherever it begins within a long record, four bytes stand at the edge of each page."""
        texts = [f"{number:04} {SECRET}" for number in range(3000 if page_size < 60_000 else 9000)]
        with contextlib.closing(opened(path, page_size=page_size, log=log)) as connection:
            put(connection, "".join(texts))
            file = path.with_name("file.db-wal") if log else path
            sought = {text: [text] for text in texts[20:-20]}
            # What a record begins with lies in another place than the rest of it.
            assert len(sought) - len(search(file, sought)) <= 1
            assert search(file, {"none": ["never said"]}) == set()

    def test_a_text_over_the_edge_of_what_is_read_at_once_is_found(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(file_search, "PAGES_AT_ONCE", 1)
        texts = [f"{number:04} {SECRET}" for number in range(2000)]
        with contextlib.closing(opened(path)) as connection:
            put(connection, "".join(texts))
        assert len(search(path, {text: [text] for text in texts[200:-200]})) >= len(texts) - 401

    def test_any_form_will_do(self, path: Path) -> None:
        path.write_bytes(b"x" * 100 + b"found me" + b"x" * 100)
        assert search(path, {"a": ["nothing", "found me"], "b": ["nothing"]}) == {"a"}

    def test_an_empty_file_holds_nothing(self, path: Path) -> None:
        path.touch()
        assert search(path, {"a": ["found me"]}) == set()
        assert search(path, {}) == set()
