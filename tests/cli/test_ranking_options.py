"""The options of ranking: what they are read as, and one sentence for what cannot be."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from llmrec.cli.failures import UsageError
from llmrec.cli.ranking_options import (
    BasisChoice,
    RankBy,
    budget_from,
    reordering_from,
    strategy_options_from,
)
from llmrec.ranking.base import Budget
from llmrec.ranking.context import Basis
from llmrec.ranking.pipeline import EVERY_STRATEGY
from llmrec.ranking.reorder import Filter


def reordering(**given: Any) -> Any:
    nothing: dict[str, Any] = {"diversity": 0, "calibration": 0, "novelty": 0, "caps": [], "filters": []}
    return reordering_from(**{**nothing, **given})


def test_choices_are_those_of_the_library() -> None:
    assert [choice.value for choice in RankBy] == list(EVERY_STRATEGY)
    assert [choice.value for choice in BasisChoice] == list(get_args(Basis))


def test_options_become_a_reordering() -> None:
    assert not reordering().active
    wanted = reordering(
        diversity=0.2, calibration=0.3, novelty=0.1, caps=["brand=2", "类别 = 3"], filters=["year>=1990"]
    )
    assert (wanted.diversity, wanted.calibration, wanted.novelty) == (0.2, 0.3, 0.1)
    assert wanted.caps == {"brand": 2, "类别": 3}
    assert wanted.filters == (Filter(field="year", operator=">=", value="1990"),)


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({"diversity": 1.5}, "--diversity is 1.5: give a number from 0 to 1"),
        ({"calibration": -0.1}, "--calibrate is -0.1"),
        ({"novelty": float("nan")}, "--novelty is nan"),
        (
            {"diversity": 0.6, "novelty": 0.6},
            "diversity 0.6, calibration 0 and novelty 0.6 sum to more than 1",
        ),
        ({"caps": ["brand"]}, "the cap 'brand' cannot be used: write it as brand=2"),
        ({"caps": ["brand=0"]}, "the cap 'brand=0' cannot be used"),
        ({"caps": ["brand=2", "Brand=3"]}, "there are two caps on 'Brand'"),
        ({"caps": ["interest=2"]}, "there is no cap on interests"),
        ({"filters": ["year"]}, "the filter 'year' has no comparison"),
        ({"filters": ["year>=old"]}, "compares numbers and dates"),
        ({"filters": ["\x1b[2Jyear"]}, "has no comparison"),
    ],
)
def test_what_cannot_be_is_wrong_usage_in_one_sentence(given: dict[str, Any], part: str) -> None:
    with pytest.raises(UsageError) as caught:
        reordering(**given)
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_weights_that_make_one_whole_leave_nothing_to_relevance() -> None:
    assert reordering(diversity=0.1, calibration=0.2, novelty=0.7).relevance == pytest.approx(0, abs=1e-9)


def test_options_become_a_budget() -> None:
    assert budget_from(calls=None, tokens=None, seconds=None) is None
    assert budget_from(calls=0, tokens=None, seconds=1.5) == Budget(calls=0, seconds=1.5)
    for wrong, part in (
        ({"calls": -1}, "--max-calls is -1"),
        ({"tokens": -5}, "--max-tokens is -5"),
        ({"seconds": float("nan")}, "--max-seconds is nan"),
        ({"seconds": float("inf")}, "--max-seconds is inf"),
    ):
        given: dict[str, Any] = {"calls": None, "tokens": None, "seconds": None, **wrong}
        with pytest.raises(UsageError, match=part):
            budget_from(**given)


def test_options_of_a_strategy_are_numbers_texts_and_several() -> None:
    given = ["window=10", "top = none", "prompts=history,basket", "comparisons=all"]
    assert strategy_options_from(given) == {
        "window": 10,
        "top": None,
        "prompts": ("history", "basket"),
        "comparisons": "all",
    }
    assert strategy_options_from([]) is None


@pytest.mark.parametrize("given", [["window"], ["=3"], ["window="], ["window=,"], ["window=3", "window=4"]])
def test_an_option_of_a_strategy_without_a_value_is_wrong_usage(given: list[str]) -> None:
    with pytest.raises(UsageError, match="--rank-option"):
        strategy_options_from(given)
