"""Files that are whole or not there."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from llmrec.llm.cache_files import remove_unfinished, unfinished_file, write_whole


def test_a_text_is_written_into_a_folder_that_was_not_there(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "folder" / "facts.json"
    write_whole(path, "爱\n")
    write_whole(path, "愛\n")
    assert path.read_bytes() == "愛\n".encode()
    assert [file.name for file in path.parent.iterdir()] == ["facts.json"]


def test_nobody_reads_a_part(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    texts = [letter * 300_000 for letter in "ab"]
    write_whole(path, texts[0])
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            for text in texts:
                write_whole(path, text)

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(100):
            assert path.read_text() in texts
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert [file.name for file in tmp_path.iterdir()] == ["facts.json"]


def test_what_fails_in_between_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with unfinished_file(tmp_path, ".json") as unfinished:
        assert [file.stat().st_size for file in tmp_path.iterdir()] == [0]
        unfinished.write_text("half")
    assert list(tmp_path.iterdir()) == []

    write_whole(tmp_path / "facts.json", "old")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Access is denied")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(PermissionError):
        write_whole(tmp_path / "facts.json", "new")
    assert [file.read_text() for file in tmp_path.iterdir()] == ["old"]


def test_only_what_was_left_an_hour_ago_is_removed(tmp_path: Path) -> None:
    old, new, other = (tmp_path / name for name in (".preparing-old.gguf", ".preparing-new.json", "old.json"))
    for file in (old, new, other):
        file.touch()
    for file in (old, other):
        os.utime(file, (time.time() - 4000,) * 2)
    remove_unfinished(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([new, other])
    remove_unfinished(tmp_path / "nowhere")
