"""Labels without a place are put into a tree: each below the broader one it most likely is a kind of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import networkx as nx
import numpy as np
import numpy.typing as npt

from llmrec.interests.merging import pair_overlap
from llmrec.interests.subsumption import LabelWords, subsumes
from llmrec.llm.embedder import Embedder

TOP = ""
"""The virtual root above all labels, as a parent in scores."""

ROOT = 0
MOST_PARENTS = 12
"""How many possible parents of a label are looked at, besides the tops: the most similar ones."""
MAX_DEPTH = 4
MAX_FURTHER = 2


@dataclass(frozen=True)
class FreeLabel:
    """A label that wants a place, or one that has it and may take others below it."""

    id: str
    """Unique among the labels, and not empty."""
    label: str
    parent: str | None = None
    """The id of the broader label: a suggestion, or the place itself where `placed`."""
    placed: bool = False
    """Whether it stays below its parent, or at the top when there is none."""


@dataclass(frozen=True)
class Placement:
    """Where each label stands."""

    parents: dict[str, str | None]
    """The id of the broader label, by id; None at the top. No cycles; no label deeper than the bound."""
    further: dict[str, tuple[str, ...]]
    """Ids of further broader labels, nearly as good as the parent, best first; no cycles with the tree."""


@dataclass(frozen=True)
class PlacementWeights:
    """How the signs that one label is a kind of another add up; these are for closeness and words alone."""

    model: float = 1.0
    """Of the judge's nats."""
    similarity: float = 1.0
    """Of the cosine of the two labels; of their shared pairs of characters where no embedder speaks."""
    subsumption: float = 1.0
    """When the words of one contain the other, as indie games contain games."""
    suggested: float = 4.0
    """When the label was found below the other one, or beside it below a third."""
    top: float = 0.6
    """What must be exceeded to stand below another label and not at the top."""
    near: float = 0.05
    """How far a further broader label may lie behind the parent."""


class KindJudge(Protocol):
    """A model's opinion on which label is a kind of which."""

    @property
    def weights(self) -> PlacementWeights:
        """How its nats add up with the other signs, after what it was asked last."""
        ...

    def judge(
        self, labels: Mapping[str, FreeLabel], candidates: Mapping[str, Sequence[str]]
    ) -> Mapping[tuple[str, str], float]:
        """How much speaks for each (label, broader label), in nats, by their ids; TOP stands for no broader.

        `candidates` gives the possible broader labels of each. Pairs without an opinion may be left out.
        """
        ...


def place_labels(
    labels: Sequence[FreeLabel],
    judge: KindJudge | None = None,
    *,
    embedder: Embedder | None = None,
    weights: PlacementWeights | None = None,
    max_depth: int = MAX_DEPTH,
) -> Placement:
    """Find the best tree over all labels, each exactly once.

    Every free label is scored below its possible parents: the twelve most similar labels, those whose words
    its own contain, and the tops that are placed or have something below them; or else the one suggested.
    The score of "X is a kind of Y" is a weighted sum of the judge's nats, the cosine of the labels, whether
    the words of X contain those of Y, and whether Y was suggested; standing at the top has a score as well.
    The tree is the maximum spanning arborescence from a virtual root (Edmonds 1967), so a circle is
    broken where that costs least; labels deeper than `max_depth` are lifted. A label with a suggested parent
    can move only below a sibling that is broader than it. The order of the labels changes nothing.
    Raises ValueError for two labels of one id, a parent that is not there, and a placed label below a free
    one or in a circle.
    """
    known = {label.id: label for label in sorted(labels, key=lambda label: label.id)}
    if len(known) < len(labels) or TOP in known:
        raise ValueError("the ids of labels must be unique and not empty")
    if missing := {label.parent for label in labels if label.parent is not None} - set(known):
        raise ValueError(f"there is no label {min(missing)!r} to stand below")
    for label in known.values():
        _check_placed(label, known)
    closeness = _closeness(known, embedder)
    words = {label.id: LabelWords.of(label.label) for label in known.values()}
    candidates = {
        label.id: _possible_parents(label, known, closeness, words)
        for label in known.values()
        if not label.placed
    }
    asked = {node_id: found for node_id, found in candidates.items() if found and not known[node_id].parent}
    opinions = judge.judge(known, asked) if judge is not None and asked else {}
    if weights is None:
        weights = judge.weights if judge is not None else PlacementWeights()
    pairs = {(node_id, other) for node_id, found in candidates.items() for other in found}
    # A model that writes may choose what was shown for another label.
    pairs |= {edge for edge in opinions if edge[0] in asked and edge[1] not in (TOP, edge[0])}
    scores = {
        (node_id, TOP): weights.top + weights.model * opinions.get((node_id, TOP), 0.0)
        for node_id in candidates
    }
    for node_id, other in sorted(pairs):
        scores[node_id, other] = (
            weights.model * opinions.get((node_id, other), 0.0)
            + weights.similarity * closeness[node_id, other]
            + weights.subsumption * subsumes(words[node_id], words[other])
            + weights.suggested * (known[node_id].parent in (other, known[other].parent or TOP))
        )
    tree = _best_tree(known, scores)
    parents = _lifted(tree, max_depth, {label.id for label in labels if label.placed})
    return Placement(parents, _further(known, parents, scores, weights))


def _check_placed(label: FreeLabel, known: Mapping[str, FreeLabel]) -> None:
    seen: set[str] = set()
    current: FreeLabel | None = label
    while current is not None and current.placed:
        if current.id in seen:
            raise ValueError(f"the placed label {label.id!r} stands in a circle")
        seen.add(current.id)
        current = known[current.parent] if current.parent is not None else None
    if label.placed and current is not None:
        raise ValueError(f"the placed label {label.id!r} stands below {current.id!r}, which is free")


def _closeness(known: Mapping[str, FreeLabel], embedder: Embedder | None) -> dict[tuple[str, str], float]:
    free = [label for label in known.values() if not label.placed]
    every = list(known.values())
    vectors = embedder.embed([label.label for label in every]) if embedder is not None else None
    rows = {label.id: at for at, label in enumerate(every)}
    cosines: npt.NDArray[np.float32] | None = None
    if vectors is not None:
        cosines = vectors[[rows[label.id] for label in free]] @ vectors.T if free else None
    found: dict[tuple[str, str], float] = {}
    for at, label in enumerate(free):
        for other in every:
            if other.id == label.id:
                continue
            if vectors is None or cosines is None or not vectors[rows[label.id]].any():
                close = pair_overlap(label.label.casefold(), other.label.casefold())
            else:
                # The last digits differ between batches of some embedders, and must decide nothing.
                close = round(float(cosines[at, rows[other.id]]), 4)
            found[label.id, other.id] = close
    return found


def _possible_parents(
    label: FreeLabel,
    known: Mapping[str, FreeLabel],
    closeness: Mapping[tuple[str, str], float],
    words: Mapping[str, LabelWords],
) -> list[str]:
    if label.parent is not None:
        siblings = (other for other in known.values() if other.parent == label.parent)
        broader = [other.id for other in siblings if subsumes(words[label.id], words[other.id])]
        return [label.parent, *broader]
    # What means the same is not broader.
    others = [
        other
        for other in known.values()
        if words[other.id] != words[label.id] and not _stands_below(other, label.id, known)
    ]
    containing = [other.id for other in others if subsumes(words[label.id], words[other.id])]
    nearest = sorted(others, key=lambda other: (-closeness[label.id, other.id], other.id))[:MOST_PARENTS]
    held = {other.parent for other in known.values()}
    tops = [o.id for o in others if o.parent is None and (o.placed or o.id in held)]
    return list(dict.fromkeys([*(other.id for other in nearest), *containing, *tops]))


def _stands_below(label: FreeLabel, above: str, known: Mapping[str, FreeLabel]) -> bool:
    """Whether a label is, or is suggested to be, below another one, or is that label."""
    seen: set[str] = set()
    current: str | None = label.id
    while current is not None and current not in seen:
        if current == above:
            return True
        seen.add(current)
        current = known[current].parent
    return False


def _best_tree(
    known: Mapping[str, FreeLabel], scores: Mapping[tuple[str, str], float]
) -> dict[str, str | None]:
    """The parent of each label in the best tree."""
    free = {label.id for label in known.values() if not label.placed}
    # Nothing placed stands below what is free, so all of it, and the top, can be one root.
    anchors: dict[str, str] = {}
    graph: nx.DiGraph[Any] = nx.DiGraph()
    for (node_id, parent), score in sorted(scores.items()):
        above = parent if parent in free else ROOT
        if above == ROOT:
            if graph.has_edge(ROOT, node_id) and graph.edges[ROOT, node_id]["weight"] >= score:
                continue
            anchors[node_id] = parent
        graph.add_edge(above, node_id, weight=score)
    tree: dict[str, str | None] = {label.id: label.parent for label in known.values() if label.placed}
    if free:
        for above, node_id in nx.maximum_spanning_arborescence(graph).edges:
            tree[node_id] = above if above != ROOT else anchors[node_id] or None
    return tree


def _lifted(tree: Mapping[str, str | None], max_depth: int, placed: Collection[str]) -> dict[str, str | None]:
    """The tree with what lies deeper than the bound hung below its last ancestor that may have children."""
    parents: dict[str, str | None] = {}
    for node_id in sorted(tree):
        if node_id in placed:
            parents[node_id] = tree[node_id]
            continue
        way = [node_id]
        while (above := tree[way[-1]]) is not None:
            way.append(above)
        way.reverse()
        above_it = way[: min(len(way), max_depth) - 1]
        parents[node_id] = above_it[-1] if above_it else None
    return parents


def _further(
    known: Mapping[str, FreeLabel],
    parents: Mapping[str, str | None],
    scores: Mapping[tuple[str, str], float],
    weights: PlacementWeights,
) -> dict[str, tuple[str, ...]]:
    """The broader labels that come close to the parent, without circles among them and the tree."""
    above: dict[str, set[str]] = {node_id: set() for node_id in known}
    for node_id, parent in parents.items():
        if parent is not None:
            above[node_id].add(parent)
    options: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for (node_id, other), score in scores.items():
        chosen = scores.get((node_id, parents[node_id] or TOP))
        is_near = chosen is not None and score >= chosen - weights.near
        if other not in (TOP, parents[node_id]) and is_near and score > scores[node_id, TOP]:
            options[node_id].append((-score, other))
    further: dict[str, tuple[str, ...]] = {}
    for node_id in sorted(options):
        for _, other in sorted(options[node_id]):
            if len(further.get(node_id, ())) >= MAX_FURTHER:
                break
            # What the tree or another link says already need not be said again.
            if node_id not in _all_above(other, above) and other not in _all_above(node_id, above):
                above[node_id].add(other)
                further[node_id] = (*further.get(node_id, ()), other)
    return further


def _all_above(node_id: str, above: Mapping[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = list(above[node_id])
    while waiting:
        current = waiting.pop()
        if current not in seen:
            seen.add(current)
            waiting += above[current]
    return seen
