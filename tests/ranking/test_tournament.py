"""Groups, stages and points."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrec.errors import InputError, ModelError
from llmrec.llm.base import LanguageModel
from llmrec.ranking.tournament import Tournament, going_on, group_sizes
from tests.builders import WRITES_ONLY, scoring_model
from tests.ranking.asking_models import LIBRARY, Judge, films, judge_of, ranked_ids, request_of


@given(st.integers(1, 200), st.integers(2, 26))
def test_groups_are_few_and_equal(items: int, most: int) -> None:
    sizes = group_sizes(items, most)
    assert sum(sizes) == items
    assert len(sizes) == -(-items // most)
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= most


@settings(max_examples=15)
@given(
    st.integers(2, 30).flatmap(lambda n: st.permutations(range(n))),
    st.booleans(),
    st.integers(5, 10),
    st.integers(0, 9),
)
def test_the_best_two_of_a_hidden_order_come_out(
    hidden: list[int], scored: bool, group: int, seed: int
) -> None:
    quality = {n: float(place) for n, place in enumerate(hidden)}
    request = request_of(films(len(hidden)), seed=seed)
    scores = Tournament(judge_of(scored, quality), LIBRARY, group=group, rounds=1).score(request)
    best = [f"f{n:02}" for n in sorted(quality, key=lambda n: -quality[n])]
    assert ranked_ids(request, scores)[:2] == best[:2]


def test_a_point_for_every_stage_passed() -> None:
    request = request_of(films(10))
    model = Judge({n: float(n) for n in range(10)})
    scores = Tournament(model, LIBRARY, rounds=1).score(request)
    # 10 -> 5 -> 3 -> 2 -> 1
    assert scores.signals["tournament"] == (0, 0, 0, 0, 0, 1, 1, 2, 3, 4)
    assert model.asked == 4
    assert ranked_ids(request, scores) == ["f09", "f08", "f07", "f05", "f06", *(f"f{n:02}" for n in range(5))]


def test_rounds_are_dealt_differently_and_fairly() -> None:
    model = Judge({n: float(n) for n in range(12)})
    Tournament(model, LIBRARY, group=4, rounds=2).score(request_of(films(12)))
    # A round has three groups, then 6, 4 and 2 items left.
    first, second = (
        [frozenset(model.films(call.prefix).values()) for call in model.history[begin : begin + 3]]
        for begin in (0, 7)
    )
    assert set(first) != set(second)
    for groups in (first, second):
        # Each group has one of every three neighbours.
        assert all(sorted(film // 3 for film in group) == [0, 1, 2, 3] for group in groups)


def test_a_group_that_fails_sends_on_its_first_half_without_points() -> None:
    def broken(number: int) -> None:
        if number == 1:
            raise ModelError("no")

    scores = Tournament(Judge({n: float(n) for n in range(4)}, broken=broken), LIBRARY, rounds=1).score(
        request_of(films(4))
    )
    assert scores.signals["tournament"] == (0.0, 1.0, 0.0, 0.0)
    assert scores.failures[0].what == "best 2 of f00, f01, f02, f03"


def test_too_few_winners_are_filled_up_and_told() -> None:
    def answer(shown: list[int], wanted: int) -> dict[str, Any]:
        return {"order": [shown.index(3) + 1], "best": shown.index(3) + 1}

    model = Judge({}, capabilities=WRITES_ONLY, answer=answer)
    scores = Tournament(model, LIBRARY, rounds=1).score(request_of(films(4)))
    assert scores.signals["tournament"] == (1.0, 0.0, 0.0, 2.0)
    assert scores.failures[0].reason == "the answer named 1 of 2 items"


def test_half_goes_on_and_one_of_two() -> None:
    assert [going_on(members) for members in (1, 2, 3, 4, 5, 10)] == [1, 1, 2, 2, 3, 5]


@pytest.mark.parametrize("options", [{"group": 1}, {"group": 27}, {"rounds": 0}])
def test_options_that_make_no_sense(options: dict[str, int]) -> None:
    with pytest.raises(InputError, match="tournament takes"):
        Tournament(scoring_model(), LIBRARY, **options)


@pytest.mark.embedded
def test_the_embedded_model_answers(embedded_model: LanguageModel) -> None:
    request = request_of(films(8))
    scores = Tournament(embedded_model, LIBRARY, rounds=1).score(request)
    assert sorted(ranked_ids(request, scores)) == [item.id for item in request.items]
