"""How many people chose each item."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from llmrec.candidates.item_places import ItemPlaces, ItemScores
from llmrec.candidates.log import InteractionLog


class Popularity:
    """Items by how many people of a log chose them, whoever asks."""

    def __init__(self, log: InteractionLog, item_ids: Sequence[str]) -> None:
        """`item_ids` are the items to score. Raises InputError when one comes twice."""
        counts = log.counts
        people = [counts.get(item_id, 0) for item_id in ItemPlaces(item_ids).item_ids]
        self._scores = np.log1p(np.asarray(people, dtype=np.float32))
        self._scores.flags.writeable = False

    def __len__(self) -> int:
        return len(self._scores)

    def scores(self) -> ItemScores:
        """log(1 + people) an item, in the order of the items, from 0 up; the array is read-only."""
        return self._scores
