"""Item factors against a full eigendecomposition."""

from __future__ import annotations

import sys
import time

import numpy as np
import pytest

from llmrec.candidates.co_occurrence import CoOccurrence
from llmrec.candidates.item_factors import ItemFactors
from llmrec.candidates.log import InteractionLog
from llmrec.errors import InputError


def random_log(people: int = 60, items: int = 12, seed: int = 0) -> InteractionLog:
    random = np.random.default_rng(seed)
    return InteractionLog(
        {f"u{at}": [f"i{item}" for item in random.integers(0, items, 6).tolist()] for at in range(people)}
    )


def ids(items: int) -> list[str]:
    return [f"i{at}" for at in range(items)]


@pytest.mark.parametrize("dimensions", [1, 3, 12, 200])
def test_inner_products_are_those_of_the_full_decomposition(dimensions: int) -> None:
    log = random_log()
    counted = CoOccurrence(log, ids(12))
    scale = 1 / np.sqrt(counted.totals + 10)
    values, vectors = np.linalg.eigh(counted.counts.toarray() * scale[:, None] * scale[None])
    largest = [at for at in np.argsort(-values)[:dimensions] if values[at] > 1e-6]
    expected = (vectors[:, largest] * values[largest] ** 1.5) @ vectors[:, largest].T
    found = ItemFactors(log, ids(12), dimensions)
    assert found.vectors.shape == (12, len(largest))
    assert found.vectors @ found.vectors.T == pytest.approx(expected, abs=1e-4)
    assert found.scores([("i3", 2.0), (5, -1.0)], unit=False) == pytest.approx(
        2 * expected[3] - expected[5], abs=1e-4
    )


def test_with_many_items_the_iteration_finds_the_largest() -> None:
    log = random_log(people=800, items=150)
    counted = CoOccurrence(log, ids(150))
    scale = 1 / np.sqrt(counted.totals + 10)
    exact = np.linalg.eigvalsh(counted.counts.toarray() * scale[:, None] * scale[None])[::-1]
    lengths = np.linalg.norm(ItemFactors(log, ids(150), 8).vectors, axis=0) ** (4 / 3)
    assert lengths[0] == pytest.approx(exact[0], rel=1e-3)
    assert lengths == pytest.approx(exact[:8], rel=0.1)


def test_items_never_chosen_together_are_near_by_what_they_share() -> None:
    people = {f"l{at}": ["left", "middle"] for at in range(20)}
    people |= {f"r{at}": ["middle", "right"] for at in range(20)}
    people |= {f"o{at}": ["other", "another"] for at in range(20)}
    item_ids = ["left", "middle", "right", "other", "another"]
    assert CoOccurrence(InteractionLog(people), item_ids).scores([("left", 1.0)])[2] == 0
    scores = ItemFactors(InteractionLog(people), item_ids, 5).scores([("left", 1.0)])
    assert scores[1] > 0.5
    assert scores[2] > 0.5
    assert scores[3] == pytest.approx(0, abs=1e-4)


def test_a_unit_score_is_a_cosine() -> None:
    found = ItemFactors(random_log(), [*ids(12), "nobody's"], 4)
    scores = found.scores([("i1", 1.0)])
    assert scores[1] == pytest.approx(1, abs=1e-5)
    assert np.abs(scores).max() <= 1 + 1e-5
    assert scores[12] == 0


def test_counts_can_be_shared_but_only_of_the_same_items() -> None:
    log = random_log()
    counted = CoOccurrence(log, ids(12))
    shared = ItemFactors(log, ids(12), 4, co_occurrence=counted)
    assert np.array_equal(shared.vectors, ItemFactors(log, ids(12), 4).vectors)
    with pytest.raises(InputError, match="of other items"):
        ItemFactors(log, ids(11), 4, co_occurrence=counted)


def test_dimensions_and_scipy_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="give 1 or more"):
        ItemFactors(random_log(), ids(12), 0)
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    with pytest.raises(InputError, match=r"llmrec\[log\]"):
        ItemFactors(random_log(), ids(12))


def test_a_large_catalogue_takes_seconds() -> None:
    log = random_log(people=20_000, items=10_000)
    began = time.process_time()
    found = ItemFactors(log, ids(10_000))
    assert found.vectors.shape == (10_000, 128)
    assert time.process_time() - began < 60
