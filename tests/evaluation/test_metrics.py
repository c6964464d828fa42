"""The figures of a ranking, against all orders by hand, and against ir_measures."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrec.errors import InputError
from llmrec.evaluation.metrics import chance, figures, figures_of_rows

IR_NAMES = {
    "ndcg": "nDCG",
    "hit": "Success",
    "precision": "P",
    "recall": "R",
    "mrr": "RR",
    "map": "AP",
}


def by_hand(order: Sequence[bool], at: Sequence[int]) -> dict[str, float]:
    """Every figure of one untied order, written as plainly as its definition."""
    targets = sum(order)
    ranks = [rank for rank, target in enumerate(order, start=1) if target]
    figures = {
        "mrr": 1 / ranks[0],
        "map": sum(sum(order[:rank]) / rank for rank in ranks) / targets,
    }
    pairs = [(i, j) for i in range(len(order)) for j in range(len(order)) if order[i] and not order[j]]
    figures["auc"] = sum(i < j for i, j in pairs) / len(pairs) if pairs else math.nan
    for k in at:
        top = [rank for rank in ranks if rank <= k]
        gained = sum(1 / math.log2(1 + rank) for rank in top)
        ideal = sum(1 / math.log2(1 + rank) for rank in range(1, min(k, targets) + 1))
        precision, recall = len(top) / k, len(top) / targets
        figures |= {
            f"ndcg@{k}": gained / ideal,
            f"hit@{k}": float(bool(top)),
            f"precision@{k}": precision,
            f"recall@{k}": recall,
            f"f1@{k}": 2 * precision * recall / (precision + recall) if top else 0.0,
            f"mrr@{k}": 1 / ranks[0] if ranks[0] <= k else 0.0,
            f"map@{k}": sum(sum(order[:rank]) / rank for rank in top) / targets,
        }
    return figures


def orders(scores: Sequence[float]) -> list[tuple[int, ...]]:
    """Every order of the candidates that the scores allow."""
    return [
        order
        for order in itertools.permutations(range(len(scores)))
        if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))
    ]


@given(
    st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=1, max_size=6).filter(
        lambda pairs: any(target for _, target in pairs)
    )
)
@settings(deadline=None, max_examples=150)
def test_ties_give_the_mean_over_all_their_orders(pairs: list[tuple[int, bool]]) -> None:
    scores = [float(score) for score, _ in pairs]
    targets = [target for _, target in pairs]
    at = (1, 2, 3, 10)
    measured = figures(scores, targets, at)
    each = [by_hand([targets[place] for place in order], at) for order in orders(scores)]
    assert measured.keys() == each[0].keys()
    for name, value in measured.items():
        assert value == pytest.approx(np.mean([one[name] for one in each]), abs=1e-12, nan_ok=True), name


def ir_figures(runs: np.ndarray, targets: np.ndarray, at: Sequence[int]) -> dict[str, np.ndarray]:
    ir_measures = pytest.importorskip("ir_measures")
    names = {f"{ours}@{k}": f"{theirs}@{k}" for ours, theirs in IR_NAMES.items() for k in at}
    names |= {"mrr": "RR", "map": "AP"}
    measures = {ir_measures.parse_measure(theirs): ours for ours, theirs in names.items()}
    qrels = [
        ir_measures.Qrel(str(q), str(i), 1)
        for q, row in enumerate(targets)
        for i, one in enumerate(row)
        if one
    ]
    run = [
        ir_measures.ScoredDoc(str(q), str(i), float(s))
        for q, row in enumerate(runs)
        for i, s in enumerate(row)
    ]
    result = {ours: np.full(len(runs), np.nan) for ours in names}
    for metric in ir_measures.iter_calc(list(measures), qrels, run):
        result[measures[metric.measure]][int(metric.query_id)] = metric.value
    return result


def test_untied_figures_are_those_of_ir_measures() -> None:
    generator = np.random.default_rng(3)
    scores = generator.normal(size=(60, 25))
    targets = generator.random((60, 25)) < 0.15
    targets[np.arange(60), generator.integers(0, 25, 60)] = True
    at = (1, 5, 10, 20)
    ours = figures_of_rows(scores, targets, at)
    for name, theirs in ir_figures(scores, targets, at).items():
        assert ours[name] == pytest.approx(theirs, abs=1e-9), name


def test_ties_are_the_mean_of_ir_measures_over_permutations() -> None:
    scores = np.array([2.0, 1.0, 1.0, 1.0, 1.0, 0.0])
    targets = np.array([False, True, False, True, False, True])
    at = (1, 2, 3, 5)
    allowed = orders(list(scores))
    assert len(allowed) == 24
    broken = np.empty((len(allowed), 6))
    for row, order in enumerate(allowed):
        broken[row, list(order)] = np.arange(6, 0, -1)
    theirs = ir_figures(broken, np.tile(targets, (len(allowed), 1)), at)
    ours = figures(scores, targets, at)
    for name, values in theirs.items():
        assert ours[name] == pytest.approx(values.mean(), abs=1e-9), name


@given(st.integers(1, 40), st.integers(0, 39), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_rows_are_measured_as_they_are_alone(count: int, target: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    scores = generator.integers(0, 4, size=(3, count)).astype(float)
    targets = generator.random((3, count)) < 0.3
    targets[:, target % count] = True
    together = figures_of_rows(scores, targets)
    for row in range(3):
        alone = figures(scores[row], targets[row])
        for name, value in alone.items():
            assert together[name][row] == pytest.approx(value, nan_ok=True, abs=1e-12)
            assert math.isnan(value) or 0 <= value <= 1
    shuffled = generator.permutation(count)
    again = figures_of_rows(scores[:, shuffled], targets[:, shuffled])
    for name in together:
        assert again[name] == pytest.approx(together[name], nan_ok=True, abs=1e-12), (
            "order of candidates matters"
        )


def test_one_target_among_twenty_equal_scores_is_chance() -> None:
    equal = figures([0.3] * 20, [True] + [False] * 19)
    assert equal["hit@10"] == pytest.approx(0.5)
    assert equal["auc"] == pytest.approx(0.5)
    assert equal["ndcg@10"] == pytest.approx(sum(1 / math.log2(1 + r) for r in range(1, 11)) / 20)
    assert equal["mrr"] == pytest.approx(sum(1 / r for r in range(1, 21)) / 20)
    assert chance(20) == equal


def test_scores_a_rounding_apart_are_tied_and_others_are_not() -> None:
    assert figures([0.1 + 0.2, 0.3], [True, False])["auc"] == 0.5
    assert figures([1e9 + 0.5, 1e9], [True, False])["auc"] == 0.5
    assert figures([1.0 + 1e-8, 1.0], [True, False])["auc"] == 1.0
    assert figures([1e-300, 0.0], [True, False])["auc"] == 1.0
    assert figures([-1.0, -1.0 - 1e-12], [False, True])["auc"] == 0.5


def test_minus_infinity_is_the_last_place_and_tied_with_itself() -> None:
    measured = figures([-math.inf, 0.0, -math.inf], [True, False, False], at=(1, 3))
    assert measured["auc"] == pytest.approx(0.25)
    assert measured["mrr"] == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert figures([math.inf, 5.0], [False, True], at=(1,))["hit@1"] == 0.0


def test_a_long_tied_list_stays_exact() -> None:
    count = 5000
    measured = figures(np.zeros(count), np.arange(count) < 50, at=(10,))
    none = math.exp(sum(math.log(count - 50 - i) - math.log(count - i) for i in range(10)))
    assert measured["hit@10"] == pytest.approx(1 - none, rel=1e-9)
    assert measured["recall@10"] == pytest.approx(10 / count, rel=1e-9)


def test_nothing_but_targets_has_no_area_under_the_curve() -> None:
    measured = figures([1.0, 2.0], [True, True], at=(1,))
    assert math.isnan(measured["auc"])
    assert measured["ndcg@1"] == measured["map"] == 1.0


@pytest.mark.parametrize(
    ("scores", "targets", "at", "words"),
    [
        ([1.0, 2.0], [False, False], (1,), "no target"),
        ([], [], (1,), "no target"),
        ([1.0, math.nan], [True, False], (1,), "NaN"),
        ([1.0], [True, False], (1,), "do not fit"),
        ([1.0, 2.0], [True, False], (0,), "cutoff"),
        ([1.0, 2.0], [True, False], (), "cutoff"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    scores: list[float], targets: list[bool], at: tuple[int, ...], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        figures(scores, targets, at)


def test_chance_needs_a_target_among_the_candidates() -> None:
    with pytest.raises(InputError, match="cannot hold"):
        chance(5, targets=0)
    with pytest.raises(InputError, match="cannot hold"):
        chance(5, targets=6)
