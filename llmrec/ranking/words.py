"""Words that items share with a person: with what they touched and said, or with names of their interests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from llmrec.candidates.bm25 import Bm25Index, Scores
from llmrec.interests.profile import InterestProfile
from llmrec.ranking.liked import liked_events
from llmrec.ranking.types import Contribution

MAX_NAMES = 200


@dataclass(frozen=True)
class WordMatches:
    """How the words of events, or of interests, match the items of an index."""

    of: Literal["events", "interests"]
    ids: tuple[str, ...]
    """The ids of the events or of the interests."""
    scores: Scores
    """One row each, one column an item: BM25."""
    weights: Scores
    """Each row's part of all weights; they sum to 1."""

    @property
    def totals(self) -> Scores:
        """The weighted mean of the rows: one number an item."""
        return np.asarray(self.weights @ self.scores, dtype=np.float32)

    @property
    def best(self) -> Scores:
        """The largest of each column."""
        if not len(self.ids):
            return np.zeros(self.scores.shape[1], dtype=np.float32)
        return np.asarray(self.scores.max(axis=0), dtype=np.float32)

    def only(self, columns: Sequence[int]) -> WordMatches:
        """The same for some of the items."""
        return WordMatches(self.of, self.ids, self.scores[:, list(columns)], self.weights)

    def contributions(self, column: int, most: int = 3) -> tuple[Contribution, ...]:
        """The rows whose words an item shares, those that count most first."""
        amounts = self.scores[:, column] * self.weights
        order = sorted(range(len(amounts)), key=lambda row: (-float(amounts[row]), row))
        return tuple(
            Contribution(id=self.ids[row], amount=float(amounts[row]))
            for row in order[:most]
            if amounts[row] > 0
        )


def match_events(profile: InterestProfile, index: Bm25Index) -> WordMatches:
    """Match the last 30 liked events, each by its item's or its own words, with every item."""
    rows = [(liked.entry.event.id, liked.text, liked.weight) for liked in liked_events(profile)]
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
    found = [index.scores(words) for _, words, _ in rows]
    scores = np.stack(found) if found else np.zeros((0, len(index)), dtype=np.float32)
    weights = np.asarray([weight for _, _, weight in rows], dtype=np.float32)
    if len(weights):
        weights /= weights.sum()
    return WordMatches(of, tuple(row_id for row_id, _, _ in rows), scores.astype(np.float32), weights)
