"""What a person may change in their profile. Edits are kept in order and applied anew after every update."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

from llmrec.behavior.events import Event, HistoryEntry, Text
from llmrec.behavior.text import clean_text
from llmrec.interests.extraction import EventLabel, EventReading, PathStep

InterestId = Annotated[Text, Field(min_length=1)]
LONGEST_LABEL = 80


def _clean_label(label: str) -> str:
    """A name on one line. Raises ValueError when nothing is left of it, or too much."""
    cleaned = clean_text(label).strip()
    if not cleaned:
        raise ValueError("the name is empty: give one")
    if len(cleaned) > LONGEST_LABEL:
        raise ValueError(f"the name has {len(cleaned)} characters: give at most {LONGEST_LABEL}")
    return cleaned


Label = Annotated[Text, AfterValidator(_clean_label)]


class _Edit(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    made: float | None = None
    """When, in seconds since the epoch; None when unknown."""


class Rename(_Edit):
    """Call an interest by another name."""

    kind: Literal["rename"] = "rename"
    interest: InterestId
    label: Label


class Merge(_Edit):
    """Make one interest part of another: its events and narrower interests go there."""

    kind: Literal["merge"] = "merge"
    interest: InterestId
    into: InterestId


class Move(_Edit):
    """Put an interest below another one, or at the top."""

    kind: Literal["move"] = "move"
    interest: InterestId
    under: InterestId | None = None


class Pin(_Edit):
    """Keep an interest whatever fades; it counts as core."""

    kind: Literal["pin"] = "pin"
    interest: InterestId


class Unpin(_Edit):
    """Take a pin away."""

    kind: Literal["unpin"] = "unpin"
    interest: InterestId


class Raise(_Edit):
    """Let an interest and the narrower ones count more: `liked` times `numbers.raise_factor`."""

    kind: Literal["raise"] = "raise"
    interest: InterestId


class Lower(_Edit):
    """Let an interest and the narrower ones count less: `liked` divided by `numbers.raise_factor`."""

    kind: Literal["lower"] = "lower"
    interest: InterestId


class Remove(_Edit):
    """Leave an interest and all narrower ones out, now and after later events; its events stay."""

    kind: Literal["remove"] = "remove"
    interest: InterestId


class Add(_Edit):
    """An interest the person names: "I also like …". The words become an event, which is the evidence."""

    kind: Literal["add"] = "add"
    label: Label
    under: InterestId | None = None
    """The broader interest; where absent, a name that the vocabulary knows stands at its place there."""
    event: Event | None = None
    """What the person said; filled in when the edit is made."""
    path: tuple[PathStep, ...] = ()
    """Where it stands, from the top down; filled in when the edit is made."""
    after: str | None = None
    """The id of the last event before it; filled in when the edit is made."""


Edit = Annotated[
    Rename | Merge | Move | Pin | Unpin | Raise | Lower | Remove | Add, Field(discriminator="kind")
]
EDIT_KINDS = (Rename, Merge, Move, Pin, Unpin, Raise, Lower, Remove, Add)
EDIT: TypeAdapter[Edit] = TypeAdapter(Edit)
"""Reads an edit from a mapping with its `kind`."""


def added_entry(edit: Add) -> tuple[HistoryEntry, EventReading]:
    """The event that an added interest rests on, and its reading. Raises ValueError before it is made."""
    if edit.event is None or not edit.path:
        raise ValueError("the edit was not made yet")
    entry = HistoryEntry(event=edit.event, item=None, strength=1.0, decay=1.0)
    return entry, EventReading(labels=(EventLabel(edit.path, 1.0),), fixed=True)


def describe(edit: Edit) -> str:
    """An edit in a few plain words."""
    if isinstance(edit, Rename):
        return f"rename {edit.interest} to {edit.label!r}"
    if isinstance(edit, Merge):
        return f"merge {edit.interest} into {edit.into}"
    if isinstance(edit, Move):
        return f"move {edit.interest} " + (f"under {edit.under}" if edit.under else "to the top")
    if isinstance(edit, Add):
        return f"add {edit.label!r}" + (f" under {edit.under}" if edit.under else "")
    return f"{edit.kind} {edit.interest}"
