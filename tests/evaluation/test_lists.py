"""Figures over the lists of all people."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.behavior.events import Catalog
from llmrec.candidates.log import InteractionLog
from llmrec.errors import InputError
from llmrec.evaluation.lists import (
    coverage,
    diversity_basis,
    gini,
    intra_list_diversity,
    item_traits,
    list_figures,
    mean_popularity,
    novelty,
)
from llmrec.evaluation.types import Material

CATALOG = Catalog(
    [
        {"id": "a", "title": "Solaris", "categories": ["Science fiction", "Drama"]},
        {"id": "b", "title": "Stalker", "categories": ["science fiction"]},
        {"id": "c", "title": "Amélie", "categories": ["Comedy"]},
        {"id": "d", "title": "Unknown film"},
    ]
)
LOG = InteractionLog({"u": ["a", "b"], "v": ["a"], "w": ["a", "c"], "x": ["a", "b", "b"]})


def test_coverage_is_the_share_of_items_in_any_list() -> None:
    assert coverage([["a", "b"], ["b"]], 4) == 0.5
    assert coverage([[], []], 4) == 0.0


def test_gini_by_hand() -> None:
    assert gini([["a", "b", "c", "d"]], 4) == pytest.approx(0.0)
    assert gini([["a"], ["a"], ["a"]], 4) == pytest.approx(1.0)
    # Shares 0, 0, 1/4, 3/4 of four items: (-3·0 - 1·0 + 1/4 + 3·3/4) / 3.
    assert gini([["a", "b"], ["a"], ["a"]], 4) == pytest.approx(2.5 / 3)
    assert gini([["a"]], 1) == gini([[]], 5) == 0.0


@given(st.lists(st.lists(st.integers(0, 8), max_size=5), min_size=1, max_size=8), st.integers(9, 30))
def test_gini_is_the_mean_difference_of_all_pairs(lists: list[list[int]], size: int) -> None:
    named = [[str(item) for item in items] for items in lists]
    counts = np.array([sum(items.count(item) for items in lists) for item in range(size)], dtype=float)
    if counts.sum():
        differences = np.abs(counts[:, None] - counts[None, :]).sum()
        assert gini(named, size) == pytest.approx(differences / (2 * (size - 1) * counts.sum()))
    assert 0 <= coverage(named, size) <= 1


def test_diversity_by_categories_leaves_out_items_that_have_none() -> None:
    traits = item_traits(CATALOG, CATALOG, diversity_basis(CATALOG))
    assert diversity_basis(CATALOG) == "category"
    assert intra_list_diversity(["a", "b"], traits) == pytest.approx(0.5)
    assert intra_list_diversity(["a", "b", "c", "d"], traits) == pytest.approx((0.5 + 1 + 1) / 3)
    assert math.isnan(intra_list_diversity(["a", "d"], traits))
    assert math.isnan(intra_list_diversity([], traits))


def test_diversity_by_words_reads_chinese_too() -> None:
    catalog = Catalog(
        [
            {"id": "1", "title": "三体 黑暗森林"},
            {"id": "2", "title": "三体 死神永生"},
            {"id": "3", "title": "Wireless mouse"},
        ]
    )
    assert diversity_basis(catalog) == "word"
    traits = item_traits(catalog, catalog, "word")
    assert 0 < intra_list_diversity(["1", "2"], traits) < intra_list_diversity(["1", "3"], traits) == 1.0


def test_novelty_is_self_information_in_bits() -> None:
    assert novelty(["a"], LOG) == 0.0
    assert novelty(["b", "c"], LOG) == pytest.approx((1 + 2) / 2)
    assert novelty(["d"], LOG) == pytest.approx(2.0), "nobody's item counts as one person's"
    assert math.isnan(novelty([], LOG))
    assert math.isnan(novelty(["a"], InteractionLog()))


def test_popularity_is_the_share_of_people() -> None:
    assert mean_popularity(["a", "b"], LOG) == pytest.approx((1 + 0.5) / 2)
    assert mean_popularity(["b", "b", "d"], LOG) == pytest.approx(0.25)
    assert math.isnan(mean_popularity([], LOG))
    assert math.isnan(mean_popularity(["a"], InteractionLog()))


def test_all_figures_of_a_run() -> None:
    lists = [["a", "b", "d"], ["a", "c", "b"], ["c", "b", "a"]]
    figures = list_figures(lists, [["b"], ["c"], []], ["u", "v", "w"], Material(CATALOG, LOG), at=2)
    assert set(figures) == {
        "coverage@2",
        "gini@2",
        "category_diversity@2",
        "novelty@2",
        "popularity_lift@2",
    }
    assert figures["coverage@2"].mean == figures["coverage@2"].low == 0.75
    assert figures["category_diversity@2"].mean == pytest.approx((0.5 + 1 + 1) / 3)
    assert figures["novelty@2"].mean == pytest.approx((0.5 + 1 + 1.5) / 3)
    # w has no history: the lift is over u and v, (0.75 + 0.625) / (0.5 + 0.25).
    assert figures["popularity_lift@2"].mean == pytest.approx(1.375 / 0.75)
    assert figures["popularity_lift@2"].people == 2
    assert figures["novelty@2"].low <= figures["novelty@2"].mean <= figures["novelty@2"].high


def test_without_a_log_nothing_is_said_of_popularity() -> None:
    figures = list_figures([["a", "b"]], [["c"]], ["u"], Material(CATALOG, InteractionLog()))
    assert set(figures) == {"coverage@10", "gini@10", "category_diversity@10"}


def test_single_items_have_no_diversity() -> None:
    assert "category_diversity@1" not in list_figures([["a"]], [["b"]], ["u"], Material(CATALOG, LOG), at=1)


@pytest.mark.parametrize(
    ("lists", "histories", "users", "words"),
    [
        ([["a"]], [], ["u"], "one of each"),
        ([], [], [], "one of each"),
        ([["zzz"]], [[]], ["u"], "'zzz'"),
    ],
)
def test_what_cannot_be_measured_is_refused(lists, histories, users, words: str) -> None:
    with pytest.raises(InputError, match=words):
        list_figures(lists, histories, users, Material(CATALOG, LOG))
    with pytest.raises(InputError, match="whole catalogue"):
        coverage([["a", "b"]], 1)
