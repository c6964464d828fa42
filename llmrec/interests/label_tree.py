"""From the labels of events to one tree of interests: no cycles, one parent each, edits applied."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from llmrec.behavior.events import HistoryEntry
from llmrec.interests.edits import Edit, Merge, Move, Rename
from llmrec.interests.extraction import EventLabel, EventReading, PathStep, signed_strength
from llmrec.interests.hierarchy import MAX_LEVEL
from llmrec.settings import InterestNumbers


@dataclass
class LabelNode:
    """An interest with what each event says about it."""

    id: str
    label: str
    parent: str | None
    level: int
    broader: tuple[str, ...] = ()
    shares: dict[int, float] = field(default_factory=dict)
    """The share of each event, by its place in the history."""
    signed: dict[int, float] = field(default_factory=dict)
    """How much each event says for it or, below zero, against it, before time is considered."""
    refusals: list[int] = field(default_factory=list)
    """The places of sentences that turn away this very interest."""


Ids = tuple[str, ...]


class _Row(NamedTuple):
    """One label of one event."""

    place: int
    """Of the event, in the history."""
    label: EventLabel
    ids: Ids
    """Those of its path, before any edit."""
    fixed: bool


@dataclass
class LonelyValue:
    """A value or words found on too few items to be an interest."""

    path: tuple[PathStep, ...]
    signed: dict[int, float] = field(default_factory=dict)
    """As for an interest."""


@dataclass(frozen=True)
class LabelTree:
    """The interests, parents before their children, and what is none yet, both by id."""

    nodes: dict[str, LabelNode]
    lonely: dict[str, LonelyValue]


def grow_tree(
    entries: Sequence[HistoryEntry],
    readings: Sequence[EventReading],
    edits: Sequence[Edit],
    *,
    broader: Mapping[str, Sequence[str]],
    numbers: InterestNumbers,
) -> LabelTree:
    """Build the tree from the labels of each event.

    An interest that labels place below several others keeps the parent that most labels name (ties: the
    first id), unless an edit moved it; the others, and those of `broader`, become further broader links. An
    event supports an interest and all above it, with the largest of its shares. A sentence that says no
    counts against the interest it names alone, a dislike of an item less and less on the way up
    (`dislike_passed_up` a step): who returns one game does not dislike games. Where an event says yes as
    well, the yes counts. An interest that would stand deeper than the hierarchy allows stands at its
    parent's level.
    """
    rewriting = _Rewriting(edits)
    # Thousands of labels share some hundred paths: what depends on the path is done once for each.
    routes: dict[Ids, tuple[PathStep, ...]] = {}
    rows: list[_Row] = []
    for index, reading in enumerate(readings):
        for label in reading.labels:
            ids = tuple([step.id for step in label.path])
            if ids not in routes:
                routes[ids] = rewriting.path(label.path)
            rows.append(_Row(index, label, ids, reading.fixed))
    lonely = _lonely_values(entries, rows, routes, numbers)
    rows = [row for row in rows if routes[row.ids][-1].id not in lonely]
    counts = Counter(row.ids for row in rows)
    named_by: Counter[tuple[PathStep, ...]] = Counter()
    for ids, count in counts.items():
        named_by[routes[ids]] += count
    parents, others = _choose_parents(named_by, rewriting.parents, broader, rewriting)
    names: dict[str, str] = {}
    for ids in counts:
        for step in routes[ids]:
            names.setdefault(step.id, step.label)
    names.update(rewriting.known_names(readings))
    names.update(rewriting.names)
    nodes: dict[str, LabelNode] = {}
    ways: dict[Ids, list[str]] = {}
    for row in rows:
        way = ways.get(row.ids)
        if way is None:
            way = ways[row.ids] = _way_to(routes[row.ids][-1].id, parents)
            _stand(nodes, names, way)
        _add(nodes, row.place, row.label, way, signed_strength(entries[row.place], row.label), numbers)
    for node_id, found in others.items():
        if node_id in nodes:
            nodes[node_id].broader = tuple(i for i in found if i in nodes)
    return LabelTree(nodes, lonely)


class _Rewriting:
    """What the edits make of the ids, names and parents that labels carry."""

    def __init__(self, edits: Sequence[Edit]) -> None:
        self.names: dict[str, str] = {}
        self.parents: dict[str, str | None] = {}
        self._merged: dict[str, str] = {}
        for edit in edits:
            if isinstance(edit, Rename):
                self.names[self.resolve(edit.interest)] = edit.label
            elif isinstance(edit, Move):
                under = self.resolve(edit.under) if edit.under is not None else None
                self.parents[self.resolve(edit.interest)] = under
            elif isinstance(edit, Merge):
                source, target = self.resolve(edit.interest), self.resolve(edit.into)
                if source != target:
                    self._merged[source] = target

    def resolve(self, interest_id: str) -> str:
        """The id of the interest that an interest became part of, or its own."""
        while interest_id in self._merged:
            interest_id = self._merged[interest_id]
        return interest_id

    def path(self, path: Sequence[PathStep]) -> tuple[PathStep, ...]:
        if not self._merged:
            return tuple(path)
        steps: dict[str, PathStep] = {}
        for step in path:
            resolved = self.resolve(step.id)
            label = step.label if resolved == step.id else ""
            known = steps.pop(resolved, None)
            steps[resolved] = PathStep(resolved, label or (known.label if known else self._name(resolved)))
        return tuple(steps.values())

    def known_names(self, readings: Sequence[EventReading]) -> dict[str, str]:
        """The names that labels give to what others were merged into."""
        names: dict[str, str] = {}
        if not self._merged:
            return names
        into = {self.resolve(interest_id) for interest_id in self._merged}
        for step in (step for reading in readings for label in reading.labels for step in label.path):
            if step.id in into:
                names.setdefault(step.id, step.label)
        return names

    def _name(self, interest_id: str) -> str:
        return self.names.get(interest_id, interest_id.rsplit("/", 1)[-1])


def _lonely_values(
    entries: Sequence[HistoryEntry],
    rows: Sequence[_Row],
    routes: Mapping[Ids, tuple[PathStep, ...]],
    numbers: InterestNumbers,
) -> dict[str, LonelyValue]:
    """What was found on fewer items than make an interest, or makes none ever, by id."""
    sources: dict[str, set[str]] = defaultdict(set)
    named = {step.id for path in routes.values() for step in path[:-1]}
    minor: set[str] = set()
    for row in rows:
        value = routes[row.ids][-1].id
        if row.label.minor:
            minor.add(value)
        elif row.fixed or not row.label.proposed:
            named.add(value)
        else:
            entry = entries[row.place]
            sources[value].add(entry.item.id if entry.item else entry.event.id)
    few = {value for value, items in sources.items() if len(items) < numbers.items_of_proposed}
    alone = minor | (few - named)
    lonely: dict[str, LonelyValue] = {}
    for row in rows:
        path = routes[row.ids]
        if path[-1].id in alone:
            found = lonely.setdefault(path[-1].id, LonelyValue(path))
            found.signed.setdefault(row.place, signed_strength(entries[row.place], row.label))
    return lonely


def _choose_parents(
    paths: Mapping[tuple[PathStep, ...], int],
    moved: Mapping[str, str | None],
    broader: Mapping[str, Sequence[str]],
    rewriting: _Rewriting,
) -> tuple[dict[str, str | None], dict[str, tuple[str, ...]]]:
    """The parent of each interest, and its further broader ones; `paths` come with their labels' number."""
    votes: dict[str, Counter[str | None]] = defaultdict(Counter)
    for path, count in paths.items():
        above: str | None = None
        for step in path:
            votes[step.id][above] += count
            above = step.id
    parents: dict[str, str | None] = {}
    others: dict[str, tuple[str, ...]] = {}
    for node_id, parent in moved.items():
        if node_id in votes and (parent is None or parent in votes):
            parents[node_id] = parent if not _reaches(parents, parent, node_id) else None
    for node_id in sorted(votes):
        if node_id not in parents:
            ranked = sorted(votes[node_id], key=lambda p: (-votes[node_id][p], p is None, p or ""))
            free = (p for p in ranked if not _reaches(parents, p, node_id))
            parents[node_id] = next(free, None)
    for node_id in sorted(votes):
        further = {p for p in votes[node_id] if p is not None}
        further |= {rewriting.resolve(p) for p in broader.get(node_id, ()) if rewriting.resolve(p) in votes}
        found = [
            p
            for p in sorted(further)
            if not _reaches(parents, node_id, p) and not _reaches(parents, p, node_id)
        ]
        if found:
            others[node_id] = tuple(found)
    return parents, _without_cycles(parents, others)


def _reaches(parents: Mapping[str, str | None], start: str | None, goal: str) -> bool:
    """Whether the way up from one interest, itself included, meets another."""
    while start is not None:
        if start == goal:
            return True
        start = parents.get(start)
    return False


def _without_cycles(
    parents: Mapping[str, str | None], others: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """The further broader links, less those that would close a circle with others and the tree."""
    kept: dict[str, tuple[str, ...]] = {}

    def above(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            current = waiting.pop()
            if current not in seen:
                seen.add(current)
                parent = parents.get(current)
                waiting += [*kept.get(current, ()), *([parent] if parent is not None else [])]
        return seen

    for node_id in sorted(others):
        for broader in others[node_id]:
            if node_id not in above(broader):
                kept[node_id] = (*kept.get(node_id, ()), broader)
    return kept


def _way_to(last: str, parents: Mapping[str, str | None]) -> list[str]:
    """The ids from the top down to an interest, no more than the hierarchy has levels."""
    way: list[str] = []
    current: str | None = last
    while current is not None:
        way.append(current)
        current = parents.get(current)
    way.reverse()
    return way if len(way) <= MAX_LEVEL else [*way[: MAX_LEVEL - 1], last]


def _stand(nodes: dict[str, LabelNode], names: Mapping[str, str], way: Sequence[str]) -> None:
    """Make the nodes of a way that are not there yet."""
    parent: str | None = None
    for level, node_id in enumerate(way, start=1):
        if node_id not in nodes:
            nodes[node_id] = LabelNode(node_id, names[node_id], parent, level)
        parent = node_id


def _add(
    nodes: Mapping[str, LabelNode],
    index: int,
    label: EventLabel,
    way: Sequence[str],
    strength: float,
    numbers: InterestNumbers,
) -> None:
    signed, share = strength, label.share
    for node_id in reversed(way):
        node = nodes[node_id]
        known = node.signed.get(index)
        if known is None or _precedence(signed, share) > _precedence(known, node.shares[index]):
            node.shares[index] = share
            node.signed[index] = signed
        if signed < 0:
            # No horror is not no films.
            signed = 0.0 if label.negative else signed * numbers.dislike_passed_up
    if label.negative:
        nodes[way[-1]].refusals.append(index)


def _precedence(signed: float, share: float) -> tuple[bool, float, float]:
    return signed > 0, abs(signed), share
