from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.errors import InputError
from llmrec.ranking.reorder.novelty import self_information, unlikeness
from llmrec.ranking.reorder.similarity import category_similarity
from tests.ranking.reorder.builders import film


def test_few_choices_are_many_bits() -> None:
    # 7 + 3 choices and one added for each of the three items: 13 in all.
    found = self_information([film("a"), film("b"), film("c")], {"a": 7, "b": 3})
    assert found == pytest.approx(np.array([math.log2(13 / 8), math.log2(13 / 4), math.log2(13)]))


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 10**6)))
def test_the_fewer_chose_an_item_the_more_novel_it_is(popularity: dict[str, float]) -> None:
    items = [film(name) for name in "abcdef"]
    found = self_information(items, popularity)
    assert (found >= 0).all()
    order = sorted(range(6), key=lambda at: popularity.get(items[at].id, 0))
    assert all(found[one] >= found[other] - 1e-12 for one, other in itertools.pairwise(order))


@pytest.mark.parametrize("count", [-1, float("nan"), float("inf")])
def test_counts_that_are_none_are_refused(count: float) -> None:
    with pytest.raises(InputError, match="the popularity of 'a' is"):
        self_information([film("a")], {"a": count})


def test_what_shares_nothing_with_the_history_is_novel() -> None:
    history = [film("x", "horror"), film("y", "horror", "comedy")]
    items = [film("a", "horror"), film("b", "drama")]
    assert unlikeness(items, history, category_similarity) == pytest.approx(np.array([1 - (1 + 0.5) / 2, 1]))
