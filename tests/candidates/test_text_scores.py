"""Aggregating what each text of a history says of each item."""

from __future__ import annotations

import math

import numpy as np
import pytest

from llmrec.candidates.text_scores import aggregated, checked_columns
from llmrec.errors import InputError

COSINES = np.array([[0.8, 0.0, -0.2], [0.2, 0.6, 0.9]], dtype=np.float32)


@pytest.mark.parametrize(
    ("weights", "aggregate", "expected"),
    [
        (None, "mean", [0.5, 0.3, 0.35]),
        ([3, 1], "mean", [0.65, 0.15, 0.075]),
        ([1, -1], "mean", [0.3, -0.3, -0.55]),
        ([0, 0], "mean", [0, 0, 0]),
        ([3e-300, 1e-300], "mean", [0.65, 0.15, 0.075]),
        ([1e308, 1e308], "mean", [0.5, 0.3, 0.35]),
        (None, "max", [0.8, 0.6, 0.9]),
        ([1, 0], "max", [0.8, 0.0, -0.2]),
        ([0.1, -5], "max", [0.8, 0.0, -0.2]),
        ([-1, 0], "max", [0, 0, 0]),
    ],
)
def test_means_and_maxima(weights, aggregate, expected) -> None:
    assert aggregated(COSINES, weights, aggregate) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("aggregate", ["mean", "max"])
def test_no_texts_say_nothing(aggregate) -> None:
    assert aggregated(COSINES[:0], None, aggregate).tolist() == [0, 0, 0]


@pytest.mark.parametrize("weights", [[1], [1, 2, 3], [1, math.nan], [1, math.inf]])
def test_weights_must_fit(weights) -> None:
    with pytest.raises(InputError, match="2 texts need 2 finite weights"):
        aggregated(COSINES, weights, "mean")


def test_another_aggregate_is_told() -> None:
    with pytest.raises(InputError, match="choose mean or max"):
        aggregated(COSINES, None, "sum")  # type: ignore[arg-type]


def test_columns() -> None:
    assert checked_columns(None, 3).tolist() == [0, 1, 2]
    assert checked_columns([2, 0, 2], 3).tolist() == [2, 0, 2]
    assert checked_columns([], 0).tolist() == []
    for wrong in ([3], [-1]):
        with pytest.raises(InputError, match="places from 0 to 2"):
            checked_columns(wrong, 3)
