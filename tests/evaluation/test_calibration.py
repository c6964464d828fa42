"""Calibration error, Brier score and bins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.errors import InputError
from llmrec.evaluation.calibration import reliability

PAIRS = st.lists(st.tuples(st.sampled_from([0.0, 0.05, 0.3, 0.5, 0.9, 1.0]), st.booleans()), min_size=1)


def test_two_bins_by_hand() -> None:
    one = reliability("ours", [0.1, 0.3, 0.6, 0.8], [False, True, True, True], bins=2)
    assert [(b.predicted, b.taken, b.count) for b in one.bins] == [
        (pytest.approx(0.2), 0.5, 2),
        (pytest.approx(0.7), 1.0, 2),
    ]
    assert one.calibration_error == pytest.approx((0.3 + 0.3) / 2)
    assert one.brier == pytest.approx((0.01 + 0.49 + 0.16 + 0.04) / 4)
    assert one.brier_constant == pytest.approx(0.75 * 0.25)
    assert one.count == 4


def test_true_probabilities_have_little_error_and_halved_ones_much() -> None:
    generator = np.random.default_rng(5)
    truth = generator.beta(0.3, 3.0, size=40_000)
    taken = generator.random(40_000) < truth
    right, halved = reliability("right", truth, taken), reliability("halved", truth / 2, taken)
    assert right.calibration_error < 0.006
    assert halved.calibration_error == pytest.approx(truth.mean() / 2, abs=0.006)
    assert right.brier < min(halved.brier, right.brier_constant)
    assert [b.count for b in right.bins] == [4000] * 10


def test_one_constant_that_is_right_has_no_error_in_any_order() -> None:
    taken = [True] * 5 + [False] * 95
    one = reliability("chance", [0.05] * 100, taken)
    assert one.calibration_error == pytest.approx(0)
    assert one.brier == pytest.approx(one.brier_constant)
    assert len(one.bins) == 1


@given(PAIRS, st.integers(1, 12), st.randoms(use_true_random=False))
def test_the_order_of_candidates_does_not_matter(pairs, bins: int, random) -> None:
    mixed = list(pairs)
    random.shuffle(mixed)
    one = reliability("s", *zip(*pairs, strict=True), bins=bins)
    other = reliability("s", *zip(*mixed, strict=True), bins=bins)
    assert one.calibration_error == pytest.approx(other.calibration_error, abs=1e-12)
    assert [(b.count, pytest.approx(b.taken)) for b in one.bins] == [(b.count, b.taken) for b in other.bins]
    assert sum(b.count for b in one.bins) == len(pairs)
    assert len(one.bins) <= bins
    assert [b.predicted for b in one.bins] == sorted(b.predicted for b in one.bins)


@pytest.mark.parametrize(
    ("probabilities", "taken", "bins", "words"),
    [
        ([], [], 10, "one of each"),
        ([0.5], [True, False], 10, "one of each"),
        ([1.5], [True], 10, "outside 0 to 1"),
        ([float("nan")], [True], 10, "outside 0 to 1"),
        ([0.5], [True], 0, "bins"),
    ],
)
def test_what_cannot_be_compared_is_refused(probabilities, taken, bins: int, words: str) -> None:
    with pytest.raises(InputError, match=words):
        reliability("ours", probabilities, taken, bins)
