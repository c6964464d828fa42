"""What an interaction log says of the items of a catalogue, indexed once."""

from __future__ import annotations

from collections.abc import Sequence

from llmrec.candidates.co_occurrence import CoOccurrence
from llmrec.candidates.item_factors import ItemFactors
from llmrec.candidates.item_places import ItemScores, WeightedItems
from llmrec.candidates.log import InteractionLog
from llmrec.candidates.popularity import Popularity

FEWEST_PEOPLE = 20
"""Below so many people nothing is factored."""


class LogSignals:
    """Popularity, co-occurrence and item factors of one log over one list of items."""

    def __init__(self, log: InteractionLog, item_ids: Sequence[str]) -> None:
        """Index the log. Raises InputError when scipy is not installed."""
        self.log = log
        self._popularity = Popularity(log, item_ids)
        self._co_occurrence = CoOccurrence(log, item_ids)
        self._factors = ItemFactors(log, item_ids, co_occurrence=self._co_occurrence)

    def scores(self, history: WeightedItems) -> dict[str, ItemScores]:
        """Every signal of every item, in their order, by name; `history` is what the person chose."""
        if len(self.log) < FEWEST_PEOPLE:
            return {"popularity": self._popularity.scores()}
        return {
            "popularity": self._popularity.scores(),
            "co_occurrence": self._co_occurrence.scores(history),
            "item_factors": self._factors.scores(history, unit=True),
            "popular_factors": self._factors.scores(history, unit=False),
        }
