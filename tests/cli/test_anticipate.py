"""`llmrec anticipate`: predictions of people in the store and of files of events, marked as such."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmrec.store import Store
from tests.cli.conftest import EVENTS, ITEMS, Outcome, Program

MODEL = ["--model", "scripted:"]
pytestmark = pytest.mark.usefixtures("scripted")


@pytest.fixture
def store(llmrec_run: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store that keeps tom and mara of the sample."""
    path = tmp_path / "kept.sqlite3"
    monkeypatch.setenv("LLMREC_STORE", str(path))
    for person in ("tom", "mara"):
        assert llmrec_run("profile", EVENTS, "--catalog", ITEMS, "--user", person, *MODEL).code == 0
    return path


def document(outcome: Outcome) -> Any:
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


def test_what_is_predicted_is_no_part_of_the_profile(llmrec_run: Program, store: Path) -> None:
    opened = Store(store)
    before = opened.profile("tom")
    opened.close()
    assert before is not None
    (found,) = document(llmrec_run("anticipate", "tom", "-k", "3", *MODEL, "--json"))["profiles"]
    assert len(found["predicted"]) == 3
    own = {interest["id"] for interest in found["hierarchy"]["interests"]}
    for guess in found["predicted"]:
        assert guess["id"] not in own
        assert guess["inferred_from"]
        assert set(guess["inferred_from"]) <= own
    assert found["hierarchy"] == before.hierarchy.model_dump(mode="json")
    shown = llmrec_run("profile", "--user", "tom").out
    assert "Predicted, not shown by any event" in shown
    assert "nothing changed" in llmrec_run("diff", "tom").out
    scores = [guess["score"] for guess in found["predicted"]]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("columns", ["40", "60", "100"])
def test_predictions_for_a_reader(
    llmrec_run: Program, store: Path, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    outcome = llmrec_run("anticipate", "tom", "-k", "2", *MODEL)
    assert outcome.code == 0, outcome.err
    assert max(len(line) for line in outcome.out.splitlines()) <= int(columns)
    text = " ".join(outcome.out.split())
    assert "2 predicted interests: guesses, not part of the profile and no evidence of anything" in text
    assert text.count(" from ") >= 2
    assert "neighbourhood 0." in text


def test_a_file_of_events_is_read_first(llmrec_run: Program, store: Path) -> None:
    arguments = ["--catalog", ITEMS, *MODEL, "--json"]
    found = document(llmrec_run("anticipate", EVENTS, "--user", "tom", *arguments))
    assert [profile["user_id"] for profile in found["profiles"]] == ["tom"]
    assert found["events_report"]["read"] > 27
    kept = document(llmrec_run("anticipate", "tom", *MODEL, "--json"))
    assert found["profiles"][0]["predicted"] == kept["profiles"][0]["predicted"]
    assert len(found["profiles"][0]["predicted"]) == 5
    everyone = document(llmrec_run("anticipate", EVENTS, *arguments))["profiles"]
    assert len(everyone) == 6
    assert all(profile["predicted"] for profile in everyone)


def test_someone_who_is_kept_comes_before_a_file_of_that_name(
    llmrec_run: Program, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = {"user_id": "zoe", "action": "say", "text": "I like jazz"}
    Path("tom").write_text(json.dumps(said) + "\n", encoding="utf-8")
    kept = document(llmrec_run("anticipate", "tom", *MODEL, "--json"))
    assert kept["profiles"][0]["user_id"] == "tom"
    read = document(llmrec_run("anticipate", "./tom", "--format", "jsonl", *MODEL, "--json"))
    assert read["profiles"][0]["user_id"] == "zoe"


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["bob"], "no profile of 'bob': choose among mara, tom; nor is there a file of that name"),
        (["tom", "-k", "0"], "'-k'"),
        (["tom", "--catalog", "/no/such.jsonl"], "there is no file /no/such.jsonl"),
        ([EVENTS, "--user", "bob"], "has no events of 'bob'"),
    ],
)
def test_wrong_usage(llmrec_run: Program, store: Path, arguments: list[str], part: str) -> None:
    outcome = llmrec_run("anticipate", *arguments, *MODEL)
    assert outcome.code == 2
    assert outcome.out == ""
    assert part in outcome.error
