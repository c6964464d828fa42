"""The head of a file with a state, and forgetting all files; damaged ones are tested with the states."""

from __future__ import annotations

import json
import mmap
import os
import stat
import sys
from pathlib import Path

import numpy as np
import pytest

from llmrec.errors import StoreError
from llmrec.llm.prefix_files import (
    HEADER_BYTES,
    MARK,
    content_digest,
    forget_files,
    forgotten_at,
    read_header,
)


def write(path: Path, *, tokens: int, logits: int, body: bytes, padding: str = "") -> Path:
    header = {"tokens": tokens, "logits": logits, "sha256": "abc", "padding": padding}
    path.write_bytes(json.dumps(header).encode() + b"\n" + body)
    return path


def test_a_header_is_read_and_no_more(tmp_path: Path) -> None:
    path = write(tmp_path / "file", tokens=2, logits=1, body=b"x" * 12)
    with path.open("rb") as file:
        assert read_header(file) == (2, 1, "abc")
        assert file.read() == b"x" * 12


@pytest.mark.parametrize(("tokens", "logits"), [(0, 1), (2, -1), (2, 2), (True, 1)])
def test_one_that_says_what_cannot_be_is_refused(tmp_path: Path, tokens: int, logits: int) -> None:
    path = write(tmp_path / "file", tokens=tokens, logits=logits, body=b"x" * 12)
    with path.open("rb") as file, pytest.raises(ValueError, match="shorter than it says"):
        read_header(file)


def test_one_without_end_is_not_read_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "file", tokens=2, logits=1, body=b"x" * 12, padding="p" * 2 * HEADER_BYTES)
    with path.open("rb") as file:
        with pytest.raises(ValueError):
            read_header(file)
        assert file.tell() == HEADER_BYTES


def test_a_digest_tells_the_model_the_counts_and_the_bytes_however_they_are_cut() -> None:
    counts, data = {"tokens": 1, "logits": 0}, np.arange(6, dtype=np.uint8)
    digest = content_digest("model", counts, [data])
    assert digest == content_digest("model", counts, [data[:2], data[2:]])
    others = {
        content_digest("other", counts, [data]),
        content_digest("model", {"tokens": 1, "logits": 1}, [data]),
        content_digest("model", counts, [data[::-1].copy()]),
    }
    assert len(others | {digest}) == 4


class TestForgetFiles:
    def test_states_of_every_model_go_and_what_belongs_to_others_stays(self, tmp_path: Path) -> None:
        for name in ("aa-1.prefix", "bb-2.prefix", ".preparing-0123abcd"):
            (tmp_path / name).write_bytes(b"what somebody did")
        others = {"notes.txt", "priors.sqlite3", ".preparing-0123abcd.gguf", "prefix"}
        for name in others:
            (tmp_path / name).write_text("x")
        (tmp_path / "folder.prefix").mkdir()
        assert forget_files(tmp_path) == 3
        assert {path.name for path in tmp_path.iterdir()} == others | {"folder.prefix", MARK}
        assert (tmp_path / MARK).read_bytes() == b""
        assert forget_files(tmp_path) == 0

    def test_each_time_can_be_told_from_the_one_before(self, tmp_path: Path) -> None:
        folder = tmp_path / "deep" / "states"
        times = [forgotten_at(folder)]
        for _ in range(5):
            assert forget_files(folder) == 0
            times.append(forgotten_at(folder))
        assert times[0] == 0
        assert times == sorted(set(times))

    def test_also_when_the_clock_went_back(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        forget_files(tmp_path)
        before = forgotten_at(tmp_path)
        monkeypatch.setattr("time.time_ns", lambda: 1_000)
        forget_files(tmp_path)
        assert forgotten_at(tmp_path) > before

    @pytest.mark.skipif(os.name == "nt", reason="this system has no such permissions")
    def test_the_folder_and_the_mark_are_for_the_owner(self, tmp_path: Path) -> None:
        mask = os.umask(0)
        try:
            forget_files(tmp_path / "states")
        finally:
            os.umask(mask)
        modes = [
            stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "states", tmp_path / "states" / MARK)
        ]
        assert modes == [0o700, 0o600]

    def test_one_that_cannot_be_removed_is_told_after_all_others_are(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number in range(3):
            (tmp_path / f"{number}.prefix").write_text("x")
        unlink = Path.unlink

        def refuse(path: Path, missing_ok: bool = False) -> None:
            if path.name == "1.prefix":
                raise PermissionError("somebody else has it open")
            unlink(path, missing_ok=missing_ok)

        monkeypatch.setattr(Path, "unlink", refuse)
        with pytest.raises(StoreError, match=r"is not forgotten in .*somebody else has it open"):
            forget_files(tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == {"1.prefix", MARK}

    def test_a_place_where_no_folder_can_be(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        with pytest.raises(StoreError, match="remove its files yourself"):
            forget_files(tmp_path / "file" / "states")

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows does not remove what is open")
    def test_whoever_has_a_file_open_or_mapped_reads_on(self, tmp_path: Path) -> None:
        path = tmp_path / "a.prefix"
        path.write_bytes(b"x" * 10_000)
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            assert forget_files(tmp_path) == 1
            assert mapped[:] == file.read() == b"x" * 10_000
