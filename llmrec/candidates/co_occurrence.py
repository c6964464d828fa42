"""Items that the same people chose, close to each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from llmrec.candidates.item_places import ItemPlaces, ItemScores, WeightedItems, load_scipy
from llmrec.candidates.log import InteractionLog
from llmrec.errors import InputError

WINDOW = 30
"""Places between two items of a person from which on they no longer count as chosen together."""
MOST_ITEMS = 60
"""How many of a person's last items are read."""
SHRINKAGE = 5.0
"""Added to every item's total, so that items chosen by few are not near to everything they stand beside."""
POPULARITY_EXPONENT = 0.5

_PAIRS_AT_ONCE = 8_000_000


class CoOccurrence:
    """Item-to-item counts over the sequences of a log, symmetric and fading with distance.

    Two items of one person that lie `gap` places apart add 1 / sqrt(gap) to each other, for a gap of at most
    30 among the person's last 60 items, times 1 / log2(2 + length), so that a person with a long sequence
    does not outweigh the others (the inverse user frequency of Breese, Heckerman & Kadie, UAI 1998, by the
    length that counts). The item-based neighbourhood is that of Deshpande & Karypis (ACM TOIS 2004).
    """

    def __init__(self, log: InteractionLog, item_ids: Sequence[str]) -> None:
        """`item_ids` are the items to score; other items of the log only keep their place in the sequences.

        Raises InputError when an id comes twice, and when scipy is not installed.
        """
        self.places = ItemPlaces(item_ids)
        self.counts: Any = _count_pairs(log, self.places)
        """The counts as a symmetric scipy.sparse CSR matrix (items, items) with an empty diagonal."""
        self.totals: npt.NDArray[np.float32] = np.asarray(self.counts.sum(axis=1), dtype=np.float32).ravel()
        """The sum of each item's counts."""

    def __len__(self) -> int:
        return len(self.places)

    def scores(
        self, history: WeightedItems, *, popularity_exponent: float = POPULARITY_EXPONENT
    ) -> ItemScores:
        """How often each item stands near those of a history, in the order of the items, from 0 up.

        The sum over the history of weight * count / (sqrt(total of h + 5) * (total of item + 5) **
        popularity_exponent). An exponent of 0.5 is the cosine of Deshpande & Karypis with shrinkage, 0 leaves
        popular items their advantage, 1 takes it away.
        Raises InputError for a place outside the catalogue and a weight that is no finite number.
        """
        places, weights = self.places.of_history(history)
        if not len(places):
            return np.zeros(len(self), dtype=np.float32)
        weights = weights / np.sqrt(self.totals[places] + SHRINKAGE)
        near = self.counts[places].T @ weights
        return np.asarray(near / (self.totals + SHRINKAGE) ** popularity_exponent, dtype=np.float32)

    def neighbours(self, item_id: str, k: int = 10) -> list[tuple[str, float]]:
        """The ids of at most k items that stand nearest to an item, with their scores, best first.

        Items that never stand beside it are left out. Raises InputError for an item that is not scored.
        """
        if item_id not in self.places.of:
            raise InputError(f"the item {item_id[:60]!r} is not among those that were counted")
        scores = self.scores([(item_id, 1.0)])
        best = np.argsort(-scores, kind="stable")[: max(0, k)]
        return [(self.places.item_ids[at], float(scores[at])) for at in best if scores[at] > 0]


def _count_pairs(log: InteractionLog, item_places: ItemPlaces) -> Any:
    sparse = load_scipy("scipy.sparse")
    places, lengths = item_places.of_log(log, MOST_ITEMS)
    person = np.repeat(np.arange(len(lengths)), lengths)
    of_person = 1.0 / np.log2(2.0 + lengths)
    shape = (len(item_places), len(item_places))
    counts = sparse.csr_matrix(shape, dtype=np.float32)
    waiting: list[tuple[Any, Any, Any]] = []
    for gap in range(1, min(WINDOW, int(lengths.max(initial=1)) - 1) + 1):
        first, second = places[:-gap], places[gap:]
        together = (person[:-gap] == person[gap:]) & (first != second) & (first >= 0) & (second >= 0)
        weights = of_person[person[:-gap][together]] / gap**0.5
        waiting.append((first[together], second[together], weights))
        if sum(len(part[0]) for part in waiting) > _PAIRS_AT_ONCE:
            counts = counts + _as_matrix(sparse, waiting, shape)
            waiting = []
    counts = counts + _as_matrix(sparse, waiting, shape)
    return (counts + counts.T).tocsr()


def _as_matrix(sparse: Any, pairs: list[tuple[Any, Any, Any]], shape: tuple[int, int]) -> Any:
    if not pairs:
        return sparse.csr_matrix(shape, dtype=np.float32)
    rows, columns, weights = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    return sparse.csr_matrix((weights.astype(np.float32), (rows, columns)), shape=shape)
