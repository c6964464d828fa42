"""Profiles that nobody computed, for tests of what is done with one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmrec.behavior.cleaning import clean_events
from llmrec.behavior.events import Catalog, Event
from llmrec.interests.extraction import EventLabel, EventReading, PathStep
from llmrec.interests.hierarchy import Interest, InterestHierarchy
from llmrec.interests.profile import InterestProfile
from llmrec.settings import Settings
from tests.builders import history_of, interest


def profile_of(
    events: Sequence[Event], *interests: Interest, items: Sequence[Mapping[str, Any]] = (), **fields: Any
) -> InterestProfile:
    """A profile of one person that nobody computed: these interests, or one that every event supports."""
    entries = history_of(events, items)
    found = interests or (interest("films", *(event.id for event in events)),)
    _, report = clean_events(list(events), Catalog(items), Settings())
    given: dict[str, Any] = {
        "user_id": events[0].user_id,
        "hierarchy": InterestHierarchy(interests=found),
        "entries": tuple(entries),
        "readings": tuple(_reading(entry.event.id, found) for entry in entries),
        "language": "en",
        "strategy": "anchored",
        "model": "m",
        "report": report,
    }
    return InterestProfile(**{**given, **fields})


def _reading(event_id: str, interests: Sequence[Interest]) -> EventReading:
    return EventReading(
        labels=tuple(
            EventLabel(path=(PathStep(each.id, each.label),), share=1.0)
            for each in interests
            if event_id in {evidence.event_id for evidence in each.evidence}
        )
    )
