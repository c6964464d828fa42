"""From how near each item is to each text of a history to one score an item."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from llmrec.candidates.item_places import ItemScores
from llmrec.errors import InputError

Aggregate = Literal["mean", "max"]
"""The weighted mean over the texts, or the nearest of them."""

LONGEST_TEXT = 300
"""Characters of an item's or event's text that are compared; what matters stands at the beginning."""


def aggregated(
    cosines: npt.NDArray[np.float32], weights: Sequence[float] | None, aggregate: Aggregate
) -> ItemScores:
    """One score an item from a matrix (texts, items): zeros without texts.

    The mean is sum(weight * cosine) / sum(|weight|); the maximum is over the texts whose weight is above 0,
    which play no other part in it. Without weights all texts count alike.
    Raises InputError when there is not one finite weight for each text, or the aggregate is another.
    """
    texts, items = cosines.shape
    given = [1.0] * texts if weights is None else [float(weight) for weight in weights]
    if len(given) != texts or not all(map(math.isfinite, given)):
        raise InputError(f"{texts} texts need {texts} finite weights, one for each: {len(given)} were given")
    if aggregate not in ("mean", "max"):
        raise InputError(f"there is no aggregate {aggregate!r}: choose mean or max")
    if aggregate == "max":
        positive = [at for at, weight in enumerate(given) if weight > 0]
        return cosines[positive].max(axis=0) if positive else np.zeros(items, dtype=np.float32)
    largest = max(map(abs, given), default=0.0)
    if not largest:
        return np.zeros(items, dtype=np.float32)
    # Divided by the largest first, no sum of weights runs over or under what a float can hold.
    shares = np.asarray(given) / largest
    return np.asarray((shares / np.abs(shares).sum()) @ cosines, dtype=np.float32)


def checked_columns(columns: Sequence[int] | None, items: int) -> npt.NDArray[np.int64]:
    """The places of the items to score; None stands for all. Raises InputError for one that is not there."""
    if columns is None:
        return np.arange(items)
    found = np.asarray(list(columns), dtype=np.int64)
    if len(found) and (found.min() < 0 or found.max() >= items):
        raise InputError(f"there is no such item among {items}: give places from 0 to {items - 1}")
    return found
