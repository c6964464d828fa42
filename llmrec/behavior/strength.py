"""How much an action says about an interest, and how that fades with time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from llmrec.behavior.cleaning import RATED_ACTIONS, rating_fault, time_order
from llmrec.behavior.events import Catalog, Event, History, HistoryEntry
from llmrec.errors import InputError
from llmrec.settings import Settings

SECONDS_PER_DAY = 86_400.0
NEUTRAL_RATING = 2.5
"""The middle between no star and five: a rating above it speaks for the item, one below it against."""
UNRATED_SHARE = 0.5
"""What a rating or a review counts when its value is unknown: it shows attention, but not its sign."""


def event_strength(event: Event, settings: Settings) -> float:
    """Say how much an event's action counts before time is considered, from -1 (against) to 1 (for).

    The strength is the action's in the settings. A rating or a review with a value is scaled by
    (value - 2.5) / 2.5, so with strength 1 the values 5, 3 and 1 give 1, 0.2 and -0.6; without a value it
    counts half. The values of other actions change nothing.
    Raises InputError for an action without a strength, a strength outside -1 to 1, and a rating outside
    1 to 5 (half stars: from 0.5).
    """
    strength = settings.strength_of(event.action)
    if strength is None:
        raise InputError(
            f"the action {event.action[:60]!r} has no strength: give it one in Settings.action_strengths "
            "(LLMREC_ACTION_STRENGTHS)"
        )
    if not -1 <= strength <= 1:
        raise InputError(
            f"the strength of the action {event.action[:60]!r} is {strength:g}: give one from -1 to 1 in "
            "Settings.action_strengths (LLMREC_ACTION_STRENGTHS)"
        )
    if event.action not in RATED_ACTIONS:
        return strength
    if event.value is None:
        return strength * UNRATED_SHARE
    if fault := rating_fault(event.value):
        raise InputError(fault)
    return strength * (event.value - NEUTRAL_RATING) / NEUTRAL_RATING


def decays(timestamps: Sequence[float | None], half_life_days: float) -> list[float]:
    """Say what time has left of each event of one person, from 0 to 1.

    `timestamps` are seconds since the epoch in the order of the events, None where unknown. The decay is
    0.5 ** (age in days / half_life_days), the age measured back from the last known timestamp: the
    exponential time weight of Ding & Li, "Time weight collaborative filtering" (CIKM 2005). An event
    without a timestamp takes the decay of the nearest dated event before it, else of the nearest after
    it, and 1 when none is dated.
    Raises InputError when the half-life is not above 0.
    """
    if not half_life_days > 0:
        raise InputError(f"the half-life is {half_life_days:g} days: give a number above 0")
    dated = [timestamp for timestamp in timestamps if timestamp is not None]
    if not dated:
        return [1.0] * len(timestamps)
    last = max(dated)
    nearest = dated[0]
    found = []
    for timestamp in timestamps:
        nearest = nearest if timestamp is None else timestamp
        age_in_days = (last - nearest) / SECONDS_PER_DAY
        found.append(0.5 ** (age_in_days / half_life_days))
    return found


def build_history(
    user_id: str, events: Iterable[Event], catalog: Catalog | None, settings: Settings
) -> History:
    """Join one person's clean events with their items, strengths and decays, in the order of time.

    The events of other people are left out. An item that the catalogue does not hold is None.
    Raises InputError as `event_strength` does; `clean_events` sets such events aside beforehand.
    """
    own = [event for event in events if event.user_id == user_id]
    own = [own[index] for index in time_order(own)]
    fading = decays([event.timestamp for event in own], settings.half_life_days)
    return History(
        user_id,
        [
            HistoryEntry(
                event=event,
                item=catalog.get(event.item_id) if catalog is not None and event.item_id else None,
                strength=event_strength(event, settings),
                decay=decay,
            )
            for event, decay in zip(own, fading, strict=True)
        ],
    )
