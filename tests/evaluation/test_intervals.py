"""Bootstrap intervals: what they enclose, and how often they are right."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrec.errors import InputError
from llmrec.evaluation.intervals import (
    interval,
    intervals,
    paired,
    paired_intervals,
    ratio,
    without_interval,
)
from llmrec.evaluation.types import Interval

SAMPLES = 400


def coverage(samples: list[tuple[Interval, float]]) -> float:
    return float(np.mean([one.low <= truth <= one.high for one, truth in samples]))


def test_the_true_mean_lies_within_about_95_of_100_intervals() -> None:
    generator = np.random.default_rng(11)
    found = [
        (interval(generator.beta(0.8, 1.2, size=80), draws=500, seed=sample), 0.4)
        for sample in range(SAMPLES)
    ]
    assert 0.91 <= coverage(found) <= 0.98


def test_people_with_several_queries_are_drawn_whole() -> None:
    """Queries of one person are alike; intervals over single queries would be far too narrow."""
    generator = np.random.default_rng(12)
    people = [str(person) for person in range(60) for _ in range(8)]
    whole, apart = [], []
    for sample in range(SAMPLES):
        values = np.repeat(generator.normal(size=60), 8) + 0.1 * generator.normal(size=480)
        whole.append((interval(values, people, draws=400, seed=sample), 0.0))
        apart.append((interval(values, draws=200, seed=sample), 0.0))
    assert 0.90 <= coverage(whole) <= 0.98
    assert coverage(apart) < 0.7


def test_a_paired_difference_is_right_as_often_and_far_narrower() -> None:
    generator = np.random.default_rng(13)
    found, widths = [], []
    for sample in range(SAMPLES):
        ease = generator.normal(size=80)
        one = ease + 0.2 + 0.2 * generator.normal(size=80)
        other = ease + 0.2 * generator.normal(size=80)
        difference = paired(one, other, draws=500, seed=sample)
        found.append((difference, 0.2))
        widths.append((difference.high - difference.low) / (interval(one).high - interval(one).low))
        if sample == 0:
            assert difference.mean == pytest.approx(one.mean() - other.mean())
    assert 0.91 <= coverage(found) <= 0.98
    assert np.mean(widths) < 0.4


def test_the_width_is_that_of_the_normal_approximation() -> None:
    values = np.random.default_rng(14).normal(size=2000)
    one = interval(values)
    expected = 1.96 * values.std() / math.sqrt(2000)
    assert one.high - one.mean == pytest.approx(expected, rel=0.08)
    assert one.mean - one.low == pytest.approx(expected, rel=0.08)


def test_memory_bound_draws_are_drawn_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(15).normal(size=50)
    together = interval(values, draws=1000)
    monkeypatch.setattr("llmrec.evaluation.intervals._COUNTS_AT_ONCE", 500)
    assert interval(values, draws=1000) == together, "the size of the parts changes nothing"


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.integers(0, 5))
@settings(deadline=None, max_examples=60)
def test_the_mean_lies_between_the_bounds_and_they_among_the_values(values: list[float], seed: int) -> None:
    one = interval(values, draws=200, seed=seed)
    assert one.people == len(values)
    assert one.mean == pytest.approx(np.mean(values))
    assert min(values) - 1e-12 <= one.low <= one.high <= max(values) + 1e-12
    assert interval(values, draws=200, seed=seed) == one


def test_a_person_counts_once_whatever_the_number_of_queries() -> None:
    one = interval([1.0, 1.0, 1.0, 0.0], ["ana", "ana", "ana", "bo"])
    assert (one.mean, one.people) == (0.5, 2)


def test_many_columns_give_what_each_gives_alone() -> None:
    generator = np.random.default_rng(16)
    people = ["a", "b", "b", "c", "d", "e"]
    table = {"one": generator.normal(size=6), "two": generator.normal(size=6)}
    table["two"][1] = np.nan
    together = intervals(table, people)
    assert together == {name: interval(values, people) for name, values in table.items()}
    assert intervals({}) == {}


def test_every_system_is_paired_with_every_baseline_but_itself() -> None:
    table = {"bm25": [0.1, 0.4, 0.2], "llmrec": [0.5, 0.4, 0.9]}
    found = paired_intervals(table, {"bm25": table["bm25"], "chance": [0.2, 0.2, 0.2]})
    assert list(found) == [("bm25", "chance"), ("llmrec", "bm25"), ("llmrec", "chance")]
    assert found["llmrec", "bm25"] == paired(table["llmrec"], table["bm25"])
    assert paired_intervals({}, {}) == {}


def test_what_is_missing_is_left_out_and_not_counted() -> None:
    assert interval([0.2, math.nan, 0.4]).people == 2
    assert interval([0.2, math.nan, 0.4]).mean == pytest.approx(0.3)
    assert interval([math.nan, 1.0, 0.0], ["a", "a", "b"]).mean == 0.5
    assert paired([1.0, math.nan, 0.5], [0.0, 0.0, math.nan]) == Interval(mean=1, low=1, high=1, people=1)


def test_a_ratio_is_of_the_means_and_not_a_mean_of_ratios() -> None:
    one = ratio([1.0, 8.0], [1.0, 2.0], draws=4000)
    assert one.mean == pytest.approx(3.0)
    assert (one.low, one.high) == pytest.approx((1.0, 4.0))
    assert ratio([1.0, math.nan, 3.0], [2.0, 5.0, 2.0]).people == 2


def test_the_ratio_of_a_simulated_pair_is_covered() -> None:
    generator = np.random.default_rng(17)
    found = []
    for sample in range(SAMPLES):
        below = generator.gamma(3.0, 1.0, size=80)
        above = below * generator.gamma(4.0, 0.5, size=80)
        found.append((ratio(above, below, draws=400, seed=sample), 2.0))
    assert 0.90 <= coverage(found) <= 0.98


def test_a_figure_of_all_together_has_no_width() -> None:
    assert without_interval(0.4, 12) == Interval(mean=0.4, low=0.4, high=0.4, people=12)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: interval([]), "no value"),
        (lambda: interval([math.nan]), "no value"),
        (lambda: intervals({"auc": [math.nan, math.nan], "map": [1.0, 0.5]}), "of auc"),
        (lambda: interval([1.0], ["a", "b"]), "whose"),
        (lambda: interval([1.0], draws=0), "draws"),
        (lambda: interval([1.0], confidence=95), "share"),
        (lambda: paired([1.0], [1.0, 2.0]), "same queries"),
        (lambda: intervals({"a": [1.0], "b": [1.0, 2.0]}), "same queries"),
        (lambda: ratio([1.0, 2.0], [1.0, 0.0]), "above 0"),
        (lambda: ratio([], []), "above 0"),
    ],
)
def test_what_has_no_interval_is_refused(call, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call()
