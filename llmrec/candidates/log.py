"""What many people did, one after the other: where popularity and co-occurrence come from."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from llmrec.behavior.events import Event
from llmrec.behavior.strength import event_strength
from llmrec.errors import InputError
from llmrec.settings import Settings, load_settings


class InteractionLog:
    """The items that people chose, in order of time; immutable."""

    def __init__(self, sequences: Mapping[str, Sequence[str]] | None = None) -> None:
        """`sequences` holds the ids of the items that each person chose, the oldest first, by person.

        An item chosen again later stands there again. People without items are left out.
        Raises InputError when a person's items are a single text, which would be read letter by letter.
        """
        for person, items in (sequences or {}).items():
            if isinstance(items, str):
                raise InputError(f"the items of {person[:60]!r} are one text: give a list of ids")
        self.sequences: Mapping[str, tuple[str, ...]] = {
            person: tuple(items) for person, items in (sequences or {}).items() if items
        }

    @classmethod
    def from_events(cls, events: Iterable[Event], settings: Settings | None = None) -> InteractionLog:
        """Take the events that speak for an item: those whose action, with its value, has a strength above 0.

        They are put in order of time where all of a person's have one, and else stay as they come; equal
        times keep their order. Several events on one item in a row, such as a click and a purchase, count
        once; an item chosen again after another counts again.
        Raises InputError as `event_strength` does; `clean_events` sets such events aside beforehand.
        """
        settings = settings if settings is not None else load_settings()
        chosen: dict[str, list[Event]] = {}
        for event in events:
            if event.item_id and event_strength(event, settings) > 0:
                chosen.setdefault(event.user_id, []).append(event)
        return cls({person: _in_order(own) for person, own in chosen.items()})

    def without(self, user_id: str) -> InteractionLog:
        """The log without one person; of a person it does not know, the log itself."""
        if user_id not in self.sequences:
            return self
        return InteractionLog({person: own for person, own in self.sequences.items() if person != user_id})

    def __len__(self) -> int:
        return len(self.sequences)

    def __bool__(self) -> bool:
        return bool(self.sequences)

    @cached_property
    def counts(self) -> Counter[str]:
        """How many people chose each item."""
        return Counter(item for items in self.sequences.values() for item in set(items))

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the whole log, whatever the order of the people."""
        digest = hashlib.sha256()
        for person in sorted(self.sequences):
            digest.update(json.dumps([person, *self.sequences[person]]).encode("ascii") + b"\n")
        return digest.hexdigest()


def _in_order(events: list[Event]) -> list[str]:
    stamps = [event.timestamp for event in events]
    known = [stamp for stamp in stamps if stamp is not None]
    order: Sequence[int] = range(len(events))
    if len(known) == len(events):
        order = sorted(order, key=known.__getitem__)
    items = [str(events[at].item_id) for at in order]
    return [item for at, item in enumerate(items) if at == 0 or item != items[at - 1]]
