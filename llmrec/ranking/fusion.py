"""Signals into one score: a convex combination of z-scores, with a gate for the model, and probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

FloatVector = npt.NDArray[np.float64]

SCORE_DECIMALS = 6
ROUNDING = 1e-6
"""Many signals are made of numbers of 32 bits."""
CERTAINTY_DECIMALS = 9


def z_scores(values: Sequence[float]) -> FloatVector:
    """Values in standard deviations from their mean; all zero when they do not differ."""
    array = np.asarray(values, dtype=np.float64)
    if not len(array):
        return array
    spread = array.std()
    # Values that differ by rounding alone must not be blown up into a signal.
    if spread <= ROUNDING * max(1.0, float(np.abs(array).max())):
        return np.zeros_like(array)
    return np.asarray((array - array.mean()) / spread, dtype=np.float64)


def fuse(signals: Mapping[str, Sequence[float]], weights: Mapping[str, float]) -> dict[str, FloatVector]:
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


def telling_share(
    signals: Mapping[str, Sequence[float]],
    weights: Mapping[str, float],
    whole_weights: Mapping[str, float],
) -> float:
    """The part of the signals' whole weights that tells the items apart, from 0 to 1.

    `fuse` makes a convex combination of the telling signals alone, whose spread does not show how few of them
    there are; times this it is in the units that the scale of probabilities was learned in. `weights` are
    those that stand, the model's behind its gate; a signal that was not measured counts in neither.
    """
    every = sum(whole_weights.get(name, 0.0) for name in signals)
    told = sum(weights.get(name, 0.0) for name, values in signals.items() if z_scores(values).any())
    return told / every if every > 0 else 0.0


def softmax(values: Sequence[float] | FloatVector) -> FloatVector:
    """Values as probabilities that sum to 1."""
    array = np.asarray(values, dtype=np.float64)
    if not len(array):
        return array
    grown = np.exp(array - array.max())
    return np.asarray(grown / grown.sum(), dtype=np.float64)


def certainty(values: Sequence[float]) -> float:
    """How far a model's values single items out, from 0, all alike, to 1, one alone.

    1 less the entropy of softmax(values) over that of as many alike; 0 for fewer than two values.
    """
    if len(values) < 2:
        return 0.0
    chances = softmax(values)
    positive = chances[chances > 0]
    found = 1.0 + float((positive * np.log(positive)).sum() / np.log(len(chances)))
    # Rounding alone must not look like a preference.
    return min(max(round(found, CERTAINTY_DECIMALS), 0.0), 1.0)


def gate(sureness: float, low: float, high: float) -> float:
    """What part of the model's weight stands: 0 at a certainty of `low` and below, 1 from `high` on."""
    return float(np.clip((sureness - low) / (high - low), 0.0, 1.0))


def order_of(scores: Sequence[float], ids: Sequence[str]) -> list[int]:
    """The places of the items, best first; scores equal to six decimals stand in the order of their ids."""
    return sorted(range(len(scores)), key=lambda at: (-round(float(scores[at]), SCORE_DECIMALS), ids[at]))
