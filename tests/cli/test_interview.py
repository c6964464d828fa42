"""`llmrec interview` with answers from standard input, and a model that counts shared words."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from llmrec.cli.progress import ProgressReport
from llmrec.cli.terminal import OutputConsole, Terminal
from tests.cli.conftest import ITEMS, Outcome, Program

MODEL = ["--model", "scripted:"]
pytestmark = pytest.mark.usefixtures("scripted")


@pytest.fixture
def talk(llmrec_run: Program, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs an interview about the sample's items with the given lines as answers."""

    def run(answers: str, *options: str, catalog: str = ITEMS) -> Outcome:
        monkeypatch.setattr(sys, "stdin", io.StringIO(answers))
        return llmrec_run("interview", "--catalog", catalog, *MODEL, *options)

    return run


def document(outcome: Outcome) -> Any:
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


def test_questions_are_asked_and_items_recommended(talk: Any) -> None:
    outcome = talk("1\n1\n1\n1\n1\n", "--user", "ana")
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    assert lines[0].startswith("1. Are you interested in ")
    assert lines[1].split(maxsplit=1)[0] == "1"
    assert any(line.startswith("5. Are you interested in ") for line in lines)
    assert "from an interview of 5 answers" in outcome.out
    assert "the best 10 of" in outcome.out


def test_each_answer_is_kept_and_a_later_interview_goes_on(talk: Any) -> None:
    first = document(talk("1\n", "--user", "ana", "--questions", "1", "--json"))
    assert first["ended"] == "as many as were asked for"
    (given,) = first["answers"]
    assert given["answer"] == "yes"
    interest = given["question"]["id"]
    assert interest in {one["id"] for one in first["profile"]["hierarchy"]["interests"]}
    assert first["ranking"]["items"]
    second = document(talk("no\n", "--user", "ana", "--questions", "1", "--json"))
    assert second["answers"][0]["question"]["id"] != interest
    assert len(second["profile"]["entries"]) == 2


def test_skipping_and_stopping_keep_what_was_said(talk: Any) -> None:
    found = document(talk("\n2\n", "--user", "ana", "--json"))
    assert found["ended"] == "the person stopped"
    assert len(found["answers"]) == 1
    assert len(found["profile"]["entries"]) == 1
    again = document(talk("", "--user", "ana", "--json"))
    assert again["answers"] == []
    assert len(again["profile"]["entries"]) == 1


def test_own_words_are_read_as_a_sentence(talk: Any) -> None:
    found = document(talk("I love jazz but no horror films\n", "--questions", "1", "--json"))
    assert found["profile"]["entries"][0]["event"]["text"] == "I love jazz but no horror films"
    polarity = {one["id"]: one["polarity"] for one in found["profile"]["hierarchy"]["interests"]}
    assert polarity["music/jazz"] == "positive"
    assert polarity["films/horror"] == "negative"


def test_a_number_that_is_not_offered_is_asked_again(talk: Any) -> None:
    outcome = talk("99\n0\n1\n", "--questions", "1", "--json")
    assert document(outcome)["answers"][0]["answer"] == "yes"
    assert "there is no answer 99: give 1 to" in outcome.err
    assert "there is no answer 0" in outcome.err


def test_with_json_the_questions_stand_on_standard_error(talk: Any) -> None:
    outcome = talk("1\n", "--questions", "1", "--json")
    assert "1. Are you interested in " in outcome.err
    json.loads(outcome.out)


def test_in_chinese(talk: Any) -> None:
    found = document(talk("不喜欢\n", "--language", "zh", "--questions", "1", "--json"))
    question = found["answers"][0]["question"]
    assert question["text"].startswith("你对")
    assert found["profile"]["language"] == "zh"
    interests = {one["id"]: one for one in found["profile"]["hierarchy"]["interests"]}
    assert interests[question["id"]]["polarity"] == "negative"


def test_where_nothing_can_be_asked_it_says_so(talk: Any, tmp_path: Path) -> None:
    items = tmp_path / "items.jsonl"
    items.write_text('{"id": "a", "title": "Qqq"}\n{"id": "b", "title": "Zzz"}\n', encoding="utf-8")
    outcome = talk("1\n", "--json", catalog=str(items))
    assert document(outcome)["ended"] == "no more questions pay"
    assert "further answers would hardly change" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([], "give the items with --catalog"),
        (["--catalog", "-"], "standard input is for the answers"),
        (["--catalog", ITEMS, "--user", ""], "--user is empty"),
        (["--catalog", "gone.jsonl"], "there is no file gone.jsonl"),
        (["--catalog", ITEMS, "--questions", "0"], "--questions"),
    ],
)
def test_wrong_usage_is_told_in_one_sentence(llmrec_run: Program, arguments: list[str], word: str) -> None:
    outcome = llmrec_run("interview", *arguments, *MODEL)
    assert outcome.code == 2
    assert word in outcome.error


def test_no_spinner_runs_while_somebody_is_asked() -> None:
    terminal = Terminal(err=OutputConsole(file=io.StringIO(), force_terminal=True))
    with ProgressReport(terminal) as progress:
        assert progress._bar is not None
        with progress.paused():
            assert not progress._bar.live.is_started
        assert progress._bar.live.is_started
