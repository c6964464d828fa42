"""From the readings of events to a hierarchy with its numbers: everything a profile says is computed here.

(层次化) The result depends on the events, their readings, the edits and the settings, and on nothing else:
the same events give the same hierarchy, all at once or one at a time.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from llmrec.behavior.events import HistoryEntry
from llmrec.interests.edits import Add, Edit, Lower, Merge, Pin, Raise, Remove, Unpin
from llmrec.interests.extraction import EventReading
from llmrec.interests.hierarchy import Ending, Evidence, Interest, InterestHierarchy
from llmrec.interests.label_tree import LabelNode, LonelyValue, grow_tree
from llmrec.interests.numbers import Fading, fading_of, numbers_of, tier_of
from llmrec.settings import InterestNumbers

# Whatever was liked at all is the whole of 1 when it counts so many times as much.
LARGEST_FACTOR = 1e100

SuppressionReason = Literal["faded", "removed", "ended"]


class SuppressedInterest(BaseModel):
    """An interest that is not in the hierarchy, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    path: tuple[str, ...]
    """The labels from the top down to it."""
    reason: SuppressionReason
    """Too light by now, removed by the person, or gone with a broader interest that was turned away."""
    weight: float
    long_term: float
    support: int
    ended: Ending | None = None


class Hint(BaseModel):
    """A value or words found on too few items to be an interest; more of it will make one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    path: tuple[str, ...]
    """The labels from the top down to it."""
    balance: float = Field(ge=-1, le=1)
    """What speaks for it less what speaks against it, as for an interest."""
    event_ids: tuple[str, ...] = Field(min_length=1)
    """The events it was found in."""

    @property
    def label(self) -> str:
        """The last label of its path."""
        return self.path[-1]


@dataclass(frozen=True)
class Organization:
    """A hierarchy, and what was left out of it."""

    hierarchy: InterestHierarchy
    suppressed: tuple[SuppressedInterest, ...] = ()
    hints: tuple[Hint, ...] = ()


def organize(
    entries: Sequence[HistoryEntry],
    readings: Sequence[EventReading],
    numbers: InterestNumbers | None = None,
    *,
    edits: Sequence[Edit] = (),
    broader: Mapping[str, Sequence[str]] | None = None,
) -> Organization:
    """Build the hierarchy from the readings of each event, in the events' order.

    `broader` names further broader interests by id. An interest lighter than `numbers.least_weight` is
    suppressed, unless it is pinned or stands above one that is not; so are those the person removed. What is
    left is never empty while anything was found that the person did not remove. A value or words found on
    fewer than `numbers.items_of_proposed` items make a hint: such a value, as a director, says more about
    the item than about the person.
    """
    numbers = numbers or InterestNumbers()
    tree = grow_tree(entries, readings, edits, broader=broader or {}, numbers=numbers)
    nodes = tree.nodes
    wishes = _wishes(edits)
    fading = fading_of(entries, numbers)
    refusals = _refusals(nodes)
    lonely = {
        value: found
        for value, found in tree.lonely.items()
        if not any(step.id in wishes.removed for step in found.path)
    }
    hints = _hints(lonely, entries, fading, numbers, refusals)
    raises: dict[str, int] = {}
    for node in nodes.values():
        raises[node.id] = wishes.raised.get(node.id, 0) + raises.get(node.parent or "", 0)
    # An event is cited alike by an interest and those above it.
    cited = lru_cache(maxsize=None)(
        lambda index, share: Evidence(event_id=entries[index].event.id, share=min(1.0, share))
    )
    found = {
        node.id: _interest(
            node, cited, entries, fading, numbers, wishes, refusals.get(node.id), raises[node.id]
        )
        for node in nodes.values()
    }
    _lift_ancestors(found, wishes)
    gone = _gone(found, numbers, wishes)
    kept = [
        interest
        if interest.support == len(nodes[interest.id].shares)
        else interest.model_copy(update={"evidence": _evidence(nodes[interest.id], cited)})
        for interest in found.values()
        if interest.id not in gone
    ]
    kept_ids = {interest.id for interest in kept}
    kept = [
        interest.model_copy(update={"broader": tuple(b for b in interest.broader if b in kept_ids)})
        if interest.broader
        else interest
        for interest in kept
    ]
    return Organization(
        InterestHierarchy(interests=tuple(_in_order(kept))),
        tuple(_suppressed(found, gone, nodes)),
        hints,
    )


@dataclass(frozen=True)
class _Wishes:
    """What the edits ask of single interests, by id."""

    pinned: frozenset[str]
    removed: frozenset[str]
    added: tuple[tuple[str, ...], ...]
    """The ways, from the top down, to what was added and not removed since."""
    raised: Mapping[str, int]
    """Raises less lowers."""


def _wishes(edits: Sequence[Edit]) -> _Wishes:
    pinned: set[str] = set()
    removed: set[str] = set()
    added: list[tuple[str, ...]] = []
    raised: Counter[str] = Counter()
    for edit in edits:
        if isinstance(edit, Pin):
            pinned.add(edit.interest)
        elif isinstance(edit, Unpin):
            pinned.discard(edit.interest)
        elif isinstance(edit, Remove):
            removed.add(edit.interest)
            added = [way for way in added if edit.interest not in way]
        elif isinstance(edit, Add):
            added.append(tuple(step.id for step in edit.path))
        elif isinstance(edit, Raise):
            raised[edit.interest] += 1
        elif isinstance(edit, Lower):
            raised[edit.interest] -= 1
        elif isinstance(edit, Merge) and edit.interest in pinned:
            pinned.add(edit.into)
    return _Wishes(frozenset(pinned), frozenset(removed), tuple(added), raised)


def _refusals(nodes: Mapping[str, LabelNode]) -> dict[str, int]:
    """The place of the last sentence that turned away each interest or one above it."""
    last: dict[str, int] = {}
    for node in nodes.values():
        found = list(node.refusals)
        if node.parent in last:
            found.append(last[node.parent])
        if found:
            last[node.id] = max(found)
    return last


def _hints(
    lonely: Mapping[str, LonelyValue],
    entries: Sequence[HistoryEntry],
    fading: Fading,
    numbers: InterestNumbers,
    refusals: Mapping[str, int],
) -> tuple[Hint, ...]:
    mix = numbers.short_term_share
    mixed = [mix * short + (1 - mix) * long for short, long in zip(fading.short, fading.long, strict=True)]
    masses = {
        value: sum([abs(s) * mixed[at] for at, s in found.signed.items()]) for value, found in lonely.items()
    }
    hints = []
    for value in sorted(masses, key=lambda v: (-round(masses[v], 12), v))[: numbers.most_hints]:
        found = lonely[value]
        refused = [refusals[step.id] for step in found.path if step.id in refusals]
        computed = numbers_of(
            found.signed, entries, fading, numbers, refused_at=max(refused) if refused else None
        )
        hints.append(
            Hint(
                id=value,
                path=tuple(step.label for step in found.path),
                balance=computed.liked - computed.disliked,
                event_ids=tuple(entries[at].event.id for at in sorted(found.signed)),
            )
        )
    return tuple(hints)


def _interest(
    node: LabelNode,
    cited: Callable[[int, float], Evidence],
    entries: Sequence[HistoryEntry],
    fading: Fading,
    numbers: InterestNumbers,
    wishes: _Wishes,
    refused_at: int | None,
    raises: int,
) -> Interest:
    computed = numbers_of(
        node.signed,
        entries,
        fading,
        numbers,
        refused_at=refused_at,
        factor=_factor(raises, numbers),
    )
    pinned = node.id in wishes.pinned
    return Interest(
        id=node.id,
        label=node.label,
        parent_id=node.parent,
        level=node.level,
        broader=node.broader,
        weight=computed.weight,
        short_term=computed.short_term,
        long_term=computed.long_term,
        liked=computed.liked,
        disliked=computed.disliked,
        horizon=computed.horizon,
        tier=tier_of(
            long_term=computed.long_term,
            confidence=computed.confidence,
            support=len(node.shares),
            pinned=pinned,
            numbers=numbers,
        ),
        confidence=computed.confidence,
        polarity=computed.polarity,
        ended=computed.ended,
        pinned=pinned,
        evidence=_evidence(node, cited, all_of_it=pinned or computed.weight >= numbers.least_weight),
    )


def _evidence(
    node: LabelNode, cited: Callable[[int, float], Evidence], *, all_of_it: bool = True
) -> tuple[Evidence, ...]:
    """What supports an interest; one event stands for all of what will most likely be suppressed."""
    shares = sorted(node.shares.items())
    return tuple([cited(index, share) for index, share in (shares if all_of_it else shares[:1])])


def _factor(raises: int, numbers: InterestNumbers) -> float:
    """What so many raises, less lowers, multiply liked by: from 1 / `LARGEST_FACTOR` to `LARGEST_FACTOR`."""
    most = math.log(LARGEST_FACTOR) / math.log(numbers.raise_factor)
    return math.pow(numbers.raise_factor, max(-most, min(most, raises)))


def _lift_ancestors(found: dict[str, Interest], wishes: _Wishes) -> None:
    """What a person raised must not outweigh the interests it is part of."""
    for interest_id in wishes.raised:
        interest = found.get(interest_id)
        parent = found.get(interest.parent_id or "") if interest is not None else None
        while interest is not None and parent is not None:
            if interest.polarity == parent.polarity == "positive" and interest.liked > parent.liked:
                parent = found[parent.id] = parent.model_copy(
                    update={
                        "liked": interest.liked,
                        "weight": interest.liked,
                        "short_term": max(parent.short_term, interest.short_term),
                        "long_term": max(parent.long_term, interest.long_term),
                    }
                )
            interest, parent = parent, found.get(parent.parent_id or "")


def _gone(
    found: Mapping[str, Interest], numbers: InterestNumbers, wishes: _Wishes
) -> dict[str, SuppressionReason]:
    """Why interests leave the hierarchy, by id; parents are looked at before their children."""
    gone: dict[str, SuppressionReason] = {}
    # What was removed and added again stands, and what it is part of, without the rest of that.
    shown = {step for way in wishes.added for step in way}
    wanted = {way[-1] for way in wishes.added if way}
    bare: set[str] = set()
    for interest in found.values():
        above = interest.parent_id or ""
        if above in gone:
            gone[interest.id] = "removed"
        elif (interest.id in wishes.removed or above in bare) and interest.id not in wanted:
            if interest.id in shown:
                bare.add(interest.id)
            else:
                gone[interest.id] = "removed"
    light: set[str] = set()
    standing: set[str] = set()
    for interest in reversed(list(found.values())):
        if interest.id in gone:
            continue
        if interest.weight >= numbers.least_weight or interest.pinned or interest.id in standing:
            standing.add(interest.parent_id or "")
        else:
            light.add(interest.id)
    left = [i for i in found.values() if i.id not in gone]
    if left and len(light) == len(left):
        heaviest = max(left, key=lambda i: (round(i.long_term, 12), i.level, i.id))
        keep: Interest | None = heaviest
        while keep is not None:
            light.discard(keep.id)
            keep = found.get(keep.parent_id or "")
    for interest_id in light:
        gone[interest_id] = "ended" if found[interest_id].ended else "faded"
    return gone


def _suppressed(
    found: Mapping[str, Interest], gone: Mapping[str, SuppressionReason], nodes: Mapping[str, LabelNode]
) -> list[SuppressedInterest]:
    listed = []
    for interest in found.values():
        if interest.id not in gone:
            continue
        labels: list[str] = []
        current: Interest | None = interest
        while current is not None:
            labels.append(current.label)
            current = found.get(current.parent_id or "")
        listed.append(
            SuppressedInterest(
                id=interest.id,
                path=tuple(reversed(labels)),
                reason=gone[interest.id],
                weight=interest.weight,
                long_term=interest.long_term,
                support=len(nodes[interest.id].shares),
                ended=interest.ended,
            )
        )
    return sorted(listed, key=lambda one: (-round(one.long_term, 9), one.id))


def _in_order(interests: Sequence[Interest]) -> list[Interest]:
    """Parents before children; among siblings the liked before the disliked, the heavier first."""
    children: dict[str | None, list[Interest]] = defaultdict(list)
    for interest in interests:
        children[interest.parent_id].append(interest)
    for siblings in children.values():
        siblings.sort(key=lambda i: (i.polarity == "negative", -round(i.weight, 9), i.id))
    ordered: list[Interest] = []
    waiting = list(reversed(children[None]))
    while waiting:
        interest = waiting.pop()
        ordered.append(interest)
        waiting.extend(reversed(children[interest.id]))
    return ordered
