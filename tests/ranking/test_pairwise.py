"""Pairs in both orders, and sorts that need few of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrec.errors import InputError, ModelError
from llmrec.llm.base import LanguageModel
from llmrec.ranking.asking import Answers
from llmrec.ranking.base import Budget
from llmrec.ranking.pairwise import Pairwise, merge_sorted, most_comparisons
from tests.builders import scoring_model, writing_model
from tests.ranking.asking_models import LIBRARY, Judge, films, judge_of, ranked_ids, request_of


@given(st.lists(st.integers(0, 9), max_size=40))
def test_merging_sorts_stably_and_within_its_bound(values: list[int]) -> None:
    asked: list[tuple[int, int]] = []

    def prefers(later: int, earlier: int) -> bool:
        asked.append((later, earlier))
        assert later > earlier or values[later] != values[earlier]
        return values[later] > values[earlier]

    order = merge_sorted(range(len(values)), prefers)
    assert order == sorted(range(len(values)), key=lambda at: -values[at])
    assert len(asked) <= most_comparisons(len(values))
    assert len(set(asked)) == len(asked)


def test_the_bound_is_that_of_merge_sort() -> None:
    assert [most_comparisons(items) for items in (0, 1, 2, 3, 4, 5, 8, 20)] == [0, 0, 1, 3, 5, 8, 17, 69]


@settings(max_examples=12)
@given(
    st.integers(2, 30).flatmap(lambda n: st.permutations(range(n))),
    st.booleans(),
    st.sampled_from(["sorting", "sliding"]),
)
def test_a_hidden_order_comes_out(hidden: list[int], scored: bool, comparisons: Any) -> None:
    quality = {n: float(place) for n, place in enumerate(hidden)}
    request = request_of(films(len(hidden)))
    ranker = Pairwise(judge_of(scored, quality), LIBRARY, comparisons=comparisons, top=30)
    assert ranked_ids(request, ranker.score(request)) == [
        f"f{n:02}" for n in sorted(quality, key=lambda n: -quality[n])
    ]


def test_every_pair_is_asked_in_both_orders() -> None:
    model = Judge({0: 1.0, 1: 3.0, 2: 2.0})
    scores = Pairwise(model, LIBRARY, comparisons="all").score(request_of(films(3)))
    shown = {tuple(model.films(call.prefix).values()) for call in model.history}
    assert shown == {(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)}
    assert scores.signals["pairwise"] == (0.0, 2.0, 1.0)
    assert scores.scores == (1 / 3, 1.0, 2 / 3)


def test_orders_that_disagree_are_a_tie_and_a_note() -> None:
    model = scoring_model({" A": -1.0, " B": -2.0})
    scores = Pairwise(model, LIBRARY, comparisons="all").score(request_of(films(3), first_scores=(0, 2, 1)))
    assert scores.signals["pairwise"] == (1.0, 1.0, 1.0)
    assert scores.scores == (1 / 3, 1.0, 2 / 3)
    assert scores.notes == (
        "in 3 of 3 comparisons the model chose by the place of the items, which counts as a tie",
    )


def test_exactly_equal_letters_are_a_tie_and_no_taste_for_a_place() -> None:
    scores = Pairwise(scoring_model(), LIBRARY, comparisons="all").score(request_of(films(3)))
    assert scores.signals["pairwise"] == (1.0, 1.0, 1.0)
    assert scores.notes == ()


def test_a_comparison_that_failed_is_a_tie() -> None:
    def broken(number: int) -> None:
        if number == 2:
            raise ModelError("no")

    model = Judge({0: 1.0, 1: 3.0, 2: 2.0}, broken=broken)
    scores = Pairwise(model, LIBRARY, comparisons="all").score(request_of(films(3)))
    assert scores.signals["pairwise"] == (0.5, 1.5, 1.0)
    (failure,) = scores.failures
    assert (failure.what, failure.stand_in) == ("comparison of f00, f01", "a tie")


def test_what_the_budget_leaves_out_stays_as_it_was() -> None:
    model = Judge({0: 1.0, 1: 3.0, 2: 2.0})
    request = request_of(films(3))
    scores = Pairwise(model, LIBRARY, comparisons="all").score(request, budget=Budget(calls=3))
    assert scores.signals["pairwise"] == (1.0, 2.0, 0.0)


def test_sliding_settles_the_top_with_one_pass_a_place() -> None:
    model = Judge({n: float(n) for n in range(10)})
    request = request_of(films(10))
    ranker = Pairwise(model, LIBRARY, comparisons="sliding", top=2)
    assert ranked_ids(request, ranker.score(request)) == ["f09", "f08", *(f"f{n:02}" for n in range(8))]
    assert ranker.cost(request).calls == model.asked == 2 * (9 + 8)


def test_a_pair_that_meets_again_is_not_asked_about_again() -> None:
    model = Judge({n: -float(n) for n in range(10)})
    Pairwise(model, LIBRARY, comparisons="sliding", top=5).score(request_of(films(10)))
    assert model.asked == 2 * 9


@pytest.mark.parametrize("options", [{"comparisons": "some"}, {"top": 0}])
def test_options_that_make_no_sense(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="pairwise takes"):
        Pairwise(writing_model(), LIBRARY, **options)


@pytest.mark.embedded
def test_the_embedded_model_answers(embedded_model: LanguageModel) -> None:
    request = request_of(films(8))
    ways: tuple[tuple[Answers, int], ...] = (("scored", 12), ("generated", 2))
    for answers, calls in ways:
        ranker = Pairwise(embedded_model, LIBRARY, answers=answers)
        scores = ranker.score(request, budget=Budget(calls=calls))
        assert sorted(ranked_ids(request, scores)) == [item.id for item in request.items]
