"""Signals into one score: convex, scale-free, and stable on ties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.ranking.fusion import certainty, fuse, gate, order_of, softmax, telling_share, z_scores

numbers = st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=1, max_size=8)


@given(numbers)
def test_z_scores_have_mean_zero_and_spread_one_or_are_all_zero(values: list[float]) -> None:
    scores = z_scores(values)
    assert np.isfinite(scores).all()
    assert abs(scores.mean()) < 1e-5
    assert not scores.any() or scores.std() == pytest.approx(1, abs=1e-5)


def test_values_that_do_not_differ_say_nothing() -> None:
    assert z_scores([5.0, 5.0, 5.0]).tolist() == [0, 0, 0]
    assert z_scores([0.1 + 0.2, 0.3, 0.3]).tolist() == [0, 0, 0], "nor do they by rounding alone"
    assert z_scores([7.0]).tolist() == [0]
    assert z_scores([]).tolist() == []


def test_each_signal_adds_its_part_of_all_weights() -> None:
    added = fuse({"a": [1, 2, 3], "b": [30, 20, 10]}, {"a": 3, "b": 1})
    z = (3 / 2) ** 0.5
    assert added["a"] == pytest.approx([-z * 0.75, 0, z * 0.75])
    assert added["b"] == pytest.approx([z * 0.25, 0, -z * 0.25])


def test_a_signal_that_tells_nothing_apart_leaves_its_weight_to_the_others() -> None:
    with_constant = fuse({"a": [1, 2, 3], "b": [4, 4, 4]}, {"a": 1, "b": 9})
    assert with_constant["a"] == pytest.approx(fuse({"a": [1, 2, 3]}, {"a": 1})["a"])
    assert with_constant["b"].tolist() == [0, 0, 0]


def test_a_signal_without_a_weight_adds_nothing() -> None:
    added = fuse({"a": [1, 2], "b": [1, 2]}, {"a": 1})
    assert added["a"] == pytest.approx([-1, 1])
    assert added["b"].tolist() == [0, 0]
    assert fuse({"a": [1, 2]}, {"a": 0})["a"].tolist() == [0, 0]
    assert fuse({}, {"a": 1}) == {}


@given(
    st.integers(2, 6).flatmap(
        lambda size: st.tuples(*[st.lists(st.integers(-9, 9), min_size=size, max_size=size)] * 3)
    ),
    st.tuples(*[st.floats(0.01, 10)] * 3),
    st.floats(0.1, 100),
)
def test_the_sum_is_a_convex_combination_whatever_the_units(
    values: tuple[list[int], ...], weights: tuple[float, ...], unit: float
) -> None:
    names = ("a", "b", "c")
    signals = {name: [float(value) for value in column] for name, column in zip(names, values, strict=True)}
    given_weights = dict(zip(names, weights, strict=True))
    added = fuse(signals, given_weights)
    total = sum(added.values())
    scaled = {name: [value * unit + 7 for value in column] for name, column in signals.items()}
    heavier = {name: weight * 5 for name, weight in given_weights.items()}
    assert sum(fuse(scaled, heavier).values()) == pytest.approx(total, abs=1e-6)
    columns = [z_scores(column) for column in signals.values() if z_scores(column).any()]
    if columns:
        assert (total <= np.max(columns, axis=0) + 1e-9).all()
        assert (total >= np.min(columns, axis=0) - 1e-9).all()


def test_ties_stand_in_the_order_of_their_ids() -> None:
    assert order_of([1.0, 2.0, 2.0, 0.0], ["a", "z", "b", "c"]) == [2, 1, 0, 3]
    assert order_of([0.1 + 0.2, 0.3], ["b", "a"]) == [1, 0], "a difference in the last digits is none"
    assert order_of([0.30001, 0.3], ["b", "a"]) == [0, 1]
    assert order_of([], []) == []


def test_softmax_by_hand() -> None:
    assert softmax([0.0, float(np.log(3))]) == pytest.approx([0.25, 0.75])
    assert softmax([1000.0, 1000.0]) == pytest.approx([0.5, 0.5]), "large values are no trouble"
    assert softmax([7.0]).tolist() == [1.0]
    assert softmax([]).tolist() == []


@given(numbers)
def test_probabilities_sum_to_one_and_keep_the_order(values: list[float]) -> None:
    chances = softmax(values)
    assert chances.sum() == pytest.approx(1)
    assert (chances >= 0).all()
    assert chances.argmax() in np.flatnonzero(np.asarray(values) >= max(values) - 1e-9)


def test_certainty_is_one_less_the_part_of_the_largest_entropy() -> None:
    for count in range(2, 60):
        assert certainty([-3.3] * count) == 0, "exactly, whatever is rounded on the way"
    assert certainty([1000.0, 0.0, 0.0]) == pytest.approx(1)
    entropy = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    assert certainty([0.0, float(np.log(3))]) == pytest.approx(1 - entropy / np.log(2))
    assert certainty([5.0]) == certainty([]) == 0.0


@given(numbers)
def test_certainty_is_from_nothing_to_one_and_grows_with_the_distances(values: list[float]) -> None:
    assert 0 <= certainty(values) <= 1
    small = [value / 1e6 for value in values]
    assert certainty([2 * value for value in small]) >= certainty(small) - 1e-9


def test_the_gate_opens_in_a_line_between_its_bounds() -> None:
    opened = [gate(sureness, 0.2, 0.6) for sureness in (0.0, 0.2, 0.3, 0.4, 0.6, 1.0)]
    assert opened == pytest.approx([0, 0, 0.25, 0.5, 1, 1])


def test_the_telling_share_counts_measured_signals_by_their_whole_weights() -> None:
    signals = {"a": [1.0, 2.0], "b": [3.0, 3.0], "model": [0.0, 1.0]}
    whole = {"a": 1.0, "b": 2.0, "model": 1.0, "popularity": 9.0}
    assert telling_share(signals, whole, whole) == pytest.approx(2 / 4)
    assert telling_share(signals, {**whole, "model": 0.5}, whole) == pytest.approx(1.5 / 4)
    assert telling_share({}, whole, whole) == telling_share(signals, {}, {}) == 0
