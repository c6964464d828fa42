"""Which strategy a model's capabilities allow, and what strategies count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from llmrec import Recommender
from llmrec.errors import ModelError
from llmrec.interests.extraction import ClaimCount, choose_strategy, signed_strength
from llmrec.llm.base import Capabilities
from llmrec.llm.scripted import ScriptedModel
from tests.builders import history_of, label, scoring_model


def able(
    *,
    score: bool = False,
    generate: bool = False,
    structured: str = "json_schema",
    open_answers: bool = False,
) -> ScriptedModel:
    return ScriptedModel(
        name="a model",
        capabilities=Capabilities.model_validate(
            {"score": score, "generate": generate, "structured": structured, "open_answers": open_answers}
        ),
    )


@pytest.mark.parametrize(
    ("model", "chosen"),
    [
        (able(score=True), "anchored"),
        (able(score=True, generate=True, open_answers=True), "open"),
        (able(generate=True, open_answers=True), "open"),
        (able(generate=True, open_answers=True, structured="prompted"), "open"),
        # It writes, but not what can be trusted, or not in a form that can be read.
        (able(score=True, generate=True, open_answers=False), "anchored"),
        (able(score=True, generate=True, open_answers=True, structured="none"), "anchored"),
        (able(score=True, generate=False, open_answers=True), "anchored"),
    ],
)
def test_the_strategy_follows_from_what_the_model_can_do(model: ScriptedModel, chosen: str) -> None:
    assert choose_strategy("auto", model) == chosen


@pytest.mark.parametrize(
    "model",
    [
        able(),
        able(generate=True),
        able(generate=True, open_answers=True, structured="none"),
    ],
)
def test_a_model_that_can_do_neither_is_refused(model: ScriptedModel) -> None:
    with pytest.raises(
        ModelError, match=r"a model neither gives log-probabilities nor .* use a larger model"
    ):
        choose_strategy("auto", model)


def test_a_strategy_asked_for_is_taken_or_refused_by_name() -> None:
    assert choose_strategy("anchored", able(score=True, generate=True, open_answers=True)) == "anchored"
    assert choose_strategy("open", able(score=True, generate=True)) == "open"
    with pytest.raises(ModelError, match="anchored strategy needs log-probabilities, which a model does not"):
        choose_strategy("anchored", able(generate=True, open_answers=True))
    with pytest.raises(ModelError, match="needs a model that generates, which a model does not"):
        choose_strategy("open", able(score=True))


def test_what_cannot_be_done_is_said_before_anything_is_kept() -> None:
    with Recommender(scoring_model(), strategy="open") as recommender:
        with pytest.raises(ModelError, match="the open strategy needs"):
            recommender.profile([{"user_id": "a", "action": "say", "text": "films"}])
        assert recommender.store.profile("a") is None


COUNTS = st.builds(ClaimCount, made=st.integers(0, 50), dropped=st.integers(0, 20), mended=st.integers(0, 20))


def test_the_unsupported_share_is_of_all_claims() -> None:
    assert ClaimCount().unsupported_share == 0.0
    assert ClaimCount(made=8, dropped=1, mended=3).unsupported_share == 0.5
    with pytest.raises(ValidationError):
        ClaimCount(made=-1)


@given(COUNTS, COUNTS, COUNTS)
def test_counts_of_parts_add_up(one: ClaimCount, two: ClaimCount, three: ClaimCount) -> None:
    assert one + two == two + one
    assert (one + two) + three == one + (two + three)
    assert one + ClaimCount() == one
    both = one + two
    assert (both.made, both.dropped, both.mended) == (
        one.made + two.made,
        one.dropped + two.dropped,
        one.mended + two.mended,
    )


def test_a_no_counts_against_and_a_share_counts_in_part() -> None:
    save, dislike = history_of(
        [
            {"user_id": "a", "action": "save", "text": "x"},
            {"user_id": "a", "action": "dislike", "text": "x"},
        ]
    )
    assert signed_strength(save, label("films", 0.5)) == pytest.approx(0.3)
    assert signed_strength(save, label("films", 0.5, negative=True)) == pytest.approx(-0.3)
    assert signed_strength(dislike, label("films", 0.5)) == pytest.approx(-0.5)
    assert signed_strength(dislike, label("films", 0.5, negative=True)) == pytest.approx(-0.5)
