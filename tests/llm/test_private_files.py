"""Files and folders for their owner alone."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmrec.llm.private_files import create_private_file, fault_of_private_folder

needs_modes = pytest.mark.skipif(os.name == "nt", reason="this system has no such permissions")


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def no_mask() -> Iterator[None]:
    mask = os.umask(0)
    yield
    os.umask(mask)


class TestFiles:
    @needs_modes
    @pytest.mark.parametrize("folder_mode", [0o700, 0o755])
    def test_a_new_one_is_for_its_owner(self, tmp_path: Path, no_mask: None, folder_mode: int) -> None:
        path = tmp_path / "folder" / "file"
        create_private_file(path, folder_mode=folder_mode)
        assert path.read_bytes() == b""
        assert (mode_of(path), mode_of(path.parent)) == (0o600, folder_mode)

    @needs_modes
    def test_one_that_is_there_stays_as_it_is(self, tmp_path: Path, no_mask: None) -> None:
        path = tmp_path / "file"
        path.write_text("kept")
        path.chmod(0o640)
        create_private_file(path)
        assert path.read_text() == "kept"
        assert mode_of(path) == 0o640

    def test_where_none_can_be_nothing_is_raised(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        create_private_file(tmp_path / "file" / "other")
        create_private_file(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["file"]


class TestFolders:
    @needs_modes
    @pytest.mark.parametrize(
        ("mode", "sound"),
        [(0o700, True), (0o755, True), (0o500, True), (0o720, False), (0o702, False), (0o1777, False)],
    )
    def test_nobody_else_may_write(self, tmp_path: Path, mode: int, sound: bool) -> None:
        folder = tmp_path / "folder"
        folder.mkdir()
        folder.chmod(mode)
        fault = fault_of_private_folder(folder)
        assert (fault == "") == sound
        assert sound or f"chmod 700 '{folder}'" in fault

    @needs_modes
    def test_nobody_else_may_own_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        user = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: user + 1)
        assert "another user" in fault_of_private_folder(tmp_path)

    def test_one_that_is_not_there_is_sound(self, tmp_path: Path) -> None:
        assert fault_of_private_folder(tmp_path / "none") == ""

    def test_without_such_modes_every_one_is(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        tmp_path.chmod(0o777)
        monkeypatch.delattr(os, "geteuid", raising=False)
        assert fault_of_private_folder(tmp_path) == ""
