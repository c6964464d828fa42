"""The best of a few, and the heap they are taken from."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrec.errors import InputError
from llmrec.llm.base import LanguageModel
from llmrec.ranking.setwise import Setwise, heap_top, most_choices
from tests.builders import scoring_model
from tests.ranking.asking_models import LIBRARY, Judge, films, judge_of, ranked_ids, request_of


@given(st.lists(st.integers(), max_size=60, unique=True), st.integers(2, 6), st.integers(1, 60))
def test_the_heap_gives_the_best_within_its_bound(values: list[int], size: int, top: int) -> None:
    asked = 0

    def best(places: Sequence[int]) -> int:
        nonlocal asked
        asked += 1
        assert 2 <= len(places) <= size
        return max(places, key=values.__getitem__)

    order = sorted(range(len(values)), key=lambda at: -values[at])
    assert heap_top(range(len(values)), size - 1, top, best) == order[:top]
    assert asked <= most_choices(len(values), size, top)


def test_the_bound_by_hand() -> None:
    assert most_choices(0, 4, 10) == most_choices(1, 4, 10) == 0
    assert most_choices(4, 4, 1) == 1
    # A root over two, then four left: one level of two, of one.
    assert most_choices(3, 3, 3) == 1 + 1 + 0


@settings(max_examples=15)
@given(st.integers(2, 30).flatmap(lambda n: st.permutations(range(n))), st.booleans(), st.integers(2, 5))
def test_a_hidden_order_comes_out(hidden: list[int], scored: bool, size: int) -> None:
    quality = {n: float(place) for n, place in enumerate(hidden)}
    request = request_of(films(len(hidden)))
    ranker = Setwise(judge_of(scored, quality), LIBRARY, size=size, top=None)
    assert ranked_ids(request, ranker.score(request)) == [
        f"f{n:02}" for n in sorted(quality, key=lambda n: -quality[n])
    ]


def test_behind_the_top_the_earlier_order_stays() -> None:
    quality = {n: float(n) for n in range(12)}
    request = request_of(films(12), first_scores=tuple(-float(n) for n in range(12)))
    scores = Setwise(Judge(quality), LIBRARY, top=3).score(request)
    assert ranked_ids(request, scores) == ["f11", "f10", "f09", *(f"f{n:02}" for n in range(9))]


def test_a_model_without_an_opinion_changes_nothing() -> None:
    request = request_of(films(9), first_scores=tuple(float((n * 4) % 9) for n in range(9)))
    scores = Setwise(scoring_model(), LIBRARY).score(request)
    assert ranked_ids(request, scores) == ["f02", "f04", "f06", "f08", "f01", "f03", "f05", "f07", "f00"]


@pytest.mark.parametrize("options", [{"size": 1}, {"size": 27}, {"top": 0}])
def test_options_that_make_no_sense(options: dict[str, int]) -> None:
    with pytest.raises(InputError, match="setwise takes"):
        Setwise(scoring_model(), LIBRARY, **options)


@pytest.mark.embedded
def test_the_embedded_model_answers(embedded_model: LanguageModel) -> None:
    request = request_of(films(8))
    scores = Setwise(embedded_model, LIBRARY, top=3).score(request)
    assert sorted(ranked_ids(request, scores)) == [item.id for item in request.items]
