"""What is held out of each person's events, and the log that is left for everyone to learn from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from llmrec.behavior.cleaning import RATED_ACTIONS, time_order
from llmrec.behavior.events import Event
from llmrec.behavior.strength import event_strength
from llmrec.candidates.log import InteractionLog
from llmrec.errors import InputError
from llmrec.evaluation.datasets import Dataset
from llmrec.evaluation.types import ProtocolOptions
from llmrec.settings import Settings


@dataclass(frozen=True)
class HeldOut:
    """One person, with what is shown and what is to be found."""

    user_id: str
    events: tuple[Event, ...]
    """The history, the oldest first; none of it is about a target."""
    targets: tuple[str, ...]
    negatives: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The data set's own lists, by name."""


@dataclass(frozen=True)
class Split:
    """All people of whom something is held out, in the order of the data set."""

    people: tuple[HeldOut, ...]
    log: InteractionLog
    """What all people chose, without anything that is held out of anyone."""
    notes: tuple[str, ...] = ()


def split_dataset(dataset: Dataset, options: ProtocolOptions, settings: Settings) -> Split:
    """Hold out of each person what `options.split` says.

    The log leaves out what is held out of everyone, whoever is asked afterwards, so that the parts of one
    data set share one log. Raises InputError when the data set cannot be split so, or nobody is left.
    """
    least_rating = options.least_rating if options.least_rating is not None else dataset.least_rating
    if options.split == "given":
        split = _given(dataset, settings)
    elif options.split == "leave-one-out":
        split = _leave_one_out(dataset, least_rating, settings)
    else:
        split = _temporal(dataset, options.temporal_share, least_rating, settings)
    if not split.people:
        raise InputError(
            f"the split {options.split} finds nobody in {dataset.name} with a history and a liked item to "
            "hold out: choose another split, or a lower least rating"
        )
    return split


def is_liked(event: Event, least_rating: float, settings: Settings) -> bool:
    """Whether an event can make a target: it is on an item, speaks for it, and rates it well if at all."""
    if not event.item_id or event_strength(event, settings) <= 0:
        return False
    return event.action not in RATED_ACTIONS or event.value is None or event.value >= least_rating


def _given(dataset: Dataset, settings: Settings) -> Split:
    if not dataset.given:
        raise InputError(f"{dataset.name} gives no targets of its own: choose leave-one-out or temporal")
    people, seen_before = [], 0
    for person, case in dataset.given.items():
        known = {event.item_id for event in case.events}
        targets = tuple(target for target in case.targets if target not in known)
        seen_before += len(case.targets) - len(targets)
        if targets:
            people.append(HeldOut(person, case.events, targets, case.negatives))
    notes = (f"targets that the history holds already were left out: {seen_before}",) if seen_before else ()
    log = dataset.log
    if log is None:
        log = InteractionLog.from_events((e for own in dataset.people.values() for e in own), settings)
    return Split(tuple(people), log, notes)


def _leave_one_out(dataset: Dataset, least_rating: float, settings: Settings) -> Split:
    people = []
    shown: dict[str, Sequence[Event]] = {}
    for person, given in dataset.people.items():
        events = [given[at] for at in time_order(given)]
        cut = _last_new_like(events, least_rating, settings)
        shown[person] = events[:cut]
        if cut < len(events):
            people.append(HeldOut(person, tuple(events[:cut]), (str(events[cut].item_id),)))
    if dataset.log is None:
        log = InteractionLog.from_events((event for own in shown.values() for event in own), settings)
    else:
        log = InteractionLog(
            {
                person: _left(items, dataset.people.get(person, ()), shown.get(person, ()))
                for person, items in dataset.log.sequences.items()
            }
        )
    return Split(tuple(people), log)


def _last_new_like(events: Sequence[Event], least_rating: float, settings: Settings) -> int:
    """Where a history ends: before the last liked item that was not in it; the length when there is none.

    What comes after that event is dropped with it, as it lies in the future of the question.
    """
    known: set[str | None] = set()
    found = len(events)
    for at, event in enumerate(events):
        if at and event.item_id not in known and is_liked(event, least_rating, settings):
            found = at
        known.add(event.item_id)
    return found


def _left(items: Sequence[str], events: Sequence[Event], shown: Sequence[Event]) -> list[str]:
    """A person's row of a log without the items that only events beyond the shown ones touch."""
    held_out = {event.item_id for event in events} - {event.item_id for event in shown}
    return [item for item in items if item not in held_out]


def _temporal(dataset: Dataset, share: float, least_rating: float, settings: Settings) -> Split:
    total = sum(len(events) for events in dataset.people.values())
    stamps = sorted(
        event.timestamp
        for events in dataset.people.values()
        for event in events
        if event.timestamp is not None
    )
    if len(stamps) < total or not total:
        raise InputError(
            f"the temporal split needs a time on every event, and {total - len(stamps)} of the {total} of "
            f"{dataset.name} have none: choose leave-one-out"
        )
    moment = stamps[min(math.ceil((1 - share) * total), total - 1)]
    people = []
    shown: list[Event] = []
    for person, given in dataset.people.items():
        events = [given[at] for at in time_order(given)]
        before = tuple(event for event in events if (event.timestamp or 0.0) < moment)
        shown += before
        known = {event.item_id for event in before}
        targets = dict.fromkeys(
            str(event.item_id)
            for event in events[len(before) :]
            if event.item_id not in known and is_liked(event, least_rating, settings)
        )
        if before and targets:
            people.append(HeldOut(person, before, tuple(targets)))
    notes = ("the interactions have no times: the log holds only the people's own events before the moment",)
    return Split(
        tuple(people), InteractionLog.from_events(shown, settings), notes if dataset.log is not None else ()
    )
