"""Which place each item has among those that are scored, and a history as places and weights."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from llmrec.candidates.log import InteractionLog
from llmrec.errors import InputError

ItemScores: TypeAlias = npt.NDArray[np.float32]
WeightedItems: TypeAlias = Sequence[tuple[int | str, float]]
"""What a person did: an item, by id or by its place in the catalogue, and how much it counts."""

LARGEST_WEIGHT = 1e12
NOT_CHOSEN = -1
"""The place of an item that is not scored."""


class ItemPlaces:
    """The items that are scored, in their order."""

    def __init__(self, item_ids: Iterable[str]) -> None:
        """Remember the order. Raises InputError when an id comes twice."""
        self.item_ids = tuple(item_ids)
        self.of = {item_id: place for place, item_id in enumerate(self.item_ids)}
        if len(self.of) < len(self.item_ids):
            twice = next(item_id for place, item_id in enumerate(self.item_ids) if self.of[item_id] != place)
            raise InputError(f"the item {twice[:60]!r} is listed twice: give each id once")

    def __len__(self) -> int:
        return len(self.item_ids)

    def of_history(self, history: WeightedItems) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """The places and weights of a history, in its order; items that are not scored are left out.

        Raises InputError for a place outside the catalogue and a weight that is no number from -1e12 to 1e12.
        """
        places: list[int] = []
        weights: list[float] = []
        for item, weight in history:
            if not abs(weight) <= LARGEST_WEIGHT:
                raise InputError(f"the weight of the item {item!r} is {weight}: give a finite one, to 1e12")
            if isinstance(item, str):
                if item not in self.of:
                    continue
                places.append(self.of[item])
            elif 0 <= item < len(self):
                places.append(int(item))
            else:
                raise InputError(
                    f"there is no item at the place {item}: give one from 0 to {len(self) - 1}, or an id"
                )
            weights.append(weight)
        return np.asarray(places, dtype=np.int64), np.asarray(weights, dtype=np.float32)

    def of_log(
        self, log: InteractionLog, most: int | None = None
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """All sequences one after the other as places, NOT_CHOSEN for items that are not scored; and lengths.

        `most` keeps that many of each person's last items.
        """
        cut = slice(None) if most is None else slice(-most, None)
        sequences = [items[cut] for items in log.sequences.values()]
        lengths = np.fromiter(map(len, sequences), dtype=np.int64, count=len(sequences))
        place_of = self.of.get
        places = np.fromiter(
            (place_of(item, NOT_CHOSEN) for items in sequences for item in items),
            dtype=np.int64,
            count=int(lengths.sum()),
        )
        return places, lengths


def load_scipy(module: str) -> Any:
    """A module of scipy. Raises InputError when scipy is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise InputError('an interaction log needs one more package: run pip install "llmrec[log]"') from None
