"""Words that items share with a person: with what they touched and said, or with names of their interests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from llmrec.behavior.events import HistoryEntry
from llmrec.candidates.bm25 import Bm25Index, Scores, item_text
from llmrec.interests.profile import InterestProfile
from llmrec.interests.subjects import wanted_words
from llmrec.ranking.types import Contribution

MAX_EVENTS = 30
MAX_NAMES = 200


@dataclass(frozen=True)
class WordMatches:
    """How the words of events, or of interests, match the items of an index."""

    of: Literal["events", "interests"]
    ids: tuple[str, ...]
    """The ids of the events or of the interests."""
    scores: Scores
    """One row each, one column an item: BM25 times the row's part of all weights."""

    @property
    def totals(self) -> Scores:
        """The signal: one number an item."""
        return np.asarray(self.scores.sum(axis=0), dtype=np.float32)

    def only(self, columns: Sequence[int]) -> WordMatches:
        """The same for some of the items."""
        return WordMatches(self.of, self.ids, self.scores[:, list(columns)])

    def contributions(self, column: int, most: int = 3) -> tuple[Contribution, ...]:
        """The rows whose words an item shares, those that count most first."""
        amounts = self.scores[:, column]
        order = sorted(range(len(amounts)), key=lambda row: (-float(amounts[row]), row))
        return tuple(
            Contribution(id=self.ids[row], amount=float(amounts[row]))
            for row in order[:most]
            if amounts[row] > 0
        )


def match_events(profile: InterestProfile, index: Bm25Index) -> WordMatches:
    """Match the 30 weightiest liked events, each by its item's or its own words, with every item."""
    liked = [entry for entry in profile.standing_entries if entry.weight > 0]
    liked = sorted(liked, key=lambda entry: -entry.weight)[:MAX_EVENTS]
    rows = [(entry.event.id, _words(entry), entry.weight) for entry in liked]
    return _match("events", rows, index)


def match_interests(profile: InterestProfile, index: Bm25Index) -> WordMatches:
    """Match the labels of the 200 heaviest liked narrow interests and hints with every item."""
    named = [(i.id, i.label, i.balance) for i in profile.hierarchy.leaves()]
    named += [(hint.id, hint.label, hint.balance) for hint in profile.hints]
    liked = sorted((row for row in named if row[2] > 0), key=lambda row: (-row[2], row[0]))
    return _match("interests", liked[:MAX_NAMES], index)


def _match(
    of: Literal["events", "interests"], rows: Sequence[tuple[str, str, float]], index: Bm25Index
) -> WordMatches:
    total = sum(weight for _, _, weight in rows)
    found = [index.scores(words) * (weight / total) for _, words, weight in rows]
    scores = np.stack(found) if found else np.zeros((0, len(index)), dtype=np.float32)
    return WordMatches(of, tuple(row_id for row_id, _, _ in rows), scores.astype(np.float32))


def _words(entry: HistoryEntry) -> str:
    return item_text(entry.item) if entry.item is not None else wanted_words(entry)
