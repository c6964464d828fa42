"""The signals that need no model: words shared with the history, and interests the item belongs to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from llmrec.behavior.events import Catalog, HistoryEntry, Item
from llmrec.candidates.bm25 import Bm25Index, Scores, item_text, tokenize
from llmrec.interests.anchored import Offer, label_subject
from llmrec.interests.extraction import EventLabel, StageProgress
from llmrec.interests.hierarchy import Interest, InterestHierarchy
from llmrec.interests.profile import InterestProfile
from llmrec.interests.subjects import item_subject, wanted_words
from llmrec.interests.taxonomy import Vocabulary
from llmrec.ranking.types import Contribution

MAX_EVENTS = 30
MAX_KEPT_ITEMS = 100_000
PROGRESS_EVERY = 500


@dataclass(frozen=True)
class EventMatches:
    """How the events' words match the items of an index."""

    event_ids: tuple[str, ...]
    scores: Scores
    """One row an event, one column an item: BM25 times the event's part of all weights."""

    @property
    def totals(self) -> Scores:
        """The signal: one number an item."""
        return np.asarray(self.scores.sum(axis=0), dtype=np.float32)

    def only(self, columns: Sequence[int]) -> EventMatches:
        """The same for some of the items."""
        return EventMatches(self.event_ids, self.scores[:, list(columns)])

    def contributions(self, column: int, most: int = 3) -> tuple[Contribution, ...]:
        """The events whose words an item shares, those that count most first."""
        amounts = self.scores[:, column]
        order = sorted(range(len(amounts)), key=lambda row: (-float(amounts[row]), row))
        return tuple(
            Contribution(id=self.event_ids[row], amount=float(amounts[row]))
            for row in order[:most]
            if amounts[row] > 0
        )


def match_events(profile: InterestProfile, index: Bm25Index) -> EventMatches:
    """Match the 30 weightiest liked events, each by its item's or its own words, with every item."""
    liked = [entry for entry in profile.entries if entry.weight > 0]
    liked = sorted(liked, key=lambda entry: -entry.weight)[:MAX_EVENTS]
    total = sum(entry.weight for entry in liked)
    rows = [index.scores(_words(entry)) * (entry.weight / total) for entry in liked]
    scores = np.stack(rows) if rows else np.zeros((0, len(index)), dtype=np.float32)
    return EventMatches(tuple(entry.event.id for entry in liked), scores.astype(np.float32))


def _words(entry: HistoryEntry) -> str:
    return item_text(entry.item) if entry.item is not None else wanted_words(entry)


class InterestMatcher:
    """Finds which of a person's interests an item belongs to, by the item's names and categories alone."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._offer = Offer(vocabulary, "en")
        self._labels: dict[str, tuple[Item, list[EventLabel]]] = {}

    def contributions(self, hierarchy: InterestHierarchy, item: Item) -> tuple[Contribution, ...]:
        """The interests an item belongs to, each with its weight times how surely the item belongs there.

        Interests that the vocabulary does not know match by their label's words. Disliked ones count below
        zero. The largest amounts come first.
        """
        vocabulary = self._offer.vocabulary
        shares: dict[str, float] = {}
        for label in self._item_labels(item):
            for step in label.path:
                # A place for facts, such as Brand, is shared by items that have nothing in common.
                is_place = step.id in vocabulary and vocabulary[step.id].attribute is not None
                if step.id in hierarchy and not is_place:
                    shares[step.id] = max(shares.get(step.id, 0.0), label.share)
        shares.update(self._by_name(hierarchy, item, known=shares))
        found = [
            Contribution(id=interest_id, amount=_signed(hierarchy[interest_id]) * share)
            for interest_id, share in shares.items()
        ]
        return tuple(sorted(found, key=lambda part: (-abs(part.amount), part.id)))

    def _item_labels(self, item: Item) -> list[EventLabel]:
        known = self._labels.get(item.id)
        if known is None or known[0] != item:
            if len(self._labels) >= MAX_KEPT_ITEMS:
                self._labels.clear()
            known = self._labels[item.id] = (item, label_subject(item_subject(item), self._offer))
        return known[1]

    def _by_name(
        self, hierarchy: InterestHierarchy, item: Item, known: Mapping[str, float]
    ) -> dict[str, float]:
        unknown = [i for i in hierarchy.interests if i.id not in self._offer.vocabulary and i.id not in known]
        if not unknown:
            return {}
        words = set(tokenize(item_text(item)))
        found: dict[str, float] = {}
        for interest in unknown:
            names = set(tokenize(interest.label))
            above = interest.parent_id
            if names and names <= words and (above is None or above in known or above in found):
                found[interest.id] = 1.0
        return found


def _signed(interest: Interest) -> float:
    return -interest.weight if interest.polarity == "negative" else interest.weight


def choose_candidates(
    catalog: Catalog,
    matches: EventMatches,
    interest_amounts: Callable[[Item], float],
    *,
    excluded: set[str],
    most: int,
    progress: StageProgress,
) -> list[Item]:
    """Take the items that match best by words and by interests, in turns, then the catalogue's own order."""
    items = catalog.items_in_order
    totals = matches.totals
    allowed = [at for at, item in enumerate(items) if item.id not in excluded]
    amounts: dict[int, float] = {}
    for number, at in enumerate(allowed, start=1):
        amounts[at] = interest_amounts(items[at])
        if number % PROGRESS_EVERY == 0:
            progress(number, len(allowed))
    by_words = sorted(allowed, key=lambda at: (-float(totals[at]), at))
    by_interests = sorted(allowed, key=lambda at: (-amounts[at], at))
    chosen: dict[int, None] = {}
    for pair in zip(by_words, by_interests, strict=True):
        for at in pair:
            if len(chosen) < most:
                chosen.setdefault(at)
    return [items[at] for at in chosen]
