"""Figures of one ranking with binary gains, as expected values over every order of tied scores.

The closed forms under ties follow McSherry and Najork, "Computing Information Retrieval Performance Measures
Efficiently in the Presence of Tied Scores" (ECIR 2008); without ties they are those of trec_eval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from llmrec.errors import InputError

RELATIVE_TOLERANCE = 1e-9
"""Scores closer than this part of the larger one are tied."""

CUTOFFS = (1, 5, 10, 20)

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]


def figures(
    scores: Sequence[float] | npt.NDArray[np.floating],
    is_target: Sequence[bool] | npt.NDArray[np.bool_],
    at: Sequence[int] = CUTOFFS,
) -> dict[str, float]:
    """All figures of one query: those of `figures_of_rows` for a matrix of one row."""
    rows = figures_of_rows(np.atleast_2d(np.asarray(scores)), np.atleast_2d(np.asarray(is_target)), at)
    return {name: float(values[0]) for name, values in rows.items()}


def figures_of_rows(
    scores: npt.ArrayLike, is_target: npt.ArrayLike, at: Sequence[int] = CUTOFFS
) -> dict[str, Floats]:
    """All figures of many queries with equally many candidates.

    Both arguments have the shape (queries, candidates); a higher score is a better place, and minus infinity
    is a score. Each result holds one number from 0 to 1 a query:

    - `ndcg@k`: gains of 1 discounted by log2(1 + rank), divided by those of the best order (Järvelin and
      Kekäläinen 2002);
    - `hit@k`: whether a target is among the first k;
    - `precision@k`, `recall@k`, `f1@k`: targets among the first k by k, by all targets, and the harmonic
      mean of both, 2 × targets found / (k + targets); k also where there are fewer candidates;
    - `mrr`, `mrr@k`: 1 / rank of the first target, 0 behind k;
    - `map`, `map@k`: the mean over all targets of the precision at their rank, 0 behind k (as in trec_eval,
      divided by all targets also where they are more than k);
    - `auc`: the share of pairs of a target and another candidate in the right order, ties counting half; NaN
      where every candidate is a target.

    Scores tied within 1e-9 of the larger one give each figure's expected value over all their orders.
    Raises InputError for a score that is NaN, for a query without a target, for shapes that differ and for
    cutoffs below 1.
    """
    checked_scores, checked_targets = _checked(scores, is_target, at)
    ties = _Ties.of(checked_scores, checked_targets)
    gain = ties.group_targets / ties.group_size
    targets = checked_targets.sum(axis=1).astype(np.float64)
    rank = ties.place + 1.0
    discounts = 1.0 / np.log2(rank + 1.0)
    gained = np.cumsum(gain * discounts, axis=1)
    found = np.cumsum(gain, axis=1)
    reciprocal = np.cumsum(_first_target_probability(ties) / rank, axis=1)
    precision = np.cumsum(gain * _found_with_a_target(ties) / rank, axis=1) / targets[:, None]
    ideal = np.cumsum(discounts)

    result: dict[str, Floats] = {}
    for cutoff in at:
        last = min(cutoff, gain.shape[1]) - 1
        best = np.minimum(targets, last + 1).astype(np.intp) - 1
        result[f"ndcg@{cutoff}"] = gained[:, last] / ideal[best]
        result[f"hit@{cutoff}"] = _hit_probability(ties, last + 1)
        result[f"precision@{cutoff}"] = found[:, last] / cutoff
        result[f"recall@{cutoff}"] = found[:, last] / targets
        result[f"f1@{cutoff}"] = 2.0 * found[:, last] / (cutoff + targets)
        result[f"mrr@{cutoff}"] = reciprocal[:, last]
        result[f"map@{cutoff}"] = precision[:, last]
    result["mrr"] = reciprocal[:, -1]
    result["map"] = precision[:, -1]
    result["auc"] = _area_under_curve(ties, gain, targets)
    # Sums of parts may leave the range by a last digit; NaN stays.
    return {name: np.clip(values, 0.0, 1.0) for name, values in result.items()}


def chance(candidates: int, targets: int = 1, at: Sequence[int] = CUTOFFS) -> dict[str, float]:
    """What a random order gives in expectation: the figures of a ranking whose scores are all equal.

    Raises InputError when there is no target, or more of them than candidates.
    """
    if not 1 <= targets <= candidates:
        raise InputError(
            f"{candidates} candidates cannot hold {targets} targets: give a number from 1 to {candidates}"
        )
    return figures(np.zeros(candidates), np.arange(candidates) < targets, at)


@dataclass(frozen=True)
class _Ties:
    """For each row and each place in its order, best first: the group of tied scores the place lies in."""

    place: Places
    """From 0, the same in every row."""
    group_start: Places
    """The first place of the group."""
    group_size: Places
    group_targets: Places
    """Targets in the group."""
    targets_before: Places
    """Targets in earlier groups."""

    @staticmethod
    def of(scores: Floats, is_target: npt.NDArray[np.bool_]) -> _Ties:
        order = np.argsort(-scores, axis=1, kind="stable")
        ordered = np.take_along_axis(scores, order, axis=1)
        rows, count = ordered.shape
        place = np.arange(count)
        starts = np.ones((rows, count), dtype=bool)
        starts[:, 1:] = ~_tied(ordered[:, :-1], ordered[:, 1:])
        group_start = np.maximum.accumulate(np.where(starts, place, 0), axis=1)
        ends = np.ones((rows, count), dtype=bool)
        ends[:, :-1] = starts[:, 1:]
        group_end = np.minimum.accumulate(np.where(ends, place, count)[:, ::-1], axis=1)[:, ::-1]
        so_far = np.zeros((rows, count + 1), dtype=np.intp)
        np.cumsum(np.take_along_axis(is_target, order, axis=1), axis=1, out=so_far[:, 1:])
        before = np.take_along_axis(so_far, group_start, axis=1)
        through = np.take_along_axis(so_far, group_end + 1, axis=1)
        return _Ties(place, group_start, group_end - group_start + 1, through - before, before)


def _tied(higher: Floats, lower: Floats) -> npt.NDArray[np.bool_]:
    finite = np.isfinite(higher) & np.isfinite(lower)
    with np.errstate(invalid="ignore", over="ignore"):
        close = higher - lower <= RELATIVE_TOLERANCE * np.maximum(np.abs(higher), np.abs(lower))
    tied: npt.NDArray[np.bool_] = (higher == lower) | (finite & close)
    return tied


def _found_with_a_target(ties: _Ties) -> Floats:
    """How many targets are expected up to a place, given that a target is at the place."""
    others = (ties.group_targets - 1) / np.maximum(ties.group_size - 1, 1)
    expected: Floats = ties.targets_before + 1.0 + (ties.place - ties.group_start) * others
    return expected


def _first_target_probability(ties: _Ties) -> Floats:
    """How probable it is that a row's first target is at each place."""
    in_first = (ties.targets_before == 0) & (ties.group_targets > 0)
    within = ties.place - ties.group_start
    left = ties.group_size - within
    # Given no target yet: all of the group's targets are among what is left of it.
    hazard = np.where(in_first, np.minimum(ties.group_targets / left, 1.0), 0.0)
    none_yet = np.cumprod(1.0 - hazard, axis=1)
    probability: Floats = hazard.copy()
    probability[:, 1:] *= none_yet[:, :-1]
    return probability


def _hit_probability(ties: _Ties, cutoff: int) -> Floats:
    none_found = 1.0 - np.cumsum(_first_target_probability(ties)[:, :cutoff], axis=1)[:, -1]
    hit: Floats = 1.0 - np.maximum(none_found, 0.0)
    return hit


def _area_under_curve(ties: _Ties, gain: Floats, targets: Floats) -> Floats:
    count = gain.shape[1]
    others = count - targets
    others_in = ties.group_size - ties.group_targets
    others_before = ties.group_start - ties.targets_before
    others_after = others[:, None] - others_before - others_in
    right = (gain * (others_after + 0.5 * others_in)).sum(axis=1)
    undefined = np.full(len(right), np.nan)
    area: Floats = np.divide(right, targets * others, out=undefined, where=others > 0)
    return area


def _checked(
    scores: npt.ArrayLike, is_target: npt.ArrayLike, at: Sequence[int]
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    checked_scores = np.asarray(scores, dtype=np.float64)
    checked_targets = np.asarray(is_target, dtype=bool)
    if checked_scores.ndim != 2 or checked_scores.shape != checked_targets.shape:
        raise InputError(
            f"scores of the shape {checked_scores.shape} do not fit targets of the shape "
            f"{checked_targets.shape}: give one score and one truth value a candidate"
        )
    if np.isnan(checked_scores).any():
        raise InputError("a score is NaN, which has no place in an order: give minus infinity for the last")
    if not checked_targets.any(axis=1).all():
        raise InputError("a query has no target among its candidates: leave it out, nothing can be measured")
    if not at or min(at) < 1:
        raise InputError("a cutoff below 1 measures nothing: give numbers from 1 up, such as 10")
    return checked_scores, checked_targets
