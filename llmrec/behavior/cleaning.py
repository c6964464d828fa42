"""Cleaning events and items before use: nothing is dropped or changed without a note that says so."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from llmrec.behavior.events import Catalog, Event, Item
from llmrec.behavior.text import RECORD_LENGTH, has_unwanted_characters, printable, record_text
from llmrec.behavior.text import clean_text as clean_text
from llmrec.errors import InputError
from llmrec.settings import DEFAULT_ACTION_STRENGTHS, Settings

NoteKind = Literal["merged", "repaired", "set_aside"]

RATED_ACTIONS = frozenset({"rate", "review"})
"""The actions whose value is a rating."""
LOWEST_RATING = 0.5
"""Half stars begin at 0.5 (MovieLens); most scales at 1."""
HIGHEST_RATING = 5.0


class CleaningNote(BaseModel):
    """What was done with one record, and why."""

    model_config = ConfigDict(frozen=True)

    row: int | None = None
    """The record's line in the file as an editor counts it (from 1, the header included), its number from
    1 in a JSON array, a Parquet file or a list; None when unknown."""
    kind: NoteKind
    reason: str
    """A plain sentence."""
    record: str = Field(max_length=RECORD_LENGTH)
    """The record as it came, as JSON text of at most 500 characters."""
    source: str | None = None
    """The file it came from."""


class CleaningReport(BaseModel):
    """What reading or cleaning did: `read` is always `kept` and the records merged or set aside."""

    read: int = 0
    """Records seen."""
    kept: int = 0
    """Records handed on."""
    notes: list[CleaningNote] = Field(default_factory=list)
    rows: Sequence[int | None] = Field(default_factory=list, exclude=True, repr=False)
    """The row of each record handed on, in their order, None for a record without one; empty when no row
    is known."""

    def __add__(self, other: CleaningReport) -> CleaningReport:
        """Join the reports of two sources, whose records were put one after the other."""
        rows = [row for each in (self, other) for row in each.rows or [None] * each.kept]
        return CleaningReport(
            read=self.read + other.read,
            kept=self.kept + other.kept,
            notes=[*self.notes, *other.notes],
            rows=rows if self.rows or other.rows else [],
        )

    def then(self, later: CleaningReport) -> CleaningReport:
        """Join the reports of two steps, where the later step was given what this one kept."""
        return CleaningReport(
            read=self.read, kept=later.kept, notes=[*self.notes, *later.notes], rows=later.rows
        )

    def of_kind(self, kind: NoteKind) -> list[CleaningNote]:
        """The notes of one kind, in their order."""
        return [note for note in self.notes if note.kind == kind]

    def summary(self) -> str:
        """Say in one line what was done; the gravest note is quoted."""
        counts = Counter(note.kind for note in self.notes)
        text = f"{self.read} read, {self.kept} kept"
        if not counts:
            return text
        parts = [f"{counts[kind]} {kind.replace('_', ' ')}" for kind in _KINDS_BY_GRAVITY if counts[kind]]
        gravest = max((note.kind for note in self.notes), key=_KINDS_BY_GRAVITY.index)
        if gravest != "merged":
            first = next(note for note in self.notes if note.kind == gravest)
            more = f"; and {counts[gravest] - 1} more" if counts[gravest] > 1 else ""
            parts[-1] += f" ({self._place(first)}{first.reason}{more})"
        return f"{text}: {', '.join(parts)}"

    def _place(self, note: CleaningNote) -> str:
        several = len({each.source for each in self.notes}) > 1
        source = f" of {note.source}" if several and note.source else ""
        return f"row {note.row}{source}: " if note.row is not None else ""


_KINDS_BY_GRAVITY: tuple[NoteKind, ...] = ("merged", "repaired", "set_aside")


def rating_fault(value: float) -> str | None:
    """Say what is wrong with a rating as a value from 1 to 5 (half stars: from 0.5), or None."""
    if LOWEST_RATING <= value <= HIGHEST_RATING:
        return None
    return f"the rating {value:g} is outside 1 to 5: rescale all ratings of the source so that 5 is the best"


def time_order(events: Sequence[Event]) -> list[int]:
    """The indices of the events in the order of time; equal times keep their order.

    An event without a time stays after the event of the same person that comes before it in the
    sequence, or before the person's first dated event when none does. At the end of a person's events it
    is the latest thing known of them, and comes last however the dated ones were sorted.
    """
    keys = [float("-inf")] * len(events)
    latest: dict[str, float] = {}
    newest: dict[str, float] = {}
    undated: dict[str, list[int]] = {}
    for index, event in enumerate(events):
        if event.timestamp is not None:
            before = latest.get(event.user_id, event.timestamp)
            for earlier in undated.pop(event.user_id, ()):
                keys[earlier] = before
            latest[event.user_id] = keys[index] = event.timestamp
            newest[event.user_id] = max(event.timestamp, newest.get(event.user_id, event.timestamp))
        else:
            undated.setdefault(event.user_id, []).append(index)
    for person, at_the_end in undated.items():
        for index in at_the_end:
            keys[index] = newest.get(person, float("-inf"))
    return sorted(range(len(events)), key=keys.__getitem__)


class _Keeper:
    """Keeps records by their ids and writes down what happens to each."""

    def __init__(self, what: str, source: str | None) -> None:
        self.what = what
        self.source = source
        self.kept: list[Any] = []
        self.rows: list[int | None] = []
        self.notes: list[CleaningNote] = []
        self._place_of: dict[str, int] = {}

    def note(self, kind: NoteKind, reason: str, given: BaseModel, row: int | None) -> None:
        record = record_text(given.model_dump(exclude_defaults=True))
        self.notes.append(CleaningNote(row=row, kind=kind, reason=reason, record=record, source=self.source))

    def keep(self, record: Any, given: BaseModel, row: int | None, repairs: Iterable[str]) -> None:
        """Keep a record unless its id is taken, by an equal one or by another."""
        place = self._place_of.setdefault(record.id, len(self.kept))
        if place == len(self.kept):
            self.kept.append(record)
            self.rows.append(row)
            for repair in repairs:
                self.note("repaired", repair, given, row)
            return
        first = f"row {self.rows[place]}" if self.rows[place] is not None else "an earlier one"
        if self.kept[place] == record:
            self.note("merged", f"the same {self.what} as {first}", given, row)
        else:
            shown = printable(record.id, 60)
            self.note(
                "set_aside",
                f"the id '{shown}' already belongs to a different {self.what} ({first}): "
                f"give each {self.what} an id of its own",
                given,
                row,
            )

    def report(self, read: int, order: Sequence[int]) -> CleaningReport:
        rows = [self.rows[index] for index in order]
        any_known = any(row is not None for row in rows)
        return CleaningReport(read=read, kept=len(rows), notes=self.notes, rows=rows if any_known else [])


def clean_events(
    events: Iterable[Event],
    catalog: Catalog | None,
    settings: Settings,
    *,
    rows: Sequence[int | None] | None = None,
    source: str | None = None,
) -> tuple[list[Event], CleaningReport]:
    """Put the events of one or more people in the order of time and take out what cannot be used.

    Equal events are merged. Set aside are: a second event of the same id with other contents, an item
    that is not in the catalogue when the event has no text either, an action without a strength, and a
    rating outside 1 to 5. Control characters are removed from texts. Each case is noted.

    `rows` gives each event's row in its source, None for one that has none, `source` the file's name,
    both only for the notes.
    Without a catalogue no item is looked up. Raises InputError when `rows` has another length.
    """
    given_events, row_of = _with_rows(events, rows)
    keeper = _Keeper("event", source)
    for given, row in zip(given_events, row_of, strict=True):
        event, repairs = _event_with_clean_text(given)
        if event is None:
            keeper.note("set_aside", "its text has no readable characters", given, row)
        elif fault := _event_fault(event, catalog, settings):
            keeper.note("set_aside", fault, given, row)
        else:
            if catalog is not None and event.item_id and event.item_id not in catalog:
                repairs.append(f"{_not_in_catalogue(event.item_id)}; only the event's text is used")
            keeper.keep(event, given, row, repairs)
    order = time_order(keeper.kept)
    return [keeper.kept[index] for index in order], keeper.report(len(given_events), order)


def clean_items(
    items: Iterable[Item], *, rows: Sequence[int | None] | None = None, source: str | None = None
) -> tuple[list[Item], CleaningReport]:
    """Merge equal items, set aside a second item of the same id, and clean the texts.

    The items keep their order; each change is noted. `rows` and `source` are as for `clean_events`.
    Raises InputError when `rows` has another length.
    """
    given_items, row_of = _with_rows(items, rows)
    keeper = _Keeper("item", source)
    for given, row in zip(given_items, row_of, strict=True):
        item, repairs = _item_with_clean_text(given)
        if item is None:
            keeper.note("set_aside", "its title has no readable characters", given, row)
        else:
            keeper.keep(item, given, row, repairs)
    return keeper.kept, keeper.report(len(given_items), range(len(keeper.kept)))


def _with_rows(
    records: Iterable[Any], rows: Sequence[int | None] | None
) -> tuple[list[Any], Sequence[int | None]]:
    found = list(records)
    if rows is None:
        return found, [None] * len(found)
    if len(rows) != len(found):
        raise InputError(f"{len(found)} records but {len(rows)} rows: give one row for each record, or none")
    return found, rows


def _event_with_clean_text(event: Event) -> tuple[Event | None, list[str]]:
    text = clean_text(event.text) if event.text is not None else None
    if text == event.text:
        return event, []
    assert event.text is not None
    if text is not None and not text.strip():
        text = None
    if not event.item_id and text is None:
        return None, []
    contents = event.model_dump(exclude={"id"})
    # An id made from the contents follows them, so that events made equal by cleaning are found equal.
    made_id = Event.model_validate(contents).id
    cleaned = Event.model_validate({**contents, "text": text, "id": "" if event.id == made_id else event.id})
    return cleaned, _repairs(event.text, "text")


def _item_with_clean_text(item: Item) -> tuple[Item | None, list[str]]:
    contents = item.model_dump()
    cleaned = {
        **contents,
        "title": clean_text(item.title),
        "description": clean_text(item.description),
        "categories": tuple(clean_text(name) for name in item.categories),
        "attributes": {clean_text(name): clean_text(text) for name, text in item.attributes.items()},
    }
    if cleaned == contents:
        return item, []
    if not cleaned["title"].strip():
        return None, []
    repairs = _repairs(item.title, "title") + _repairs(item.description, "description")
    repairs += _repairs(" ".join(item.categories), "categories")
    repairs += _repairs(" ".join(f"{name} {text}" for name, text in item.attributes.items()), "attributes")
    return Item.model_validate(cleaned), repairs


def _repairs(before: str, field: str) -> list[str]:
    # A line break that became a space is no loss and gets no note.
    return [f"control characters were removed from its {field}"] if has_unwanted_characters(before) else []


def _event_fault(event: Event, catalog: Catalog | None, settings: Settings) -> str | None:
    if settings.strength_of(event.action) is None:
        return _unknown_action(event.action, settings)
    if event.action in RATED_ACTIONS and event.value is not None and (fault := rating_fault(event.value)):
        return fault
    has_text = event.text is not None and bool(event.text.strip())
    if catalog is not None and event.item_id and event.item_id not in catalog and not has_text:
        return _not_in_catalogue(event.item_id)
    return None


def _not_in_catalogue(item_id: str) -> str:
    return f"the item '{printable(item_id, 60)}' is not in the catalogue"


def _unknown_action(action: str, settings: Settings) -> str:
    known = [*DEFAULT_ACTION_STRENGTHS, *settings.action_strengths]
    near = difflib.get_close_matches(action.strip().casefold(), known, n=1, cutoff=0.8)
    hint = f"write '{near[0]}', or " if near else ""
    return (
        f"the action '{printable(action, 60)}' has no strength: {hint}give it one in "
        "Settings.action_strengths (LLMREC_ACTION_STRENGTHS)"
    )
