from __future__ import annotations

import json
from typing import Any

import pytest

from llmrec.cli.models import check_model
from llmrec.errors import ModelUnavailableError
from llmrec.llm import registry
from llmrec.llm.base import Capabilities
from llmrec.llm.scripted import ScriptedModel
from llmrec.settings import Settings
from tests.builders import SCORES_ONLY
from tests.cli.conftest import Program

EVERYTHING = Capabilities(
    score=True, generate=True, structured="json_schema", open_answers=True, context_length=4096
)


def sensible(prefix: str, continuation: str) -> float:
    return -0.5 if continuation == " Paris" else -9.0


def absurd(prefix: str, continuation: str) -> float:
    return -9.0 if continuation == " Paris" else -0.5


def check(monkeypatch: pytest.MonkeyPatch, model: ScriptedModel, **settings: Any) -> Any:
    monkeypatch.setattr(registry, "open_model", lambda specification, given: model)
    report = check_model(Settings(model="scripted", **settings), lambda stage: None)
    with pytest.raises(Exception, match="closed"):
        model.generate([])
    return report


def test_a_model_that_can_everything_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    model = ScriptedModel({"capital": "Paris"}, "A book.", scores=sensible, capabilities=EVERYTHING)
    report = check(monkeypatch, model)
    assert report.serves
    assert report.advice == ""
    assert report.strategy == "open"
    assert [(trial.name, trial.passed) for trial in report.trials] == [
        ("scoring", True),
        ("schema answer", True),
        ("generation", True),
    ]
    assert report.trials[0].tokens_per_second > 0
    assert report.capabilities.context_length == 4096


def test_what_a_model_does_not_offer_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    report = check(monkeypatch, ScriptedModel(scores=sensible, capabilities=SCORES_ONLY))
    assert report.serves
    assert report.strategy == "anchored"
    assert [trial.passed for trial in report.trials] == [True, None, None]


def test_scores_that_make_no_sense_do_not_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    report = check(monkeypatch, ScriptedModel(scores=absurd, capabilities=SCORES_ONLY))
    assert not report.serves
    assert "scoring" in report.advice


@pytest.mark.parametrize("answer", ["Paris!", '{"capital": 1}', '{"town": "Paris"}', "[1]"])
def test_an_answer_that_breaks_the_schema_does_not_serve(
    monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    model = ScriptedModel(answer, "A book.", scores=sensible, capabilities=EVERYTHING)
    report = check(monkeypatch, model)
    assert not report.serves
    assert [trial.passed for trial in report.trials] == [True, False, True]
    assert "anchored" in report.advice


def test_a_model_that_stops_answering_is_reported_not_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = ModelUnavailableError("the server went away: start it again")
    report = check(monkeypatch, ScriptedModel(gone, gone, scores=sensible, capabilities=EVERYTHING))
    assert not report.serves
    assert report.trials[1].detail == "the server went away: start it again"


def test_a_strategy_the_model_has_not_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    report = check(monkeypatch, ScriptedModel(scores=sensible, capabilities=SCORES_ONLY), strategy="open")
    assert not report.serves
    assert report.strategy is None
    assert "generates" in report.advice


def test_a_model_that_cannot_be_opened(llmrec_run: Program) -> None:
    pytest.importorskip("llama_cpp")
    outcome = llmrec_run("models", "check", "--model", "llama-cpp:/no/such.gguf", "--json")
    assert outcome.code == 1
    report = json.loads(outcome.out)
    assert report["serves"] is False
    assert report["advice"] in outcome.error
    assert "there is no model file at /no/such.gguf" in outcome.error
    human = llmrec_run("models", "check", "--model", "llama-cpp:/no/such.gguf")
    assert human.code == 1
    assert "does not serve" in human.out


def test_the_list_names_every_kind(llmrec_run: Program, scripted: list[ScriptedModel]) -> None:
    found = json.loads(llmrec_run("models", "list", "--json").out)["models"]
    names = [kind["specification"] for kind in found]
    assert names == ["embedded", "llama-cpp:PATH", "openai:NAME@URL", "scripted:…"]
    text = llmrec_run("models", "list").out
    assert all(name in text for name in names)


@pytest.mark.embedded
def test_the_embedded_model_serves(llmrec_process: Program) -> None:
    outcome = llmrec_process("models", "check", "--json")
    assert outcome.code == 0, outcome.err
    report = json.loads(outcome.out)
    assert report["serves"] is True
    assert report["strategy"] == "anchored"
    assert report["threads"] == 1
    assert all(trial["passed"] for trial in report["trials"])
    assert report["trials"][0]["tokens_per_second"] > 10
    assert report["trials"][2]["tokens_per_second"] > 1
