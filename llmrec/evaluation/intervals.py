"""Bootstrap intervals of means over people, and of differences between systems on the same people.

The percentile bootstrap of Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13, with
people as the unit that is drawn: all queries of a person stay together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from llmrec.errors import InputError
from llmrec.evaluation.types import Interval

DRAWS = 2000
CONFIDENCE = 0.95

Floats = npt.NDArray[np.float64]
Values = Sequence[float] | Floats

_COUNTS_AT_ONCE = 20_000_000
"""How many counts of the draws are held at a time: 160 MB."""


def interval(
    values: Values,
    groups: Sequence[str] | None = None,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> Interval:
    """The mean over people of their values, with its interval.

    `values` holds one number a query, NaN where there is none; `groups` says whose query each is (without
    it, each is another person's). A person counts with the mean of their own queries; one with NaN alone is
    left out, and not counted in `people`. With one person the interval is that person's mean.
    Raises InputError when nothing is left, or when the lengths differ.
    """
    return intervals({"": values}, groups, draws=draws, seed=seed, confidence=confidence)[""]


def paired(
    values_a: Values,
    values_b: Values,
    groups: Sequence[str] | None = None,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> Interval:
    """The mean over people of a - b, with its interval: each draw takes the same people for both.

    Queries that either lacks (NaN) are left out. Raises InputError as `interval` does.
    """
    differences = _paired_values(values_a, values_b)
    return interval(differences, groups, draws=draws, seed=seed, confidence=confidence)


def intervals(
    table: Mapping[str, Values],
    groups: Sequence[str] | None = None,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> dict[str, Interval]:
    """The intervals of many columns over the same queries, from one set of draws.

    Each result is what `interval` gives for its column; this is the fast way to many of them.
    """
    if not table:
        return {}
    columns = np.column_stack([np.asarray(values, dtype=np.float64) for values in _same_length(table)])
    sums, there = _by_person(columns, groups)
    means = _drawn_ratios(sums, there, draws, seed)
    return {
        name: _interval(sums[:, at], there[:, at], means[:, at], confidence, name)
        for at, name in enumerate(table)
    }


def paired_intervals(
    table: Mapping[str, Values],
    baselines: Mapping[str, Values],
    groups: Sequence[str] | None = None,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> dict[tuple[str, str], Interval]:
    """`paired` for every column of the one table against every column of the other, by both names.

    A column is not compared with one of its own name.
    """
    differences = {
        (name, baseline): _paired_values(values, others)
        for name, values in table.items()
        for baseline, others in baselines.items()
        if name != baseline
    }
    by_place = {str(at): values for at, values in enumerate(differences.values())}
    found = intervals(by_place, groups, draws=draws, seed=seed, confidence=confidence)
    return dict(zip(differences, found.values(), strict=True))


def ratio(
    numerators: Values,
    denominators: Values,
    groups: Sequence[str] | None = None,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> Interval:
    """The ratio of two means over the same people, with its interval, as for a popularity lift.

    Queries that either lacks (NaN) are left out. Raises InputError as `interval` does, and when a draw's
    denominators sum to 0.
    """
    _paired_values(numerators, denominators)
    both = np.column_stack([np.asarray(numerators, dtype=np.float64), np.asarray(denominators)])
    both[np.isnan(both).any(axis=1)] = np.nan
    sums, there = _by_person(both, groups)
    above, below = sums[:, :1], sums[:, 1:]
    if not there.any() or (below[there[:, :1] > 0] <= 0).any():
        raise InputError("a ratio needs people with denominators above 0: leave the others out")
    drawn = _drawn_ratios(above, below, draws, seed)
    return _interval(above[:, 0], below[:, 0], drawn[:, 0], confidence, "")


def without_interval(value: float, people: int) -> Interval:
    """A figure of all people together, such as coverage, that no mean over people makes: low and high are
    the figure itself."""
    return Interval(mean=value, low=value, high=value, people=people)


def _same_length(table: Mapping[str, Values]) -> list[Values]:
    lengths = {len(values) for values in table.values()}
    if len(lengths) > 1:
        raise InputError(f"columns of {min(lengths)} and {max(lengths)} queries: give all the same queries")
    return list(table.values())


def _paired_values(values_a: Values, values_b: Values) -> Floats:
    if len(values_a) != len(values_b):
        raise InputError(
            f"{len(values_a)} values are paired with {len(values_b)}: give both for the same queries"
        )
    differences: Floats = np.asarray(values_a, dtype=np.float64) - np.asarray(values_b, dtype=np.float64)
    return differences


def _by_person(columns: Floats, groups: Sequence[str] | None) -> tuple[Floats, Floats]:
    """Each person's mean in every column, 0 where they have none; and 1 where they have one, else 0."""
    there = ~np.isnan(columns)
    values = np.where(there, columns, 0.0)
    if groups is None:
        return values, there.astype(np.float64)
    if len(groups) != len(columns):
        raise InputError(f"{len(columns)} values come with {len(groups)} people: say whose each value is")
    numbers = {person: at for at, person in enumerate(dict.fromkeys(groups))}
    person_of = np.array([numbers[person] for person in groups], dtype=np.intp)
    sums = np.zeros((len(numbers), columns.shape[1]))
    counts = np.zeros_like(sums)
    np.add.at(sums, person_of, values)
    np.add.at(counts, person_of, there)
    means = np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)
    return means, (counts > 0).astype(np.float64)


def _drawn_ratios(above: Floats, below: Floats, draws: int, seed: int) -> Floats:
    """Sums of the one by sums of the other in each draw of people with replacement: (draws, columns).

    Every draw is drawn for itself; a draw without anybody who has a value is NaN.
    """
    if draws < 1:
        raise InputError("an interval needs draws: give 1 or more, such as 2000")
    people = len(above)
    if not people:
        return np.empty((0, above.shape[1]))
    generator = np.random.default_rng(seed)
    parts = []
    for begin in range(0, draws, step := max(1, _COUNTS_AT_ONCE // people)):
        rows = min(step, draws - begin)
        chosen = generator.integers(0, people, size=(rows, people)) + people * np.arange(rows)[:, None]
        counts = np.bincount(chosen.ravel(), minlength=rows * people).reshape(rows, people)
        weights = counts.astype(np.float64)
        below_drawn = weights @ below
        parts.append(
            np.divide(
                weights @ above, below_drawn, out=np.full_like(below_drawn, np.nan), where=below_drawn > 0
            )
        )
    return np.concatenate(parts)


def _interval(above: Floats, below: Floats, drawn: Floats, confidence: float, name: str) -> Interval:
    people = int((below > 0).sum())
    if not people:
        of = f" of {name}" if name else ""
        raise InputError(f"there is no value{of} to take a mean over: leave it out, or measure more people")
    mean = float(above.sum() / below.sum())
    if not 0 < confidence < 1:
        raise InputError(f"a confidence of {confidence} is not usable: give a share between 0 and 1, as 0.95")
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(drawn, [tail, 1 - tail])
    return Interval(mean=mean, low=float(low), high=float(high), people=people)
