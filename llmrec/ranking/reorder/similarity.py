"""How alike items are: by their words, by their categories, or by vectors that are there already."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from llmrec.behavior.events import Item
from llmrec.candidates.bm25 import item_text, tokenize
from llmrec.errors import InputError
from llmrec.ranking.reorder.quantities import fold

SimilarityMatrix = npt.NDArray[np.float64]

MAX_TEXT = 1_000
"""Characters of an item that are compared."""


class Similarity(Protocol):
    """Tells how alike items are."""

    def __call__(self, rows: Sequence[Item], columns: Sequence[Item]) -> SimilarityMatrix:
        """A matrix of shape (rows, columns): 0 for nothing in common, 1 for alike in all that is compared."""
        ...


def word_similarity(items: Sequence[Item]) -> Similarity:
    """Cosines of TF-IDF vectors of the items' words (Salton and Buckley 1988), from 0 to 1.

    A word's weight is its count times ln((1 + n) / (1 + d)) + 1, d of the n items given having it: they tell
    how rare a word is, and may be the whole catalogue. Words are cut as BM25 cuts them, in Chinese into
    pairs; of each item the first 1,000 characters are read. An item without words is like no other.
    """
    frequencies: Counter[str] = Counter()
    for item in items:
        frequencies.update(set(_words(item)))
    known = len(items)

    def vector(item: Item) -> dict[str, float]:
        weights = {
            word: count * (math.log((1 + known) / (1 + frequencies[word])) + 1)
            for word, count in Counter(_words(item)).items()
        }
        length = math.sqrt(math.fsum(weight * weight for weight in weights.values()))
        return {word: weight / length for word, weight in weights.items()}

    def similarity(rows: Sequence[Item], columns: Sequence[Item]) -> SimilarityMatrix:
        of_columns = [vector(item) for item in columns]
        of_rows = of_columns if rows is columns else [vector(item) for item in rows]
        return np.minimum(_products(of_rows, of_columns), 1.0)

    return similarity


def category_similarity(rows: Sequence[Item], columns: Sequence[Item]) -> SimilarityMatrix:
    """The part of two items' categories that both have (Jaccard 1901), 0 to 1; 0 where neither has any."""
    of_rows = [{fold(category): 1.0 for category in item.categories} for item in rows]
    of_columns = [{fold(category): 1.0 for category in item.categories} for item in columns]
    shared = _products(of_rows, of_columns)
    counts = np.array([len(own) for own in of_rows], dtype=np.float64)[:, None]
    either = counts + np.array([len(own) for own in of_columns], dtype=np.float64)[None, :] - shared
    return np.divide(shared, either, out=np.zeros_like(shared), where=either > 0)


def vector_similarity(vectors: Mapping[str, npt.NDArray[np.floating[Any]]]) -> Similarity:
    """Cosines of unit vectors, such as an embedder's, by the ids of the items; 0 for those below 0.

    An item without a vector is like no other. Raises InputError for vectors of several lengths, or with a
    number that is not finite.
    """
    shapes = {vector.shape for vector in vectors.values()}
    if len(shapes) > 1 or any(len(shape) != 1 for shape in shapes):
        raise InputError("the vectors of the items differ in their dimensions: give those of one embedder")
    if any(not np.isfinite(vector).all() for vector in vectors.values()):
        raise InputError("a vector of an item holds a number that is not finite: leave the vector out")
    zeros = np.zeros(next(iter(shapes), (0,)))

    def similarity(rows: Sequence[Item], columns: Sequence[Item]) -> SimilarityMatrix:
        left, right = (
            np.array([vectors.get(item.id, zeros) for item in side], dtype=np.float64).reshape(
                len(side), len(zeros)
            )
            for side in (rows, columns)
        )
        cosines: SimilarityMatrix = np.clip(left @ right.T, 0.0, 1.0)
        return cosines

    return similarity


def _words(item: Item) -> list[str]:
    return tokenize(item_text(item)[:MAX_TEXT])


def _products(
    rows: Sequence[Mapping[str, float]], columns: Sequence[Mapping[str, float]]
) -> SimilarityMatrix:
    """The scalar products of sparse vectors, by the columns that have each entry."""
    ids = {name: number for number, name in enumerate(dict.fromkeys(chain.from_iterable(columns)))}
    entries = np.fromiter((ids[name] for vector in columns for name in vector), dtype=np.int64)
    weights = np.fromiter((weight for vector in columns for weight in vector.values()), dtype=np.float64)
    owners = np.repeat(np.arange(len(columns)), [len(vector) for vector in columns])
    by_entry = np.argsort(entries, kind="stable")
    weights, owners = weights[by_entry], owners[by_entry]
    begins = np.searchsorted(entries[by_entry], np.arange(len(ids) + 1))
    products = np.zeros((len(rows), len(columns)))
    for row, vector in zip(products, rows, strict=True):
        shared = [(ids[name], weight) for name, weight in vector.items() if name in ids]
        if not shared:
            continue
        own = np.array([number for number, _ in shared])
        counts = begins[own + 1] - begins[own]
        # Where the entries of all shared names lie: each run counted up from its beginning.
        runs = np.repeat(begins[own] - np.cumsum(counts) + counts, counts)
        at = runs + np.arange(len(runs))
        factors = np.repeat([weight for _, weight in shared], counts)
        row += np.bincount(owners[at], weights=weights[at] * factors, minlength=len(columns))
    return products
