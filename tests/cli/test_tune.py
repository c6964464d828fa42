"""`llmrec tune`: what it shows, what it writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llmrec.llm.scripted import ScriptedModel
from llmrec.ranking.learned import LearnedWeights
from tests.cli.conftest import Program
from tests.evaluation.made_datasets import shop

OWN = ("--negatives", "random_negatives", "--part", "all", "--strategy", "none")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(shop(tmp_path_factory.mktemp("data") / "shop", people=22))


def test_weights_are_written_and_can_be_used(
    llmrec_run: Program, data: str, scripted: list[ScriptedModel], tmp_path: Path
) -> None:
    out = tmp_path / "weights.json"
    arguments = ("tune", data, *OWN, "--model", "scripted:", "-o", str(out), "--even-if-worse")
    done = llmrec_run(*arguments)
    assert done.code == 0, done.err
    told = " ".join(done.out.split())
    assert "Learned from 22 people; candidates: random_negatives." in told
    assert "NDCG@10 on people left out" in told
    assert "use it with --weights" in " ".join(done.err.split())
    learned = LearnedWeights.load(out)
    assert learned.basis == "both"

    as_json = llmrec_run(*arguments, "--json")
    assert json.loads(as_json.out)["learned_from"]["people"] == 22


def test_weights_that_are_no_better_are_not_written(
    llmrec_run: Program, data: str, scripted: list[ScriptedModel], tmp_path: Path
) -> None:
    """Titles that say nothing: whatever is learned is noise, and not to be taken for more."""
    out = tmp_path / "weights.json"
    done = llmrec_run("tune", data, *OWN, "--model", "scripted:", "-o", str(out), "--basis", "history")
    assert done.code == 0, done.err
    written = "written to" in done.err
    assert out.exists() == written
    assert written or "nothing was written" in " ".join(done.err.split())


def test_weights_in_the_environment_have_no_influence(
    llmrec_run: Program,
    data: str,
    scripted: list[ScriptedModel],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments = ("tune", data, "--negatives", "random_negatives", "--part", "all", "--rank-by", "none")
    arguments += ("--model", "scripted:", "--even-if-worse", "--least-rating", "3", "-o")
    done = llmrec_run(*arguments, str(tmp_path / "first.json"))
    assert done.code == 0, done.err
    monkeypatch.setenv("LLMREC_WEIGHTS", str(tmp_path / "first.json"))
    monkeypatch.setenv("LLMREC_LABELLED_BY_MODEL", "5")
    done = llmrec_run(*arguments, str(tmp_path / "second.json"))
    assert done.code == 0, done.err
    first, second = (LearnedWeights.load(tmp_path / f"{name}.json") for name in ("first", "second"))
    assert second.weights == first.weights
    assert second.learned_from.part == "all"
    assert all(not model.history for model in scripted)


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (("-o", "/no/such/folder/weights.json"), "there is no folder /no/such/folder"),
        (("-o", "weights.json", "--strategy", "magic"), "there is no strategy 'magic'"),
        (("-o", "weights.json", "--catalog", "/no/items.jsonl"), "there is no file of items"),
    ],
)
def test_wrong_usage_is_one_sentence(
    llmrec_run: Program, data: str, more: tuple[str, ...], complaint: str
) -> None:
    done = llmrec_run("tune", data, *more)
    assert done.code == 2
    assert complaint in done.error


def test_missing_data_is_told(llmrec_run: Program, tmp_path: Path) -> None:
    done = llmrec_run("tune", str(tmp_path / "nothing"), "-o", str(tmp_path / "w.json"))
    assert done.code == 2
    assert "there is no data set at" in done.error
