"""From labelled events to a hierarchy: weights, confidence and evidence are computed here (层次化)."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from llmrec.behavior.events import HistoryEntry
from llmrec.interests.extraction import EventLabel, signed_weight
from llmrec.interests.hierarchy import Evidence, Interest, InterestHierarchy

# A value found on one item alone, such as a director, says more about the item than about the person.
MIN_ITEMS_OF_PROPOSED = 2


@dataclass
class _Node:
    label: str
    parent: str | None
    level: int
    shares: dict[int, float] = field(default_factory=dict)
    """The share of each event, by its place in the history."""
    signed: dict[int, float] = field(default_factory=dict)


def organize(entries: Sequence[HistoryEntry], labels: Sequence[Sequence[EventLabel]]) -> InterestHierarchy:
    """Build the hierarchy from the labels of each event.

    An event supports an interest and all broader ones, with the largest of its shares. A sentence that says
    no counts against the interest it names alone (s p is 0 in the broader ones), and where it says yes as
    well, the yes counts. With s the strength of event e times its decay, and p its share in interest i:

    - weight(i) = |sum of s p| / sum of |s|, both over events: the part of what the person did that is about
      the interest;
    - polarity(i) is the sign of that sum;
    - confidence(i) = 1 - product of (1 - p |s|), the noisy-or of its events (Pearl 1988, Probabilistic
      Reasoning in Intelligent Systems, section 4.3).
    """
    sources: dict[str, set[str]] = defaultdict(set)
    for entry, found in zip(entries, labels, strict=True):
        for label in found:
            sources[label.path[-1].id].add(entry.item.id if entry.item else entry.event.id)
    nodes: dict[str, _Node] = {}
    for index, (entry, found) in enumerate(zip(entries, labels, strict=True)):
        for label in found:
            if not label.proposed or len(sources[label.path[-1].id]) >= MIN_ITEMS_OF_PROPOSED:
                _add(nodes, index, entry, label)
    total = sum(abs(entry.weight) for entry in entries)
    interests = [_interest(node_id, node, entries, total) for node_id, node in nodes.items()]
    return InterestHierarchy(interests=tuple(_in_order(interests)))


def _add(nodes: dict[str, _Node], index: int, entry: HistoryEntry, label: EventLabel) -> None:
    parent: str | None = None
    weight = signed_weight(entry, label)
    for level, step in enumerate(label.path, start=1):
        node = nodes.setdefault(step.id, _Node(step.label, parent, level))
        # No horror is not no films.
        signed = 0.0 if label.negative and level < len(label.path) else weight
        if _precedence(signed, label.share) > _precedence(
            node.signed.get(index, 0.0), node.shares.get(index, 0.0)
        ):
            node.shares[index] = label.share
            node.signed[index] = signed
        parent = step.id


def _precedence(signed: float, share: float) -> tuple[bool, float, float]:
    return signed > 0, abs(signed), share


def _interest(node_id: str, node: _Node, entries: Sequence[HistoryEntry], total: float) -> Interest:
    net = sum(node.signed.values())
    doubt = math.prod(1 - min(1.0, abs(weight)) for weight in node.signed.values())
    return Interest(
        id=node_id,
        label=node.label,
        parent_id=node.parent,
        level=node.level,
        weight=min(1.0, abs(net) / total) if total else 0.0,
        confidence=min(1.0, 1 - doubt),
        polarity="negative" if net < 0 else "positive",
        evidence=tuple(
            Evidence(event_id=entries[index].event.id, share=min(1.0, share))
            for index, share in sorted(node.shares.items())
        ),
    )


def _in_order(interests: list[Interest]) -> list[Interest]:
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
