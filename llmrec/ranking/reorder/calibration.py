"""Whether a list has the proportions of a person's interests (Steck 2018, "Calibrated Recommendations")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from llmrec.behavior.events import Item
from llmrec.interests.hierarchy import InterestHierarchy
from llmrec.ranking.reorder.membership import InterestMembership

Level = Literal["areas", "leaves"]
Numbers = npt.NDArray[np.float64]

SMOOTHING = 0.01
"""Steck's alpha: how much of the profile's proportions a list is taken to have in any case."""


def interest_distribution(hierarchy: InterestHierarchy, level: Level) -> dict[str, float]:
    """A person's positive interests of a level with their parts of the whole, by id, summing to 1.

    The areas are the interests at the top, the leaves those without narrower ones. Empty where none of them
    has a balance above 0.
    """
    balances = {
        interest.id: interest.balance
        for interest in (hierarchy.children() if level == "areas" else hierarchy.leaves())
        if interest.polarity == "positive" and interest.balance > 0
    }
    total = sum(balances.values())
    return {interest_id: balance / total for interest_id, balance in balances.items()}


def item_distributions(
    items: Sequence[Item], membership: InterestMembership, level: Level, interests: Sequence[str]
) -> Numbers:
    """How each item divides among some interests of a level: a matrix of shape (items, interests).

    An item counts once, divided among all interests of the level it belongs to by how surely it does, so a
    row sums to 1; to less where it belongs to others too, and to 0 where to others or none alone.
    """
    hierarchy = membership.hierarchy
    of_level = {one.id for one in (hierarchy.children() if level == "areas" else hierarchy.leaves())}
    columns = {interest_id: column for column, interest_id in enumerate(interests)}
    matrix = np.zeros((len(items), len(interests)))
    for row, item in zip(matrix, items, strict=True):
        shares = {
            interest_id: share
            for interest_id, share in membership.shares(item).items()
            if interest_id in of_level or interest_id not in hierarchy
        }
        total = sum(shares.values())
        for interest_id, share in shares.items():
            if interest_id in columns:
                row[columns[interest_id]] = share / total
    return matrix


def divergence(wanted: Numbers, found: Numbers, smoothing: float = SMOOTHING) -> Numbers:
    """The Kullback-Leibler divergence of proportions found from those wanted, in nats: 0 for the same.

    `wanted` has the shape (interests,), sums to 1 and has no zeros; `found` the shape (..., interests), and
    sums to 1 at most, the rest being outside of the interests. sum p ln(p / q~) with
    q~ = (1 - smoothing) q + smoothing p (Steck 2018, equations 4 and 5), so at most -ln(smoothing).
    """
    smoothed = (1 - smoothing) * found + smoothing * wanted
    return np.asarray((wanted * np.log(wanted)).sum() - np.log(smoothed) @ wanted, dtype=np.float64)
