"""The hierarchy of interests: labels, levels, weights, and the events behind each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Polarity = Literal["positive", "negative"]
Horizon = Literal["short-term", "long-term", "both"]
Tier = Literal["core", "regular", "occasional"]

PATH_SEPARATOR = " › "
MAX_LEVEL = 8


class Evidence(BaseModel):
    """One event that supports an interest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    event_id: str = Field(min_length=1)
    share: float = Field(ge=0, le=1)
    """How much of the event is about the interest: 1 for all of it."""


class Ending(BaseModel):
    """That an interest was there and a later event contradicted it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    event_id: str = Field(min_length=1)
    """The event that ended it."""
    timestamp: float | None = None
    """When, in seconds since the epoch; None when the event has no time."""
    weight: float = Field(ge=0, le=1)
    """What the interest weighed in the long term just before."""


class Interest(BaseModel):
    """One interest of a person, at its place in the hierarchy; `docs/interests.md` holds the formulas."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1)
    """Unique within the hierarchy; a vocabulary's own id where the label comes from one."""
    label: str = Field(min_length=1)
    parent_id: str | None = None
    """The broader interest; None at the top."""
    level: int = Field(ge=1, le=MAX_LEVEL)
    """1 at the top, one more than the parent's below it."""
    broader: tuple[str, ...] = ()
    """The ids of further broader interests; the tree shows only the parent."""
    weight: float = Field(ge=0, le=1)
    """How much of what the person does is about this interest: `liked`, or `disliked` where negative."""
    short_term: float = Field(default=0.0, ge=0, le=1)
    """The same by what they did lately alone."""
    long_term: float = Field(default=0.0, ge=0, le=1)
    """The same over the long term alone."""
    liked: float = Field(default=0.0, ge=0, le=1)
    """The part of everything the person did, decayed, that speaks for it."""
    disliked: float = Field(default=0.0, ge=0, le=1)
    """The part that speaks against it."""
    horizon: Horizon = "both"
    """Whether it shows mostly in what they did lately, mostly over the long term, or in both."""
    tier: Tier = "occasional"
    confidence: float = Field(ge=0, le=1)
    """The probability that at least one of its events really shows it."""
    polarity: Polarity = "positive"
    """Negative for what the person turned away from."""
    ended: Ending | None = None
    """Set while an interest that was there is turned away; the old one is kept in its evidence."""
    pinned: bool = False
    """Whether the person pinned it: it stays, and counts as core."""
    evidence: tuple[Evidence, ...] = Field(min_length=1)
    """The events behind it, those of narrower interests included, in the order of time."""

    @property
    def support(self) -> int:
        """The number of supporting events."""
        return len(self.evidence)

    @property
    def balance(self) -> float:
        """What speaks for the interest less what speaks against it, -1 to 1."""
        return self.liked - self.disliked


class InterestHierarchy(BaseModel):
    """All interests of a person as a forest, parents before their children, heavier ones first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    interests: tuple[Interest, ...] = ()

    @model_validator(mode="after")
    def _is_a_forest(self) -> InterestHierarchy:
        known: dict[str, Interest] = {}
        for interest in self.interests:
            if interest.id in known:
                raise ValueError(f"the interest {interest.id!r} is there twice")
            if interest.parent_id is None:
                if interest.level != 1:
                    raise ValueError(f"{interest.id!r} has no parent, so its level must be 1")
            else:
                parent = known.get(interest.parent_id)
                if parent is None:
                    raise ValueError(f"the parent of {interest.id!r} is missing or comes after it")
                if interest.level != parent.level + 1:
                    raise ValueError(f"the level of {interest.id!r} must be its parent's plus one")
                above = {evidence.event_id for evidence in parent.evidence}
                if any(evidence.event_id not in above for evidence in interest.evidence):
                    raise ValueError(f"an event supports {interest.id!r} and not its parent")
            known[interest.id] = interest
        for interest in self.interests:
            for broader in interest.broader:
                if broader not in known:
                    raise ValueError(f"{interest.id!r} names the broader {broader!r}, which is not there")
            if len({*interest.broader, interest.parent_id}) <= len(interest.broader):
                raise ValueError(f"{interest.id!r} names its parent, or another one twice, as broader")
        if any(interest.broader for interest in self.interests):
            _check_no_circle(self.interests)
        return self

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> InterestHierarchy:
        """Copy as Pydantic does, without the indexes of the old interests."""
        copied = super().model_copy(update=update, deep=deep)
        for index in ("_by_id", "_children"):
            copied.__dict__.pop(index, None)
        return copied

    def __len__(self) -> int:
        return len(self.interests)

    def __contains__(self, interest_id: object) -> bool:
        return interest_id in self._by_id

    def __getitem__(self, interest_id: str) -> Interest:
        return self._by_id[interest_id]

    @cached_property
    def _by_id(self) -> dict[str, Interest]:
        return {interest.id: interest for interest in self.interests}

    @cached_property
    def _children(self) -> dict[str | None, list[Interest]]:
        children: dict[str | None, list[Interest]] = defaultdict(list)
        for interest in self.interests:
            children[interest.parent_id].append(interest)
        return children

    def children(self, interest_id: str | None = None) -> list[Interest]:
        """The narrower interests of one, or the top ones."""
        return list(self._children.get(interest_id, ()))

    def ancestors(self, interest_id: str) -> tuple[str, ...]:
        """The ids from the top down to an interest, itself included. Raises KeyError when there is none."""
        found: list[str] = []
        current: str | None = interest_id
        while current is not None:
            found.append(current)
            current = self._by_id[current].parent_id
        return tuple(reversed(found))

    def path(self, interest_id: str) -> tuple[str, ...]:
        """The labels from the top down to an interest. Raises KeyError when there is none."""
        return tuple(self._by_id[one].label for one in self.ancestors(interest_id))

    def walk(self) -> Iterator[Interest]:
        """Every interest, each before its children, as one would read the tree."""
        waiting = list(reversed(self.children()))
        while waiting:
            interest = waiting.pop()
            yield interest
            waiting.extend(reversed(self.children(interest.id)))

    def leaves(self) -> list[Interest]:
        """The interests without narrower ones."""
        return [interest for interest in self.walk() if not self._children.get(interest.id)]

    def tree(self) -> str:
        """The hierarchy as indented text: label, weight, number of supporting events."""
        lines: list[str] = []

        def draw(parent_id: str | None, indent: str) -> None:
            below = self.children(parent_id)
            for interest in below:
                last = interest is below[-1]
                branch = "" if parent_id is None else ("└─ " if last else "├─ ")
                sign = "-" if interest.polarity == "negative" else ""
                lines.append(
                    f"{indent}{branch}{interest.label}  {sign}{interest.weight:.2f}  ({interest.support})"
                )
                deeper = "" if parent_id is None else ("   " if last else "│  ")
                draw(interest.id, indent + deeper)

        draw(None, "")
        return "\n".join(lines)


def _check_no_circle(interests: Sequence[Interest]) -> None:
    """Raise ValueError where the way up over parents and further broader interests leads back."""
    above = {i.id: {*i.broader, *([i.parent_id] if i.parent_id is not None else [])} for i in interests}
    try:
        TopologicalSorter(above).prepare()
    except CycleError as error:
        raise ValueError(f"{error.args[1][0]!r} is broader than itself by way of others") from error
