"""How close texts are to the interests of a vocabulary, by static vectors: one more source of evidence."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from llmrec.interests.subjects import Subject, language_of
from llmrec.interests.taxonomy import Vocabulary, VocabularyNode
from llmrec.interests.title_words import without_amounts
from llmrec.llm.embedder import Embedder, FloatMatrix, unit_rows

MAX_DESCRIPTION = 400
"""Characters of a description that are compared."""
FloatVector = FloatMatrix
"""One row of cosines."""


class LabelSimilarity:
    """Cosines of subjects with every interest of a vocabulary. Made once; may be used from several threads.

    An interest's vector is the mean of the vectors of its own names and of all names below it, so that a
    broad interest lies amid what it covers; with its length set to 1. A subject's is that of its title,
    without amounts and packaging, and the beginning of its description.
    """

    def __init__(self, vocabulary: Vocabulary, embedder: Embedder) -> None:
        """Nothing is embedded before the first question."""
        self._vocabulary = vocabulary
        self._embedder = embedder
        self._columns = {node.id: column for column, node in enumerate(vocabulary)}
        self._lock = threading.Lock()
        self._labels: FloatMatrix | None = None

    @property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary whose interests are compared with."""
        return self._vocabulary

    def columns(self, nodes: Sequence[VocabularyNode]) -> list[int]:
        """Where the interests stand in a row of cosines."""
        return [self._columns[node.id] for node in nodes]

    def cosines(self, subjects: Sequence[Subject]) -> FloatMatrix:
        """One row a subject, one column an interest in the vocabulary's order, from -1 to 1.

        A row is all zeros for a subject of which the embedder knows nothing, as in a language that it was
        not made for. Raises ModelError when the embedder cannot.
        """
        texts = [self._text(subject) for subject in subjects]
        cosines: FloatMatrix = self._embedder.embed(texts) @ self._label_vectors().T
        return cosines

    def _text(self, subject: Subject) -> str:
        text = f"{without_amounts(subject.title)} {subject.description[:MAX_DESCRIPTION]}".strip()
        known = self._embedder.languages
        # Of a Chinese text an English embedder knows single characters, whose mean is noise.
        return text if not known or language_of([text]) in known else ""

    def _label_vectors(self) -> FloatMatrix:
        with self._lock:
            if self._labels is None:
                nodes = list(self._vocabulary)
                known = self._embedder.languages
                names = [
                    (column, name)
                    for column, node in enumerate(nodes)
                    for name in dict.fromkeys((node.en, node.zh, *node.aliases))
                    if name and (not known or language_of([name]) in known)
                ]
                vectors = self._embedder.embed([name for _, name in names])
                sums = np.zeros((len(nodes), self._embedder.dimensions), dtype=np.float32)
                for (column, _), vector in zip(names, vectors, strict=True):
                    for above in self._vocabulary.ancestors(nodes[column].id):
                        sums[self._columns[above]] += vector
                self._labels = unit_rows(sums)
            return self._labels
