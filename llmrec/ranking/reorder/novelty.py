"""How novel items are: chosen by few people or, where that is not known, unlike a person's history."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from llmrec.behavior.events import Item
from llmrec.errors import InputError
from llmrec.ranking.reorder.similarity import Similarity

Numbers = npt.NDArray[np.float64]


def self_information(items: Sequence[Item], popularity: Mapping[str, float]) -> Numbers:
    """How surprising each item is, in bits, from 0 up: -log2 of its part of all choices (Zhou et al. 2010).

    `popularity` tells how many people chose each item, by id. One is added to every count, so that an item
    nobody chose has a finite figure. Raises InputError for a count below 0 or not finite.
    """
    for item_id, count in popularity.items():
        if not (math.isfinite(count) and count >= 0):
            raise InputError(f"the popularity of {item_id!r} is {count}: give how many people chose it")
    every = len(set(popularity) | {item.id for item in items})
    total = math.fsum(popularity.values()) + every
    counts = np.array([popularity.get(item.id, 0.0) for item in items], dtype=np.float64)
    return np.asarray(np.log2(total) - np.log2(counts + 1), dtype=np.float64)


def unlikeness(items: Sequence[Item], history: Sequence[Item], similarity: Similarity) -> Numbers:
    """How unlike a history each item is on average, from 0 to 1: the mean of 1 - similarity to its items.

    The distance-based novelty of Vargas and Castells (2011, "Rank and Relevance in Novelty and Diversity
    Metrics"). The history must not be empty.
    """
    return np.asarray(1.0 - similarity(items, history).mean(axis=1), dtype=np.float64)
