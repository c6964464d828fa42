"""Which texts go with which, learned from what people chose together: it holds for items nobody chose yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from llmrec.candidates.item_places import NOT_CHOSEN, ItemPlaces
from llmrec.candidates.log import InteractionLog
from llmrec.llm.embedder import FloatMatrix

FloatVector = npt.NDArray[np.float64]

DIMENSIONS = 64
RIDGE = 4.0
"""What is added to each variance, as a part of the mean variance: few people tell little of a direction."""
APPEAL_RIDGE = 1.0
LARGEST_CORRELATION = 0.98
RECENCY = 0.9
MOST_EVENTS = 30
MOST_PAIRS = 50_000
"""Of more, so many are drawn by a fixed seed: they are enough for a few hundred dimensions."""
LEAST_PAIRS = 200
"""Fewer pairs of a history and what came next teach nothing."""


@dataclass(frozen=True)
class TextAffinity:
    """Two signals of items' vectors, both linear algebra on `TextVectors`.

    *Affinity* is the pointwise mutual information, in nats, of a history's mean vector and an item's, were
    both jointly Gaussian: their canonical correlations (Hotelling 1936; Bach and Jordan 2005, "A
    Probabilistic Interpretation of Canonical Correlation Analysis"), estimated over the pairs of a history
    and the item chosen next. *Appeal* is the direction that best tells chosen items from the catalogue's
    (Fisher 1936), whoever chooses.
    """

    history_mean: FloatVector
    item_mean: FloatVector
    history_map: npt.NDArray[np.float64]
    """(dimensions of the vectors, canonical dimensions)."""
    item_map: npt.NDArray[np.float64]
    correlations: FloatVector
    """One a canonical dimension, from 0 to below 1."""
    appeal_direction: FloatVector
    vectors_of: str
    """The fingerprint of the TextVectors these are of."""
    pairs: int
    """How many pairs it was learned from."""

    @classmethod
    def learn(
        cls, log: InteractionLog, item_ids: Sequence[str], vectors: FloatMatrix, *, vectors_of: str
    ) -> TextAffinity | None:
        """Learn from a log and the unit vectors of the items, one row each in the order of the ids.

        Returns None of a log with fewer than 200 pairs, or for fewer than two items.
        """
        places, lengths = ItemPlaces(item_ids).of_log(log, MOST_EVENTS)
        histories, following, chosen = _pairs(places, lengths, vectors)
        if len(histories) < LEAST_PAIRS or len(vectors) < 2:
            return None
        everything = vectors.astype(np.float64)
        appeal = np.linalg.solve(
            _with_ridge(np.cov(everything.T), APPEAL_RIDGE), chosen - everything.mean(axis=0)
        )
        history_mean, item_mean = histories.mean(axis=0), following.mean(axis=0)
        whiten_history = _whitening(np.cov(histories.T))
        whiten_item = _whitening(np.cov(following.T))
        cross = (histories - history_mean).T @ (following - item_mean) / len(histories)
        left, correlations, right = np.linalg.svd(whiten_history @ cross @ whiten_item)
        kept = min(DIMENSIONS, len(correlations))
        return cls(
            history_mean=history_mean,
            item_mean=item_mean,
            history_map=whiten_history @ left[:, :kept],
            item_map=whiten_item @ right[:kept].T,
            correlations=np.clip(correlations[:kept], 0.0, LARGEST_CORRELATION),
            appeal_direction=appeal,
            vectors_of=vectors_of,
            pairs=len(histories),
        )

    def appeal(self, items: FloatMatrix) -> FloatVector:
        """How much each item, a row of vectors, is like what people choose; above 0 is more than average."""
        return np.asarray(items @ self.appeal_direction, dtype=np.float64)

    def affinity(self, history: FloatMatrix, weights: Sequence[float], items: FloatMatrix) -> FloatVector:
        """How well each item goes with a history, in nats; zeros where the history is empty.

        `history` has a row an event, `weights` one number above 0 each.
        """
        if not len(history):
            return np.zeros(len(items))
        mean = np.asarray(weights, dtype=np.float64) @ history / float(np.sum(weights))
        person = (mean - self.history_mean) @ self.history_map
        item = (items - self.item_mean) @ self.item_map
        squared = self.correlations**2
        joint = (item * person) @ (self.correlations / (1 - squared))
        alone = (item**2 + person**2) @ (squared / (1 - squared))
        return np.asarray(joint - alone / 2 - np.log1p(-squared).sum() / 2, dtype=np.float64)

    def as_document(self) -> dict[str, Any]:
        """All numbers, for a JSON file; `from_document` reads them."""
        return {
            "vectors_of": self.vectors_of,
            "pairs": self.pairs,
            **{name: np.round(getattr(self, name), 6).tolist() for name in _ARRAYS},
        }

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> TextAffinity:
        """Read what `as_document` wrote. Raises KeyError, TypeError or ValueError for anything else."""
        arrays = {name: np.asarray(document[name], dtype=np.float64) for name in _ARRAYS}
        width, kept = arrays["history_map"].shape
        fits = (
            arrays["item_map"].shape == (width, kept)
            and arrays["correlations"].shape == (kept,)
            and all(arrays[name].shape == (width,) for name in _VECTORS)
            and all(np.isfinite(array).all() for array in arrays.values())
            and bool((np.abs(arrays["correlations"]) < 1).all())
        )
        if not fits:
            raise ValueError("the numbers of the text affinity do not fit each other")
        return cls(**arrays, vectors_of=str(document["vectors_of"]), pairs=int(document["pairs"]))


_VECTORS = ("history_mean", "item_mean", "appeal_direction")
_ARRAYS = (*_VECTORS, "history_map", "item_map", "correlations")


def _pairs(
    places: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64], vectors: FloatMatrix
) -> tuple[FloatMatrix, FloatMatrix, FloatVector]:
    """The mean vector of each history, that of the item after it, and the mean of all chosen items."""
    sequences = [own[own != NOT_CHOSEN] for own in np.split(places, np.cumsum(lengths)[:-1]) if len(own) > 1]
    counts = [max(0, len(own) - 1) for own in sequences]
    wanted = np.zeros(sum(counts), dtype=bool)
    wanted[np.random.default_rng(0).permutation(len(wanted))[:MOST_PAIRS]] = True
    histories: list[npt.NDArray[np.float64]] = []
    following: list[int] = []
    for own, taken in zip(sequences, np.split(wanted, np.cumsum(counts))[:-1], strict=True):
        if not taken.any():
            continue
        total, weight = np.zeros(vectors.shape[1]), 0.0
        for (earlier, later), is_wanted in zip(pairwise(own), taken, strict=True):
            total = total * RECENCY + vectors[earlier]
            weight = weight * RECENCY + 1.0
            if is_wanted:
                histories.append(total / weight)
                following.append(int(later))
    known = places[places != NOT_CHOSEN]
    chosen = vectors[known].mean(axis=0) if len(known) else np.zeros(vectors.shape[1])
    if not histories:
        return vectors[:0], vectors[:0], chosen.astype(np.float64)
    return (
        np.asarray(histories, dtype=np.float32),
        vectors[np.asarray(following, dtype=np.int64)],
        chosen.astype(np.float64),
    )


def _whitening(covariance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The inverse square root of a covariance with a ridge."""
    values, directions = np.linalg.eigh(_with_ridge(covariance, RIDGE))
    return np.asarray((directions / np.sqrt(values)) @ directions.T, dtype=np.float64)


def _with_ridge(covariance: npt.NDArray[np.float64], part: float) -> npt.NDArray[np.float64]:
    """A covariance with a part of its mean variance added to each, and a little where there is none."""
    ridge = max(part * float(np.trace(covariance)) / len(covariance), 1e-12)
    return np.asarray(covariance + ridge * np.eye(len(covariance)), dtype=np.float64)
