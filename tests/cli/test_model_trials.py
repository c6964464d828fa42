from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from llmrec.cli.model_check import check_model
from llmrec.errors import ModelUnavailableError
from llmrec.llm import llama_build, registry
from llmrec.llm.base import Capabilities, Completion, Message, Score
from llmrec.llm.scripted import ScriptedModel
from llmrec.settings import Settings
from tests.builders import SCORES_ONLY, WRITES_ONLY
from tests.cli.model_reports import advised, named

EVERYTHING = Capabilities(
    score=True, generate=True, structured="json_schema", open_answers=True, context_length=4096
)


TOWER = {"floors": 3, "place": {"name": "Tower", "inside": {"name": "Paris", "inside": None}}}


def sensible(prefix: str, continuation: str) -> float:
    return -0.5 if continuation == " Paris" else -9.0


def absurd(prefix: str, continuation: str) -> float:
    return -9.0 if continuation == " Paris" else -0.5


def check(
    monkeypatch: pytest.MonkeyPatch, model: ScriptedModel, specification: str = "scripted", **settings: Any
) -> Any:
    monkeypatch.setattr(registry, "open_model", lambda specification, given: model)
    report = check_model(Settings(model=specification, **settings), lambda stage: None)
    with pytest.raises(Exception, match="closed"):
        model.generate([])
    return report


def capable(*answers: Any, **options: Any) -> ScriptedModel:
    """A model that can everything; it answers as asked unless told otherwise."""
    answers = answers or (TOWER, "A book.", "A book.")
    return ScriptedModel(*answers, **{"scores": sensible, "capabilities": EVERYTHING, **options})


def test_a_model_that_can_everything_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    model = capable()
    report = check(monkeypatch, model)
    assert report.serves
    assert report.advice == ""
    assert report.changes == ()
    assert report.strategy == "open"
    assert report.local is None
    assert report.peak_memory_bytes is None
    assert [(trial.name, trial.passed) for trial in report.trials] == [
        ("scoring", True),
        ("independent scores", True),
        ("schema answer", True),
        ("generation", True),
        ("cancelling", True),
    ]
    assert [each.name for each in report.measurements] == [
        "prefill",
        "scoring",
        "constrained generation",
        "generation",
    ]
    assert all(each.tokens_per_second == each.tokens / each.seconds for each in report.measurements)
    assert report.capabilities.context_length == 4096


def test_what_is_read_for_the_first_time_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    prefixes = []
    for _ in range(2):
        model = capable()
        report = check(monkeypatch, model)
        prefixes += [call.prefix[:20] for call in model.history if call.continuations == (" Paris",)]
        read = [call for call in model.history if call.kind == "score" and len(call.continuations) > 2]
        assert len(read) == 1
        assert len(read[0].continuations) == 20
        assert len({text.split()[0] for text in read[0].continuations}) == 20
        # It is the text that was read last, whose reading is not measured again.
        assert read[0].prefix[:20] == prefixes[-1]
        assert report.measurements[0].tokens > 256
    assert len(prefixes) > 4
    assert len(set(prefixes)) == len(prefixes)


def test_a_slow_model_is_asked_less(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmrec.cli.model_trials.LONG_ENOUGH_SECONDS", 0.0)
    monkeypatch.setattr("llmrec.cli.model_trials.SCORING_SECONDS", 0.0)
    model = capable()
    report = check(monkeypatch, model)
    assert report.serves
    assert max(len(call.prefix) for call in model.history) < 150
    assert max(len(call.continuations) for call in model.history) == 3


def test_an_answer_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmrec.cli.model_trials.SCHEMA_SECONDS", -1.0)
    monkeypatch.setattr("llmrec.cli.model_trials.WRITING_SECONDS", -1.0)
    report = check(monkeypatch, capable(TOWER, "One two three four five.", "A book."))
    assert report.serves
    assert named(report, "schema answer").passed is None
    assert "not ended after" in named(report, "schema answer").detail
    assert named(report, "generation").passed
    assert report.measurements[-1].tokens == 2


class Sociable(ScriptedModel):
    """Finds a text likelier the more others there are."""

    def score(self, prefix: str, continuations: Sequence[str], **options: Any) -> list[Score]:
        return [
            Score(logprob=score.logprob + 0.25 * len(continuations), tokens=score.tokens)
            for score in super().score(prefix, continuations, **options)
        ]


def test_scores_that_depend_on_company_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    report = check(monkeypatch, Sociable(scores=sensible, capabilities=SCORES_ONLY))
    trial = named(report, "independent scores")
    assert trial.passed is False
    assert "differs by 4.750 nats" in trial.detail
    assert "ranks may change" in advised(report)
    # Ranks can still be made.
    assert report.serves


class Unstoppable(ScriptedModel):
    """Does not look at a cancellation."""

    def generate(self, messages: Sequence[Message], **options: Any) -> Completion:
        return super().generate(messages, **{**options, "cancellation": None})


def test_an_answer_that_cannot_be_cancelled_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Unstoppable(TOWER, "A book.", "A book.", scores=sensible, capabilities=EVERYTHING)
    report = check(monkeypatch, model)
    assert named(report, "cancelling").passed is False
    assert "Ctrl-C waits" in advised(report)
    assert report.serves


def test_a_server_is_asked_for_one_text_at_a_time_and_nothing_is_said_of_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(llama_build, "inspect_build", lambda *_, **__: pytest.fail("llama.cpp was tried"))
    model = capable()
    report = check(monkeypatch, model, "openai:large@http://127.0.0.1:1/v1")
    assert report.serves
    assert report.local is None
    assert report.changes == ()
    assert [trial.passed for trial in report.trials] == [True, None, True, True, True]
    assert report.speed("prefill") > 0
    assert report.speed("scoring") is None
    assert max(len(call.continuations) for call in model.history) == 2


def test_without_a_firm_schema_a_simple_answer_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    prompted = EVERYTHING.model_copy(update={"structured": "prompted"})
    report = check(monkeypatch, capable({"capital": "Paris"}, "A book.", "A book.", capabilities=prompted))
    assert report.serves
    assert named(report, "schema answer").detail == '{"capital": "Paris"}'
    wrong = check(monkeypatch, capable({"town": "Paris"}, "A book.", "A book.", capabilities=prompted))
    assert not wrong.serves


def test_what_a_model_does_not_offer_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    report = check(monkeypatch, ScriptedModel(scores=sensible, capabilities=SCORES_ONLY))
    assert report.serves
    assert report.strategy == "anchored"
    assert [trial.passed for trial in report.trials] == [True, True, None, None, None]
    assert "does not write answers held to a schema" in advised(report)


def test_a_model_without_log_probabilities_is_told_what_that_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    model = ScriptedModel(TOWER, "A book.", "A book.", capabilities=WRITES_ONLY)
    report = check(monkeypatch, model)
    assert report.serves
    assert [trial.passed for trial in report.trials] == [None, None, True, True, True]
    assert "gives no log-probabilities" in advised(report)


def test_why_a_small_model_chooses_among_labels_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    small = EVERYTHING.model_copy(update={"open_answers": False})
    report = check(monkeypatch, capable(capabilities=small))
    assert "not trusted with open answers" in advised(report)
    asked = check(monkeypatch, capable(capabilities=small), strategy="open")
    assert "strategy='open' was asked for" in advised(asked)
    chosen = check(monkeypatch, capable(capabilities=small), strategy="anchored")
    assert chosen.changes == ()


def test_slow_writing_is_told_where_answers_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmrec.cli.model_changes.SLOW_WRITING", 1e9)
    monkeypatch.setattr("llmrec.cli.model_changes.SLOW_READING", 1e9)
    assert "answers are written at" in advised(check(monkeypatch, capable()))
    anchored = advised(check(monkeypatch, capable(), strategy="anchored"))
    assert "answers are written at" not in anchored
    assert "texts are read at" in anchored


def test_scores_that_make_no_sense_do_not_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    report = check(monkeypatch, ScriptedModel(scores=absurd, capabilities=SCORES_ONLY))
    assert not report.serves
    assert "scoring" in report.advice


BROKEN_ANSWERS = [
    "Paris!",
    '{"floors": 10, "place": {"name": "Paris", "inside": null}}',
    '{"floors": 3, "place": {"name": "Paris"}}',
    '{"floors": 3, "place": {"name": "Paris", "inside": {"name": "France", "inside": "Europe"}}}',
    '{"floors": 3, "place": {"name": "Paris", "inside": null}, "more": 1}',
    "[1]",
]


@pytest.mark.parametrize("answer", BROKEN_ANSWERS)
def test_an_answer_that_breaks_the_schema_does_not_serve(
    monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    report = check(monkeypatch, capable(answer, "A book.", "A book."))
    assert not report.serves
    assert [trial.passed for trial in report.trials] == [True, True, False, True, True]
    assert "anchored" in report.advice


def test_a_broken_answer_is_no_hindrance_where_labels_are_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    report = check(monkeypatch, capable("Paris!", "A book.", "A book."), strategy="anchored")
    assert report.serves
    assert "'Paris!' is not what was asked for" in advised(report)


def test_a_model_that_stops_answering_is_reported_not_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = ModelUnavailableError("the server went away: start it again")
    report = check(monkeypatch, capable(gone, gone, gone))
    assert not report.serves
    assert named(report, "schema answer").detail == "the server went away: start it again"


def test_a_strategy_the_model_has_not_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    report = check(monkeypatch, ScriptedModel(scores=sensible, capabilities=SCORES_ONLY), strategy="open")
    assert not report.serves
    assert report.strategy is None
    assert "generates" in report.advice
