"""How near the interests of the vocabulary lie to a person's own: by the tree and by their names' meaning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from llmrec.interests.taxonomy import Vocabulary
from llmrec.llm.embedder import Embedder, FloatMatrix

if TYPE_CHECKING:
    from llmrec.interests.profile import InterestProfile

Values = npt.NDArray[np.float64]

# What one step in the tree leaves of closeness: a narrower interest 1/2, a sibling 1/4, a cousin 1/16.
STEP = 0.5
# The part of closeness that the tree makes where there is an embedder; the cosine makes the rest.
TREE_SHARE = 0.5
# The cosine of names that have nothing to do with each other.
COSINE_FLOOR = 0.2


@dataclass(frozen=True)
class OwnInterest:
    """An interest of a person, as far as its neighbourhood is concerned."""

    id: str
    node_id: str | None
    """Its id in the vocabulary; None where that does not know it."""
    label: str
    path: tuple[str, ...]
    """The labels from the top down to it."""
    balance: float
    """What speaks for it less what speaks against it, -1 to 1."""
    narrow: bool
    """Whether the person shows none narrower."""


def vocabulary_id(interest_id: str, label: str, vocabulary: Vocabulary) -> str | None:
    """The id by which the vocabulary knows an interest: its own, or that of the one thing its name means."""
    if interest_id in vocabulary:
        return interest_id
    named = vocabulary.named(label)
    return named[0] if len(named) == 1 else None


def own_interests(profile: InterestProfile, vocabulary: Vocabulary) -> list[OwnInterest]:
    """The interests of a person that weigh anything, the heaviest first, less places for facts (Brand)."""
    hierarchy = profile.hierarchy
    found = []
    for one in hierarchy.interests:
        node_id = vocabulary_id(one.id, one.label, vocabulary)
        place = node_id is not None and vocabulary[node_id].attribute is not None
        if one.balance and not place:
            narrow = not hierarchy.children(one.id)
            found.append(OwnInterest(one.id, node_id, one.label, hierarchy.path(one.id), one.balance, narrow))
    return sorted(found, key=lambda one: (-abs(one.balance), one.id))


class Neighbourhood:
    """The vocabulary as a space: what each of its interests is near to. Safe to use from several threads."""

    def __init__(
        self, vocabulary: Vocabulary, embedder: Embedder | None = None, language: str = "en"
    ) -> None:
        """Lay the tree out and, with an embedder, embed every path of labels once. Raises ModelError."""
        self.vocabulary = vocabulary
        self.places = {node.id: place for place, node in enumerate(vocabulary)}
        """The place of each interest in the vocabulary's order, by id."""
        self._ways = [vocabulary.ancestors(node.id) for node in vocabulary]
        deepest = max(len(way) for way in self._ways)
        self._above = np.full((len(self._ways), deepest), -1, dtype=np.int64)
        for row, way in zip(self._above, self._ways, strict=True):
            row[: len(way)] = [self.places[n] for n in way]
        self._depths = np.array([len(way) for way in self._ways])
        self._embedder = embedder
        self._vectors: FloatMatrix | None = None
        if embedder is not None:
            names = (" ".join(vocabulary[n].label(language) for n in way) for way in self._ways)
            self._vectors = embedder.embed(list(names))

    def closeness(self, own: Sequence[OwnInterest]) -> Values:
        """How near every interest of the vocabulary lies to each own one, 0 to 1.

        In the tree it is 1/2 to the power of the number of steps between the two, 0 in different areas: the
        path length of Rada et al. 1989 ("Development and application of a metric on semantic nets"), made a
        likeness. With an embedder it is the mean of that and of the cosine of their paths of labels, less
        what unrelated names have; for an own interest that the vocabulary does not know, the latter alone.
        Returns one row for each interest of the vocabulary, in its order, and one column for each own one.
        """
        near = np.zeros((len(self._ways), len(own)))
        for column, one in enumerate(own):
            by_tree = self._by_tree(one)
            if self._vectors is None:
                near[:, column] = by_tree
                continue
            share = TREE_SHARE if one.node_id is not None else 0.0
            near[:, column] = share * by_tree + (1 - share) * self._by_name(one)
        return near

    def _by_tree(self, one: OwnInterest) -> Values:
        if one.node_id is None:
            return np.zeros(len(self._ways))
        place = self.places[one.node_id]
        common = ((self._above == self._above[place]) & (self._above >= 0)).sum(axis=1)
        steps = self._depths + self._depths[place] - 2.0 * common
        return np.where(common > 0, STEP**steps, 0.0)

    def _by_name(self, one: OwnInterest) -> Values:
        vectors, embedder = self._vectors, self._embedder
        if vectors is None or embedder is None:
            return np.zeros(len(self._ways))
        known = one.node_id is not None
        vector = vectors[self.places[one.node_id or ""]] if known else embedder.embed([" ".join(one.path)])[0]
        cosines = (vectors @ vector).astype(np.float64)
        return np.asarray(np.clip((cosines - COSINE_FLOOR) / (1 - COSINE_FLOOR), 0.0, 1.0))
