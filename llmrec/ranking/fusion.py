"""Signals into one score: a convex combination of z-scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

SCORE_DECIMALS = 6


def z_scores(values: Sequence[float]) -> npt.NDArray[np.float64]:
    """Values in standard deviations from their mean; all zero when they do not differ."""
    array = np.asarray(values, dtype=np.float64)
    if not len(array):
        return array
    spread = array.std()
    # Values that differ by rounding alone must not be blown up into a signal.
    if spread <= 1e-9 * max(1.0, float(np.abs(array).max())):
        return np.zeros_like(array)
    return np.asarray((array - array.mean()) / spread, dtype=np.float64)


def fuse(
    signals: Mapping[str, Sequence[float]], weights: Mapping[str, float]
) -> dict[str, npt.NDArray[np.float64]]:
    """What each signal adds to the score of each item: its z-score times its part of all weights.

    Convex combinations of normalised scores rank better than sums of reciprocal ranks and need few labelled
    people to tune (Bruch, Gai and Ingber 2023, "An Analysis of Fusion Functions for Hybrid Retrieval").
    A signal that does not tell the items apart leaves its weight to the others.
    """
    normalised = {name: z_scores(values) for name, values in signals.items()}
    telling = {name: weights.get(name, 0.0) for name, values in normalised.items() if values.any()}
    total = sum(telling.values())
    return {
        name: values * (telling[name] / total) if name in telling and total > 0 else np.zeros_like(values)
        for name, values in normalised.items()
    }


def order_of(scores: Sequence[float], ids: Sequence[str]) -> list[int]:
    """The places of the items, best first; scores equal to six decimals stand in the order of their ids."""
    return sorted(range(len(scores)), key=lambda at: (-round(float(scores[at]), SCORE_DECIMALS), ids[at]))
