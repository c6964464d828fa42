"""Co-occurrence: counts and scores against sums written out here."""

from __future__ import annotations

import math
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.candidates.co_occurrence import CoOccurrence
from llmrec.candidates.log import InteractionLog
from llmrec.errors import InputError

ITEMS = ["a", "b", "c", "d", "e"]


def counts_by_hand(sequences: dict[str, list[str]], item_ids: list[str]) -> np.ndarray:
    counts = np.zeros((len(item_ids), len(item_ids)))
    for items in sequences.values():
        last = items[-60:]
        for at, first in enumerate(last):
            for gap in range(1, 31):
                if at + gap >= len(last):
                    break
                second = last[at + gap]
                if first != second and first in item_ids and second in item_ids:
                    pair = item_ids.index(first), item_ids.index(second)
                    amount = 1 / math.sqrt(gap) / math.log2(2 + len(last))
                    counts[pair] += amount
                    counts[pair[::-1]] += amount
    return counts


@given(st.dictionaries(st.sampled_from("xyz"), st.lists(st.sampled_from("abcdefg"), max_size=12)))
def test_counts_are_those_summed_by_hand(sequences: dict[str, list[str]]) -> None:
    found = CoOccurrence(InteractionLog(sequences), ITEMS)
    assert found.counts.toarray() == pytest.approx(counts_by_hand(sequences, ITEMS), rel=1e-5)
    assert found.totals == pytest.approx(counts_by_hand(sequences, ITEMS).sum(axis=1), rel=1e-5)


def test_items_far_apart_and_long_ago_do_not_count() -> None:
    long = [f"i{at}" for at in range(100)]
    item_ids = list(long)
    found = CoOccurrence(InteractionLog({"ana": long}), item_ids).counts
    assert found.toarray() == pytest.approx(counts_by_hand({"ana": long}, item_ids), rel=1e-5)
    assert found[40, 70] > 0
    assert found[40, 71] == 0
    assert found[39, 40] == 0


def test_scores_are_those_worked_by_hand() -> None:
    log = InteractionLog({"ana": ["a", "b", "c"], "leo": ["a", "b"], "kim": ["d", "a"]})
    found = CoOccurrence(log, ITEMS)
    counts = counts_by_hand({who: list(items) for who, items in log.sequences.items()}, ITEMS)
    totals = counts.sum(axis=1)
    for exponent in (0.0, 0.5, 1.0):
        expected = [
            sum(
                weight * counts[h, c] / math.sqrt(totals[h] + 5) / (totals[c] + 5) ** exponent
                for h, weight in ((0, 1.0), (2, 0.5))
            )
            for c in range(5)
        ]
        scores = found.scores([("a", 1.0), (2, 0.5), ("unknown", 3.0)], popularity_exponent=exponent)
        assert scores == pytest.approx(expected, rel=1e-5)


def test_neighbours_are_the_nearest_without_the_item_itself() -> None:
    log = InteractionLog({"ana": ["a", "b", "c"], "leo": ["a", "b"]})
    found = CoOccurrence(log, ITEMS)
    names = [item_id for item_id, _ in found.neighbours("a")]
    assert names == ["b", "c"]
    assert found.neighbours("a", 1)[0][1] == pytest.approx(float(found.scores([("a", 1.0)])[1]))
    assert found.neighbours("e") == []
    assert found.neighbours("a", 0) == []
    with pytest.raises(InputError, match="'zebra' is not among those"):
        found.neighbours("zebra")


def test_scipy_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    with pytest.raises(InputError, match=r"pip install \"llmrec\[log\]\""):
        CoOccurrence(InteractionLog({"ana": ["a", "b"]}), ITEMS)


def test_a_million_interactions_take_seconds() -> None:
    draws = (np.random.default_rng(0).pareto(1.0, (100_000, 10)) * 50).clip(0, 9_999).astype(int)
    log = InteractionLog({f"u{at}": [f"i{item}" for item in row] for at, row in enumerate(draws.tolist())})
    began = time.process_time()
    found = CoOccurrence(log, [f"i{at}" for at in range(10_000)])
    assert found.counts.nnz > 100_000
    assert time.process_time() - began < 20
