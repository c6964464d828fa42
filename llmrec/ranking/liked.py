"""Which events of a person speak for items, and how much each counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llmrec.behavior.events import HistoryEntry
from llmrec.candidates.bm25 import item_text
from llmrec.interests.profile import InterestProfile
from llmrec.interests.subjects import wanted_words

MAX_EVENTS = 30
RECENCY = 0.9
"""What each later event leaves of one: the order tells the recent from the old where times do not."""


@dataclass(frozen=True)
class LikedEvent:
    """An event that speaks for items."""

    entry: HistoryEntry
    text: str
    """What it is compared by: the words of its item, or the person's own."""
    weight: float
    """Its strength times its decay, times 0.9 for each later one; above 0."""


def liked_events(profile: InterestProfile) -> list[LikedEvent]:
    """The last 30 liked events of a profile, the last first."""
    liked = [entry for entry in profile.standing_entries if entry.weight > 0]
    return [
        LikedEvent(
            entry,
            item_text(entry.item) if entry.item is not None else wanted_words(entry),
            entry.weight * RECENCY**later,
        )
        for later, entry in enumerate(reversed(liked[-MAX_EVENTS:]))
    ]


def liked_items(liked: Sequence[LikedEvent]) -> list[tuple[str, float]]:
    """The ids of the liked events' items with the events' weights; events of words alone have none."""
    return [(one.entry.item.id, one.weight) for one in liked if one.entry.item is not None]
