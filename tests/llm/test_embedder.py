"""What embedders share: the texts they take, and rows of unit length."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from llmrec.errors import InputError
from llmrec.llm.embedder import Embedder, FloatMatrix, checked_texts, unit_rows

MATRICES = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=6),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
)


@given(MATRICES)
def test_rows_have_the_length_one_or_are_zero(vectors: FloatMatrix) -> None:
    before = vectors.copy()
    units = unit_rows(vectors)
    assert units.dtype == np.float32
    assert units.shape == vectors.shape
    assert np.array_equal(vectors, before)
    for vector, unit in zip(vectors.astype(np.float64), units.astype(np.float64), strict=True):
        length = np.sqrt((vector**2).sum())
        assert np.linalg.norm(unit) == pytest.approx(1.0 if length else 0.0, abs=1e-5)
        if length:
            assert unit @ vector / length == pytest.approx(1.0, abs=1e-5)


def test_rows_keep_their_directions() -> None:
    units = unit_rows(np.array([[3, 4], [0, 0], [-2, 0]], dtype=np.float32))
    assert units == pytest.approx(np.array([[0.6, 0.8], [0, 0], [-1, 0]]))


def test_texts_come_back_as_a_list() -> None:
    assert checked_texts(("a", "b")) == ["a", "b"]
    assert checked_texts([]) == []
    # Its members are str, though not str alone.
    assert checked_texts(np.array(["a", "b"])) == ["a", "b"]  # type: ignore[arg-type]


@pytest.mark.parametrize("texts", [None, 7])
def test_what_is_no_sequence_is_told(texts: object) -> None:
    with pytest.raises(InputError, match="takes a sequence of texts"):
        checked_texts(texts)  # type: ignore[arg-type]


def test_what_lacks_a_verb_is_no_embedder() -> None:
    class Half:
        name = fingerprint = "half"
        dimensions = 2
        languages = ()

        def embed(self, texts: list[str]) -> None: ...

    assert not isinstance(Half(), Embedder)
