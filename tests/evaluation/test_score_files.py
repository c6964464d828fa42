"""Scores on disk: what is there after a stop, and what is refused."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.errors import InputError
from llmrec.evaluation.score_files import Price, ScoreFile, ScoreWriter, check_names, check_same
from llmrec.evaluation.types import Scored

ROWS = {
    "u1": Scored(scores=(1.0, -2.5), seconds=0.5, tokens=3),
    "电影 \u2028 x": Scored(scores=(0.0, 0.25), signals={"bm25": (1.0, 2.0)}, failures=1),
    "u3": Scored(scores=(1e-12, 3.0), probabilities=(0.25, 0.75)),
}


def filled(folder: Path) -> ScoreFile:
    file = ScoreFile(folder, "mine")
    with file.appending() as writer:
        for query, scored in ROWS.items():
            writer.write(query, scored)
    return file


def test_what_is_written_is_read_again(tmp_path):
    file = filled(tmp_path)
    assert file.read(list(ROWS)) == ROWS
    assert file.read(["u3", "nobody"]) == {"u3": ROWS["u3"]}
    assert file.resume(list(ROWS)) == {
        "u1": Price(0.5, 3, 0),
        "电影 \u2028 x": Price(0.0, 0, 1),
        "u3": Price(0.0, 0, 0),
    }
    assert file.path == tmp_path / "scores" / "mine.jsonl"
    assert ScoreFile(tmp_path, "mine", "other-history").path.name == "mine@other-history.jsonl"


def test_a_row_is_on_the_disk_before_the_next_begins(tmp_path):
    file = ScoreFile(tmp_path, "mine")
    with file.appending() as writer:
        writer.write("u1", ROWS["u1"])
        assert set(file.read(["u1"])) == {"u1"}


@given(cut=st.integers(min_value=0, max_value=10_000))
def test_a_file_cut_anywhere_keeps_its_whole_lines(tmp_path_factory, cut):
    file = filled(tmp_path_factory.mktemp("cut"))
    data = file.path.read_bytes()
    kept = data[: cut % (len(data) + 1)]
    file.path.write_bytes(kept)
    whole = kept.count(b"\n")
    assert list(file.resume(list(ROWS))) == list(ROWS)[:whole]
    with file.appending() as writer:
        for query in list(ROWS)[whole:]:
            writer.write(query, ROWS[query])
    assert file.path.read_bytes() == data


def test_failed_strange_and_broken_lines_are_dropped(tmp_path):
    file = filled(tmp_path)
    with file.appending() as writer:
        writer.write_failure("u4", "the model was asleep", seconds=1.0)
        writer.write("stranger", ROWS["u1"])
        writer.write("u1", ROWS["u3"])
    last = json.loads(file.path.read_text("utf-8").splitlines()[3])
    assert (last["scores"], last["error"], last["failures"]) == ([], "the model was asleep", 1)
    with file.path.open("ab") as opened:
        opened.write(b'[1, 2]\n{"query": 5, "scores": []}\n\xff\xfe\n{"query": "u5"}\n')
    assert set(file.resume([*ROWS, "u4", "u5"])) == set(ROWS)
    assert file.read(["u1"]) == {"u1": ROWS["u1"]}
    assert len(file.path.read_text("utf-8").splitlines()) == 3
    assert [path.name for path in file.path.parent.iterdir()] == ["mine.jsonl"]


def test_nothing_is_there_at_first(tmp_path):
    file = ScoreFile(tmp_path / "none", "mine")
    assert file.resume(["u1"]) == {}
    assert file.read(["u1"]) == {}
    assert not (tmp_path / "none").exists()


def test_a_full_disk_is_said_in_one_sentence(tmp_path):
    class Full:
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        def flush(self) -> None:
            raise AssertionError

    with pytest.raises(InputError, match="the disk is full: make room and run it again"):
        ScoreWriter(Full(), tmp_path / "mine.jsonl").write("u1", ROWS["u1"])


def test_a_folder_that_cannot_be_used(tmp_path):
    (tmp_path / "scores").write_text("")
    with pytest.raises(InputError, match="cannot be used"), ScoreFile(tmp_path, "mine").appending():
        pass


@pytest.mark.parametrize("name", ["", " ", "a b", "a/b", "..", "mine@probe", "x\n"])
def test_a_name_that_makes_no_file(name):
    with pytest.raises(InputError, match="cannot name a file"):
        check_names([name])


def test_names_are_told_apart_where_files_are():
    check_names(["llmrec", "llmrec-yes_no", "bm25+popularity", "电影", "v1.2"])
    with pytest.raises(InputError, match="two systems are called 'BM25'"):
        check_names(["bm25", "BM25"])


def test_scores_of_another_system_are_not_mixed(tmp_path):
    check_same(tmp_path, {"mine": "1", "other": "1"})
    check_same(tmp_path, {"mine": "2"})
    filled(tmp_path)
    check_same(tmp_path, {"mine": "2"})
    with pytest.raises(InputError, match="holds scores of another mine"):
        check_same(tmp_path, {"mine": "3"})
    assert json.loads((tmp_path / "systems.json").read_text())["other"] == "1"
    (tmp_path / "systems.json").write_text("{ torn")
    check_same(tmp_path, {"mine": "3"})


def test_scores_of_nobody_known_are_made_anew(tmp_path):
    check_same(tmp_path, {"mine": "", "mine-too": ""})
    own = filled(tmp_path)
    for name, probe in (("mine", "other-history"), ("mine-too", "")):
        ScoreFile(tmp_path, name, probe).path.write_bytes(own.path.read_bytes())
    check_same(tmp_path, {"mine": ""})
    assert [path.name for path in own.path.parent.iterdir()] == ["mine-too.jsonl"]


def test_nobody_known_does_not_destroy_scores_of_somebody(tmp_path):
    check_same(tmp_path, {"mine": "1"})
    file = filled(tmp_path)
    with pytest.raises(InputError, match="holds scores of another mine"):
        check_same(tmp_path, {"mine": ""})
    assert file.path.exists()
