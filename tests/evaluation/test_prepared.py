"""The files of a prepared folder, as ranking code reads them."""

from __future__ import annotations

import pytest

from llmrec.errors import InputError
from llmrec.evaluation.prepared import (
    read_figures,
    read_material,
    read_prepared,
    read_queries,
    remove_file,
    write_lines,
)


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "file.jsonl"
    write_lines(path, ["一", "two"])
    assert path.read_bytes() == "一\ntwo\n".encode()

    def lines():
        yield "three"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_lines(path, lines())
    assert path.read_text("utf-8") == "一\ntwo\n"
    assert [file.name for file in path.parent.iterdir()] == ["file.jsonl"]


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_lines(tmp_path / "file" / "inside.jsonl", ["one"])


def test_a_file_is_removed_once(tmp_path):
    (tmp_path / "file").write_text("")
    remove_file(tmp_path / "file")
    remove_file(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="cannot be removed"):
        remove_file(tmp_path)


def test_nothing_was_prepared(tmp_path):
    assert read_prepared(tmp_path) is None
    for read in (read_queries, read_material, read_figures):
        with pytest.raises(InputError, match="prepare the folder first"):
            read(tmp_path)


def test_an_unfinished_folder_is_none_and_a_damaged_one_an_error(tmp_path):
    (tmp_path / "prepared.json").write_text("{}")
    assert read_prepared(tmp_path) is None
    for name in ("queries", "items", "log"):
        (tmp_path / f"{name}.jsonl").write_text('{"id": ')
    with pytest.raises(InputError, match="is damaged: remove the folder and prepare it again"):
        read_prepared(tmp_path)
    with pytest.raises(InputError, match="is damaged"):
        read_queries(tmp_path)
    with pytest.raises(InputError, match="is damaged"):
        read_material(tmp_path)
    (tmp_path / "queries.jsonl").write_text("{}\n")
    with pytest.raises(InputError, match="line 1: id: Field required"):
        read_queries(tmp_path)
