"""A profile as weighted dimensions and as vectors: one set of weights, seen in three ways."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from llmrec.errors import InputError
from llmrec.interests.edits import Rename
from llmrec.interests.hierarchy import PATH_SEPARATOR
from llmrec.interests.neighbourhood import vocabulary_id
from llmrec.interests.taxonomy import Vocabulary
from llmrec.llm.embedder import Embedder, unit_rows

if TYPE_CHECKING:
    from llmrec.interests.profile import InterestProfile

FloatVector = npt.NDArray[np.float32]
Numbers: TypeAlias = Sequence[float] | npt.NDArray[np.floating[Any]]

SMALLEST_SAID = 0.005
"""Smaller values would read as 0 in a line of text."""


@dataclass(frozen=True)
class Dimension:
    """One interest as a weighted dimension."""

    interest_id: str
    label: str
    path: tuple[str, ...]
    """The labels from the top down to it."""
    value: float
    """The interest's weight, 0 to 1: the part of everything the person did that speaks for it; below zero,
    the part that speaks against it where they turned away."""
    node_ids: tuple[str | None, ...] = ()
    """The vocabulary's id of each step of the path; None for what it does not know, and for a name the person
    gave."""


@dataclass(frozen=True, eq=False)
class Facets:
    """A profile in numbers, for other systems. Every value is that of `dimensions`."""

    dimensions: tuple[Dimension, ...]
    """All interests, the largest absolute value first; a broader interest holds its narrower ones."""
    sparse: dict[int, float]
    """The values by the place in the vocabulary, from 0, of the interests that it knows: by their id, or
    because their label names one thing in it. Of several that it knows as the same one, that of its id comes
    first, then the heaviest; the others are in `labels`."""
    labels: dict[str, float]
    """The values of the other interests, by interest id: names found on items, added by the person, or
    written by a model."""
    vocabulary: Vocabulary
    dense: FloatVector | None = None
    """A unit vector: the embedder's vectors of all paths, each times its value, summed. Zeros where there is
    nothing to sum; None without an embedder."""
    fused: FloatVector | None = None
    """The interests beside a vector from another system; see `fuse`. None where none was given."""

    def as_array(self) -> FloatVector:
        """The sparse vector in full: one number for each interest of the vocabulary, in its order."""
        array = np.zeros(len(self.vocabulary), dtype=np.float32)
        for place, value in self.sparse.items():
            array[place] = value
        return array

    def text(self, most: int = 10, language: str | None = None) -> str:
        """The heaviest dimensions on one line, as "人工智能: 0.8, 深度学习: 0.7".

        `language` is that of the labels which the vocabulary knows and the person did not rename; without
        it they are those of the profile. Where two share a label, the whole path stands for it. Values that
        would read as 0 are left out. Raises InputError for a `most` below 1.
        """
        if most < 1:
            raise InputError(f"most is {most}: ask for at least one dimension")
        said = [one for one in self.dimensions if abs(one.value) >= SMALLEST_SAID][:most]
        paths = [self._path(one, language) for one in said]
        count = Counter(path[-1] for path in paths)
        return ", ".join(
            f"{path[-1] if count[path[-1]] == 1 else PATH_SEPARATOR.join(path)}: {_short(one.value)}"
            for one, path in zip(said, paths, strict=True)
        )

    def _path(self, one: Dimension, language: str | None) -> tuple[str, ...]:
        if language is None or not one.node_ids:
            return one.path
        return tuple(
            label if node_id is None else self.vocabulary[node_id].label(language)
            for label, node_id in zip(one.path, one.node_ids, strict=True)
        )


def facets(
    profile: InterestProfile,
    *,
    vocabulary: Vocabulary | None = None,
    embedder: Embedder | None = None,
    other: Numbers | None = None,
    share: float = 0.5,
) -> Facets:
    """Turn a profile into weighted dimensions, a sparse vector and, with an embedder, a dense one.

    `vocabulary` gives the sparse vector its places; the shipped one when absent. `other` is the person's
    vector in another system (matrix factorisation, a two-tower model); it is fused with the dense vector,
    or with the sparse one where there is no embedder, the interests having `share` of the whole.
    Raises InputError as `fuse` does, ModelError when the embedder cannot.
    """
    vocabulary = vocabulary if vocabulary is not None else Vocabulary.load()
    places = {node.id: place for place, node in enumerate(vocabulary)}
    hierarchy = profile.hierarchy
    renamed = {edit.interest for edit in profile.edits if isinstance(edit, Rename)}
    dimensions = tuple(
        Dimension(
            interest.id,
            interest.label,
            hierarchy.path(interest.id),
            -interest.weight if interest.polarity == "negative" else interest.weight,
            tuple(
                step if step in vocabulary and step not in renamed else None
                for step in hierarchy.ancestors(interest.id)
            ),
        )
        for interest in sorted(hierarchy.interests, key=lambda one: (-one.weight, one.level, one.id))
    )
    known = _known(dimensions, vocabulary)
    sparse = {places[known[one.interest_id]]: one.value for one in dimensions if one.interest_id in known}
    outside = {one.interest_id: one.value for one in dimensions if one.interest_id not in known}
    dense = _dense(dimensions, embedder) if embedder is not None else None
    found = Facets(dimensions, sparse, outside, vocabulary, dense)
    if other is None:
        return found
    own = dense if dense is not None else found.as_array()
    if not np.any(own):
        raise InputError(
            f"the profile of {profile.user_id!r} has no interests to fuse: use the other vector alone"
        )
    return Facets(dimensions, sparse, outside, vocabulary, dense, fuse(own, other, share))


def path_text(path: Sequence[str]) -> str:
    """What an embedder reads of an interest: its labels, the most general first."""
    return ", ".join(path)


def fuse(interests: Numbers, other: Numbers, share: float = 0.5) -> FloatVector:
    """Put two vectors of a person, or of an item, side by side so that both count by their share.

    Returns [sqrt(share) i ; sqrt(1 - share) o] as float32, where i and o are the two vectors at length 1. It
    has length 1, and the dot product of a person and an item that were fused with the same share is
    share * cos(interests) + (1 - share) * cos(other): the late fusion of two similarities in one index.
    `interests` and `other` may differ in dimensions; `share` is from 0 to 1.
    Raises InputError for what is not a vector of finite numbers, is empty or all zeros, and for another
    share.
    """
    if not 0 <= share <= 1:
        raise InputError(f"the share of the interests is {share}: give a number from 0 to 1")
    own, beside = _unit(interests, "interests"), _unit(other, "other")
    fused = np.concatenate([np.sqrt(share) * own, np.sqrt(1 - share) * beside])
    return fused.astype(np.float32)


def _unit(vector: Numbers, name: str) -> npt.NDArray[np.float64]:
    try:
        numbers = np.asarray(vector, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"the vector {name!r} does not hold numbers alone ({error})") from error
    if numbers.ndim != 1 or not numbers.size:
        raise InputError(f"the vector {name!r} has the shape {numbers.shape}: give one row of numbers")
    if not np.isfinite(numbers).all():
        raise InputError(f"the vector {name!r} holds a number that is not finite: replace or leave it out")
    largest = np.abs(numbers).max()
    if largest == 0:
        raise InputError(f"the vector {name!r} is all zeros and has no direction: leave it out")
    scaled: npt.NDArray[np.float64] = numbers / largest
    scaled /= np.linalg.norm(scaled)
    return scaled


def _known(dimensions: Sequence[Dimension], vocabulary: Vocabulary) -> dict[str, str]:
    """The vocabulary's id of each interest that has a place in it, no two with the same."""
    known = {one.interest_id: one.interest_id for one in dimensions if one.interest_id in vocabulary}
    taken = set(known)
    for one in dimensions:
        node_id = vocabulary_id(one.interest_id, one.label, vocabulary)
        if node_id is not None and node_id not in taken:
            known[one.interest_id] = node_id
            taken.add(node_id)
    return known


def _dense(dimensions: Sequence[Dimension], embedder: Embedder) -> FloatVector:
    if not dimensions:
        return np.zeros(embedder.dimensions, dtype=np.float32)
    vectors = embedder.embed([path_text(one.path) for one in dimensions])
    values = np.array([one.value for one in dimensions], dtype=np.float64)
    summed = (values @ vectors.astype(np.float64)).astype(np.float32)
    unit: FloatVector = unit_rows(summed[None, :])[0]
    return unit


def _short(value: float) -> str:
    """A value with at most two digits, 0.8 rather than 0.80."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
