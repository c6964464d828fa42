"""Candidates from several sources, in turns."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from llmrec.candidates.item_places import ItemScores, WeightedItems


@runtime_checkable
class CandidateSource(Protocol):
    """Something that proposes items for a person. May be called from several threads at once."""

    @property
    def name(self) -> str:
        """What the source is called in reports, for example `co_occurrence`."""
        ...

    def propose(self, history: WeightedItems, k: int, excluded: Collection[int] = ()) -> Sequence[int]:
        """The places of at most k items, best first, without those excluded.

        Fewer, or none, where the source knows nothing that speaks for more.
        """
        ...


@dataclass(frozen=True)
class ScoredSource:
    """A source made of a function that scores every item of the catalogue for a history."""

    name: str
    score: Callable[[WeightedItems], ItemScores]
    """Gives one number an item; items with 0 or less are never proposed."""

    def propose(self, history: WeightedItems, k: int, excluded: Collection[int] = ()) -> Sequence[int]:
        """See CandidateSource.propose."""
        return best_places(self.score(history), k, excluded)


def best_places(scores: npt.NDArray[np.floating[Any]], k: int, excluded: Collection[int] = ()) -> list[int]:
    """The places of the k largest scores above 0, the largest first, equal ones in the order of the items."""
    allowed = scores > 0
    allowed[[place for place in excluded if 0 <= place < len(scores)]] = False
    places = np.flatnonzero(allowed)
    if len(places) > k > 0:
        # Everything as large as the k-th stays in, so that equal scores are cut in the order of the items.
        least = np.partition(scores[places], len(places) - k)[len(places) - k]
        places = places[scores[places] >= least]
    order = np.argsort(-scores[places], kind="stable")[: max(0, k)]
    return [int(place) for place in places[order]]


def union(proposals: Mapping[str, Sequence[int]], most: int, *, excluded: Collection[int] = ()) -> list[int]:
    """At most `most` different places from several sources' proposals, in turns.

    Each source in its turn gives the best of its proposals that no other gave before; sources that have none
    left are passed over. The order of `proposals` decides who begins. No excluded place is taken.
    """
    taken: dict[int, None] = {}
    waiting = [iter(places) for places in proposals.values()]
    banned = set(excluded)
    while waiting and len(taken) < most:
        still: list[bool] = []
        for places in waiting:
            place = next((place for place in places if place not in taken and place not in banned), None)
            still.append(place is not None)
            if place is not None and len(taken) < most:
                taken[place] = None
        waiting = [places for places, more in zip(waiting, still, strict=True) if more]
    return list(taken)


def proposed_by(proposals: Mapping[str, Sequence[int]], places: Sequence[int]) -> dict[int, tuple[str, ...]]:
    """Which sources proposed each place, in the order of the sources; an empty tuple where none did."""
    members = {name: set(proposed) for name, proposed in proposals.items()}
    return {place: tuple(name for name, held in members.items() if place in held) for place in places}
