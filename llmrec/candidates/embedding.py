"""Items whose texts mean something close to a text: cosines of an embedder's vectors."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from llmrec.behavior.events import Item
from llmrec.candidates.bm25 import item_text
from llmrec.candidates.item_places import ItemScores
from llmrec.candidates.text_scores import LONGEST_TEXT, Aggregate, aggregated, checked_columns
from llmrec.llm.embedder import Embedder, FloatMatrix, unit_rows

EMBEDDED_AT_ONCE = 512
FEWEST_IN_COMMON = 50
"""Of fewer items the mean and the component are those items' own, and what is left of them misleads."""
SAMPLE = 2000
"""How many items show what all vectors have in common."""


class EmbeddingIndex:
    """The vectors of a catalogue's items, made when they are first needed; safe to share among threads.

    Items are read as `bm25.item_text`, cut to 300 characters, as are the texts to compare with.
    """

    def __init__(self, embedder: Embedder, items: Sequence[Item], *, remove_common: bool = True) -> None:
        """`remove_common` takes from every vector the catalogue's mean and first principal component.

        These say what all the items have in common, and hide how they differ ("All-but-the-Top", Mu &
        Viswanath, ICLR 2018, with one component). They are estimated from at most 2,000 items; of fewer
        than 50, nothing is taken.
        """
        self._embedder = embedder
        self._texts = [item_text(item)[:LONGEST_TEXT] for item in items]
        self._place_of = {text: place for place, text in enumerate(self._texts)}
        self._vectors: FloatMatrix = np.zeros((len(self._texts), embedder.dimensions), dtype=np.float32)
        self._is_ready = np.zeros(len(self._texts), dtype=bool)
        self._common: tuple[FloatMatrix, FloatMatrix] | None = None
        self._knows_common = not remove_common
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._texts)

    def cosines(self, texts: Sequence[str], columns: Sequence[int] | None = None) -> FloatMatrix:
        """The cosine of every text with every item, from -1 to 1, as a matrix (texts, items).

        `columns` asks for some items only, by their places in the catalogue, in that order. A text or an
        item of which the embedder knows nothing has 0 with all others.
        Raises InputError for a place that is not there, ModelError when the embedder fails.
        """
        wanted = checked_columns(columns, len(self))
        cut = [text[:LONGEST_TEXT] for text in texts]
        if not cut or not len(wanted):
            return np.zeros((len(cut), len(wanted)), dtype=np.float32)
        with self._lock:
            self._make_ready(wanted)
        rows = self.vectors(cut)
        vectors = self._vectors if columns is None else self._vectors[wanted]
        return np.asarray(rows @ vectors.T, dtype=np.float32)

    def vectors(self, texts: Sequence[str]) -> FloatMatrix:
        """The unit vector of every text, a row each, as the items' are made: of zeros where nothing is known.

        Raises ModelError when the embedder fails.
        """
        cut = [text[:LONGEST_TEXT] for text in texts]
        known = [self._place_of.get(text, -1) for text in cut]
        with self._lock:
            self._make_ready(np.asarray([place for place in known if place >= 0], dtype=np.int64))
        rows = np.zeros((len(cut), self._vectors.shape[1]), dtype=np.float32)
        for at, place in enumerate(known):
            rows[at] = self._vectors[place] if place >= 0 else 0.0
        new = [at for at, place in enumerate(known) if place < 0]
        if new:
            rows[new] = self._without_common(self._raw([cut[at] for at in new]))
        return rows

    def scores(
        self,
        texts: Sequence[str],
        weights: Sequence[float] | None = None,
        *,
        aggregate: Aggregate = "mean",
        columns: Sequence[int] | None = None,
    ) -> ItemScores:
        """How near each item is to the texts of a history: their weighted mean of cosines, or the largest.

        One number from -1 to 1 an item, zeros without texts. Raises InputError as `cosines` and
        `text_scores.aggregated` do.
        """
        return aggregated(self.cosines(texts, columns), weights, aggregate)

    def _make_ready(self, places: npt.NDArray[np.int64]) -> None:
        if not self._knows_common and len(self):
            sample = np.random.default_rng(0).permutation(len(self))[:SAMPLE]
            raw = self._raw([self._texts[place] for place in sample])
            self._common = _common_part(raw)
            self._vectors[sample] = self._without_common(raw)
            self._is_ready[sample] = self._knows_common = True
        missing = np.unique(places[~self._is_ready[places]])
        for begin in range(0, len(missing), EMBEDDED_AT_ONCE):
            batch = missing[begin : begin + EMBEDDED_AT_ONCE]
            self._vectors[batch] = self._without_common(self._raw([self._texts[place] for place in batch]))
            self._is_ready[batch] = True

    def _without_common(self, raw: FloatMatrix) -> FloatMatrix:
        if self._common is None:
            return unit_rows(raw)
        mean, direction = self._common
        rest = raw - mean
        rest -= (rest @ direction)[:, None] * direction
        # A vector of zeros says that nothing is known: it must not become what the others lack.
        rest[~raw.any(axis=1)] = 0.0
        # What is left of a vector that is no more than the common part is rounding, and would be blown up.
        rest[np.linalg.norm(rest, axis=1) < 1e-4] = 0.0
        return unit_rows(rest)

    def _raw(self, texts: Sequence[str]) -> FloatMatrix:
        parts = [
            self._embedder.embed(texts[begin : begin + EMBEDDED_AT_ONCE])
            for begin in range(0, len(texts), EMBEDDED_AT_ONCE)
        ]
        return np.concatenate(parts)


def _common_part(vectors: FloatMatrix) -> tuple[FloatMatrix, FloatMatrix] | None:
    """The mean and the first principal component; None of too few vectors to tell."""
    known = vectors[vectors.any(axis=1)]
    if len(known) < FEWEST_IN_COMMON:
        return None
    mean = known.mean(axis=0)
    _, _, components = np.linalg.svd(known - mean, full_matrices=False)
    return mean, components[0]
