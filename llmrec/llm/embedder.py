"""The protocol every embedder implements: texts become vectors whose closeness is closeness of meaning."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from llmrec.errors import InputError

FloatMatrix = npt.NDArray[np.float32]


@runtime_checkable
class Embedder(Protocol):
    """Turns texts into vectors. Implementations may be called from several threads at once.

    Rows have unit length, so `queries @ documents.T` holds the cosines, from -1 to 1. Vectors of embedders
    with different fingerprints must not be compared.
    """

    @property
    def name(self) -> str:
        """What the embedder is called in reports, for example `wordllama`."""
        ...

    @property
    def fingerprint(self) -> str:
        """Identity of weights and settings: equal fingerprints give equal vectors. Keys caches."""
        ...

    @property
    def dimensions(self) -> int:
        """The length of a vector."""
        ...

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages it was made for, as ISO 639-1 codes; empty when unknown."""
        ...

    def embed(self, texts: Sequence[str]) -> FloatMatrix:
        """Embed each text on its own; the others have no influence on it beyond the last digits.

        Returns a float32 matrix of shape (number of texts, dimensions), in their order. A row has the
        length 1, or is all zeros for a text that is empty or of which the embedder knows nothing: its
        cosine with any text is 0.
        Raises InputError for what is not a sequence of texts, ModelError when the embedder cannot.
        """
        ...

    def close(self) -> None:
        """Free what the embedder holds. Closing twice is allowed; embedding afterwards raises ModelError."""
        ...


def checked_texts(texts: Sequence[str]) -> list[str]:
    """The texts as a list. Raises InputError for a single text, and for what holds anything but texts."""
    # A text is itself a sequence of texts, and would be embedded letter by letter.
    if isinstance(texts, (str, bytes)) or not isinstance(texts, Iterable):
        raise InputError("embed() takes a sequence of texts, not a single one: write embed([text])")
    checked = list(texts)
    for number, text in enumerate(checked):
        if not isinstance(text, str):
            raise InputError(f"texts[{number}] is of the type {type(text).__name__}: embed() takes texts")
    return checked


def unit_rows(vectors: FloatMatrix) -> FloatMatrix:
    """The vectors with their lengths set to 1; rows of zeros stay so."""
    # Divided by its largest number first, no vector's length runs over or under what float32 can hold.
    largest = np.abs(vectors).max(axis=1, keepdims=True, initial=0.0)
    scaled = np.zeros_like(vectors)
    np.divide(vectors, largest, out=scaled, where=largest > 0)
    lengths = np.linalg.norm(scaled, axis=1, keepdims=True)
    np.divide(scaled, lengths, out=scaled, where=lengths > 0)
    return scaled
