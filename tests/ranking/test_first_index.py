"""The first letter of an answer, without the taste for a place."""

from __future__ import annotations

import math
from string import ascii_uppercase
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrec.errors import InputError
from llmrec.llm.base import LanguageModel
from llmrec.ranking.first_index import FirstIndex
from tests.builders import scoring_model
from tests.ranking.asking_models import LIBRARY, Judge, films, ranked_ids, request_of


class Biased(Judge):
    """Prefers letters near the front by much more than films differ."""

    def logprob(self, prefix: str, continuation: str) -> float:
        place = ascii_uppercase.index(continuation.strip())
        return super().logprob(prefix, continuation) - 1.0 * place


def test_as_many_orders_as_items_take_the_place_out() -> None:
    quality = {n: float((n * 3) % 7) for n in range(7)}
    request = request_of(films(7))
    model = Biased(quality)
    ranked = ranked_ids(request, FirstIndex(model, LIBRARY, orders=7).score(request))
    assert ranked == [f"f{n:02}" for n in sorted(quality, key=lambda n: -quality[n])]
    assert model.asked == 7
    one = ranked_ids(request, FirstIndex(Biased(quality), LIBRARY, orders=1).score(request))
    assert one != ranked


def test_values_are_log_probabilities_among_the_letters() -> None:
    def score(prefix: str, letter: str) -> float:
        return -10.0 if f"{letter.strip()}. Film 1\n" in prefix else -10.0 - math.log(3)

    scores = FirstIndex(scoring_model(score), LIBRARY).score(request_of(films(2)))
    assert scores.scores == pytest.approx((math.log(0.25), math.log(0.75)))
    assert scores.signals["first_index"] == scores.scores


@settings(max_examples=15)
@given(st.integers(2, 30).flatmap(lambda n: st.permutations(range(n))), st.integers(0, 9))
def test_a_hidden_order_comes_out(hidden: list[int], seed: int) -> None:
    quality = {n: float(place) for n, place in enumerate(hidden)}
    request = request_of(films(len(hidden)), seed=seed)
    ranker = FirstIndex(Judge(quality), LIBRARY, window=8, step=4, orders=1, top=None)
    assert ranked_ids(request, ranker.score(request)) == [
        f"f{n:02}" for n in sorted(quality, key=lambda n: -quality[n])
    ]


def test_more_than_a_window_gives_an_order_alone() -> None:
    request = request_of(films(25))
    scores = FirstIndex(Judge({n: float(n) for n in range(25)}), LIBRARY, orders=1).score(request)
    assert max(scores.scores) == 1.0
    assert ranked_ids(request, scores)[:10] == [f"f{n:02}" for n in range(24, 14, -1)]


@pytest.mark.parametrize(
    ("options", "fault"), [({"window": 27}, "window of 2 to 26"), ({"orders": 0}, "at least one of orders")]
)
def test_options_that_make_no_sense(options: dict[str, Any], fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        FirstIndex(scoring_model(), LIBRARY, **options)


@pytest.mark.embedded
def test_the_embedded_model_answers(embedded_model: LanguageModel) -> None:
    scores = FirstIndex(embedded_model, LIBRARY).score(request_of(films(8)))
    assert len(set(scores.scores)) > 1
    assert sum(math.exp(value) for value in scores.scores) < 1.001
