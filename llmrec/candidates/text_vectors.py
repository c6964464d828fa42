"""Texts as vectors of words and of meaning together, the same whatever else the catalogue holds."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from llmrec.behavior.events import Item
from llmrec.candidates.bm25 import item_text, tokenize
from llmrec.candidates.text_scores import LONGEST_TEXT
from llmrec.llm.embedder import Embedder, FloatMatrix, unit_rows

WORD_DIMENSIONS = 512


class TextVectors:
    """An embedder's vector and one of hashed words side by side, each of length 1, together of length 1.

    Words are folded as for BM25, hashed with a sign into 512 dimensions (Weinberger et al. 2009, "Feature
    hashing for large scale multitask learning") and weighed by the log of their rarity in the catalogue.
    A place in the vector means the same in every catalogue, so what was learned of one holds for new items.
    """

    def __init__(self, embedder: Embedder | None, counts: Mapping[str, int], texts: int) -> None:
        """`counts` says in how many of the catalogue's `texts` a word stands."""
        self._embedder = embedder
        self._counts = counts
        self._texts = max(1, texts)

    @classmethod
    def of_items(cls, embedder: Embedder | None, items: Iterable[Item]) -> TextVectors:
        """Count the words of a catalogue."""
        counts: Counter[str] = Counter()
        texts = 0
        for item in items:
            counts.update(set(tokenize(item_text(item)[:LONGEST_TEXT])))
            texts += 1
        return cls(embedder, counts, texts)

    @property
    def fingerprint(self) -> str:
        """What the dimensions mean; vectors of different ones must not be compared."""
        embedder = self._embedder.fingerprint if self._embedder is not None else "none"
        return f"{embedder}+words{WORD_DIMENSIONS}"

    def vectors(self, texts: Sequence[str]) -> FloatMatrix:
        """One row a text, read to 300 characters; zeros where nothing is known. Raises ModelError."""
        cut = [text[:LONGEST_TEXT] for text in texts]
        words = np.zeros((len(cut), WORD_DIMENSIONS), dtype=np.float32)
        for row, text in zip(words, cut, strict=True):
            for word in set(tokenize(text)):
                digest = zlib.crc32(word.encode("utf-8", "surrogatepass"))
                sign = 1.0 if digest >> 20 & 1 else -1.0
                row[digest % WORD_DIMENSIONS] += sign * np.log(
                    self._texts / max(1, self._counts.get(word, 0))
                )
        blocks = [unit_rows(words)]
        if self._embedder is not None and cut:
            blocks.insert(0, self._embedder.embed(cut))
        elif self._embedder is not None:
            blocks.insert(0, np.zeros((0, self._embedder.dimensions), dtype=np.float32))
        return unit_rows(np.concatenate(blocks, axis=1))
