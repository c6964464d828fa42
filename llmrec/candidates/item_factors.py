"""Items as vectors made from what people chose together: near where the same people lead to both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from llmrec.candidates.co_occurrence import CoOccurrence
from llmrec.candidates.item_places import ItemScores, WeightedItems, load_scipy
from llmrec.candidates.log import InteractionLog
from llmrec.errors import InputError
from llmrec.llm.embedder import unit_rows

FloatMatrix = npt.NDArray[np.float32]

SHRINKAGE = 10.0
"""Added to every item's total before the counts are divided by it."""
SPARE_DIMENSIONS = 16
NO_EIGENVALUE = 1e-6
EIGENVALUE_EXPONENT = 0.75
ITERATIONS = 8


class ItemFactors:
    """A truncated eigendecomposition of the normalised co-occurrence of items.

    With S the counts of CoOccurrence and D the totals plus 10 on a diagonal, N = D^-1/2 S D^-1/2 is factored
    as U L U^T, and the rows of U L^0.75 of the positive eigenvalues are the items' vectors. With an exponent
    of 0.5 their inner products would approximate N itself, one step from item to item, with 1 they would
    approximate N^2, two steps: items that were never chosen together are near by what they share. (The
    negative eigenvalues say only that no item stands beside itself.)

    Factors of a co-occurrence matrix are those of Levy & Goldberg (NIPS 2014), who take logarithms first;
    weighting the eigenvalues by an exponent is that of Levy, Goldberg & Dagan (TACL 2015); the normalisation
    is that of spectral clustering (Ng, Jordan & Weiss, NIPS 2001); ranking by the factors of a decomposition
    is PureSVD (Cremonesi, Koren & Turrin, RecSys 2010). It is computed by randomised subspace iteration
    (Halko, Martinsson & Tropp, SIAM Review 2011).
    """

    def __init__(
        self,
        log: InteractionLog,
        item_ids: Sequence[str],
        dimensions: int = 128,
        seed: int = 0,
        *,
        co_occurrence: CoOccurrence | None = None,
    ) -> None:
        """`item_ids` are the items to score; `co_occurrence` is that of the same log, counted before.

        Small logs have fewer dimensions. The seed begins the iteration: the same one gives the same vectors.
        Raises InputError when `dimensions` is below 1, when an id comes twice, and when scipy
        is not installed.
        """
        if dimensions < 1:
            raise InputError(f"item factors of {dimensions} dimensions are none: give 1 or more")
        counted = co_occurrence if co_occurrence is not None else CoOccurrence(log, item_ids)
        self.places = counted.places
        if self.places.item_ids != tuple(item_ids):
            raise InputError("the co-occurrence is of other items: count that of these")
        self.vectors: FloatMatrix = _factors(counted, dimensions, seed)
        """One row an item; zeros for items that nobody chose beside another."""
        self._unit_vectors = unit_rows(self.vectors)

    def __len__(self) -> int:
        return len(self.places)

    def scores(self, history: WeightedItems, *, unit: bool = True) -> ItemScores:
        """How near each item is to a history, in the order of the items.

        The sum over the history of weight * inner product. With `unit` the vectors have the length 1 (the
        cosine, from -1 to 1 for one item of weight 1), and popular items have no advantage; without, they
        keep their lengths, which grow with popularity.
        Raises InputError for a place outside the catalogue and a weight that is no finite number.
        """
        vectors = self._unit_vectors if unit else self.vectors
        places, weights = self.places.of_history(history)
        return np.asarray(vectors @ (weights @ vectors[places]), dtype=np.float32)


def _factors(counted: CoOccurrence, dimensions: int, seed: int) -> FloatMatrix:
    sparse = load_scipy("scipy.sparse")
    met = np.flatnonzero(counted.totals)
    if not len(met):
        return np.zeros((len(counted), 0), dtype=np.float32)
    scale = sparse.diags(1.0 / np.sqrt(counted.totals[met] + SHRINKAGE), dtype=np.float32)
    normalised = (scale @ counted.counts[met][:, met] @ scale).tocsr().astype(np.float32)
    found = _positive_eigenpairs(normalised, dimensions, seed)
    vectors = np.zeros((len(counted), found.shape[1]), dtype=np.float32)
    vectors[met] = found
    return vectors


def _positive_eigenpairs(matrix: Any, dimensions: int, seed: int) -> FloatMatrix:
    """U L^0.75 for the largest positive eigenvalues L of a symmetric matrix, the largest first."""
    width = min(dimensions + SPARE_DIMENSIONS, matrix.shape[0])
    basis = np.random.default_rng(seed).standard_normal((matrix.shape[0], width)).astype(np.float32)
    for _ in range(ITERATIONS):
        basis, _ = np.linalg.qr(matrix @ basis)
    inner = basis.T @ (matrix @ basis)
    values, rotation = np.linalg.eigh((inner + inner.T) / 2)
    largest = [at for at in np.argsort(-values, kind="stable")[:dimensions] if values[at] > NO_EIGENVALUE]
    return np.asarray(
        basis @ (rotation[:, largest] * values[largest] ** EIGENVALUE_EXPONENT), dtype=np.float32
    )
