"""The hierarchy of interests: labels, levels, weights, and the events behind each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Polarity = Literal["positive", "negative"]

PATH_SEPARATOR = " › "
MAX_LEVEL = 8


class Evidence(BaseModel):
    """One event that supports an interest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    event_id: str = Field(min_length=1)
    share: float = Field(ge=0, le=1)
    """How much of the event is about the interest: 1 for all of it."""


class Interest(BaseModel):
    """One interest of a person, at its place in the hierarchy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1)
    """Unique within the hierarchy; a vocabulary's own id where the label comes from one."""
    label: str = Field(min_length=1)
    parent_id: str | None = None
    """The broader interest; None at the top."""
    level: int = Field(ge=1, le=MAX_LEVEL)
    """1 at the top, one more than the parent's below it."""
    weight: float = Field(ge=0, le=1)
    """The part of everything the person did, decayed, that is about this interest."""
    confidence: float = Field(ge=0, le=1)
    """The probability that at least one of its events really shows it."""
    polarity: Polarity = "positive"
    """Negative for what the person turned away from."""
    evidence: tuple[Evidence, ...] = Field(min_length=1)
    """The events behind it, those of narrower interests included, in the order of time."""

    @property
    def support(self) -> int:
        """The number of supporting events."""
        return len(self.evidence)


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

    def path(self, interest_id: str) -> tuple[str, ...]:
        """The labels from the top down to an interest. Raises KeyError when there is none."""
        labels: list[str] = []
        current: str | None = interest_id
        while current is not None:
            interest = self._by_id[current]
            labels.append(interest.label)
            current = interest.parent_id
        return tuple(reversed(labels))

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
