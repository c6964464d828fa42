"""What every Embedder keeps to. A new implementation's test is a subclass with a fixture `embedder`:

class TestMyEmbedder(EmbedderContract):
    knows_english = True  # one that was made from text, which finds meanings close

    @pytest.fixture
    def embedder(self):
        embedder = MyEmbedder()
        yield embedder
        embedder.close()
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from llmrec.errors import InputError, ModelError
from llmrec.llm.embedder import Embedder, FloatMatrix

TEXTS = [
    "the fox follows the owl",
    "a ship",
    "science fiction film",
    "the fox asked the owl about the ship and the wood " * 6,
    "x",
    "A story of 3 friends, told twice.",
]
EMPTY = ["", " ", " \n\t ", "\u3000"]
# Kernels give other last digits for other shapes of a batch.
LEAST_COSINE = 0.9999


def cosines(one: FloatMatrix, other: FloatMatrix) -> FloatMatrix:
    """Row by row."""
    result: FloatMatrix = (one * other).sum(axis=1)
    return result


class EmbedderContract:
    """The tests; `embedder` is the fixture to write, and must be an embedder that nobody else closes."""

    knows_english = False
    least_cosine = LEAST_COSINE

    @pytest.fixture
    def embedder(self) -> Embedder:
        pytest.fail("a test class of this contract needs a fixture named embedder")

    @pytest.fixture
    def embedder_to_close(self, embedder: Embedder) -> Embedder:
        """Override when `embedder` outlives one test."""
        return embedder

    def assert_same(self, one: FloatMatrix, other: FloatMatrix) -> None:
        assert one.shape == other.shape
        assert cosines(one, other).min() > self.least_cosine

    def test_is_an_embedder_with_a_name_and_an_identity(self, embedder: Embedder) -> None:
        assert isinstance(embedder, Embedder)
        assert embedder.name.strip()
        assert embedder.fingerprint.strip()
        assert embedder.fingerprint == embedder.fingerprint
        assert embedder.dimensions > 0
        assert all(code == code.lower() and 2 <= len(code) <= 3 for code in embedder.languages)

    def test_one_row_of_unit_length_a_text(self, embedder: Embedder) -> None:
        vectors = embedder.embed(TEXTS)
        assert vectors.dtype == np.float32
        assert vectors.shape == (len(TEXTS), embedder.dimensions)
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)

    def test_different_texts_have_different_vectors(self, embedder: Embedder) -> None:
        vectors = embedder.embed(TEXTS)
        among = vectors @ vectors.T - 2 * np.eye(len(TEXTS))
        assert among.max() < self.least_cosine

    def test_no_texts_give_no_rows(self, embedder: Embedder) -> None:
        assert embedder.embed([]).shape == (0, embedder.dimensions)

    @pytest.mark.parametrize("kind", [list, tuple, np.array])
    def test_any_sequence_of_texts_will_do(self, embedder: Embedder, kind: type) -> None:
        self.assert_same(embedder.embed(kind(TEXTS)), embedder.embed(TEXTS))

    def test_empty_texts_are_rows_of_zeros_and_move_no_other(self, embedder: Embedder) -> None:
        vectors = embedder.embed([*EMPTY, *TEXTS, *EMPTY])
        assert not vectors[: len(EMPTY)].any()
        assert not vectors[-len(EMPTY) :].any()
        self.assert_same(vectors[len(EMPTY) : -len(EMPTY)], embedder.embed(TEXTS))
        assert not embedder.embed(EMPTY).any()

    def test_texts_have_no_influence_on_each_other(self, embedder: Embedder) -> None:
        together = embedder.embed(TEXTS)
        alone = np.concatenate([embedder.embed([text]) for text in TEXTS])
        crowd = [f"number {number} of a crowd of other texts" for number in range(80)]
        in_a_crowd = embedder.embed([*crowd[:40], *TEXTS[::-1], *crowd[40:]])[40 : 40 + len(TEXTS)][::-1]
        self.assert_same(alone, together)
        self.assert_same(in_a_crowd, together)

    def test_asking_twice_gives_the_same_numbers(self, embedder: Embedder) -> None:
        first = embedder.embed(TEXTS)
        embedder.embed(["something else " * 20])
        assert np.array_equal(embedder.embed(TEXTS), first)

    def test_the_result_is_the_callers_own(self, embedder: Embedder) -> None:
        first = embedder.embed(TEXTS)
        kept = first.copy()
        embedder.embed(TEXTS[::-1])
        assert np.array_equal(first, kept)
        first[:] = 7
        assert np.array_equal(embedder.embed(TEXTS), kept)

    @pytest.mark.parametrize(
        "text",
        [
            "我喜欢电影",
            "кино 🎬",
            "ﷺ㍿",
            "a\x00b\x1f",
            "half \ud83d of a pair",
            "<s></s>[SEP]<|im_end|>",
            "\ufffe",
        ],
    )
    def test_text_of_any_kind_has_a_vector_or_none(self, embedder: Embedder, text: str) -> None:
        (length,) = np.linalg.norm(embedder.embed([text]), axis=1)
        assert length == pytest.approx(1.0, abs=1e-5) or length == 0

    @pytest.mark.parametrize("texts", ["one text", b"bytes"])
    def test_a_single_text_is_told(self, embedder: Embedder, texts: str) -> None:
        with pytest.raises(InputError, match=r"write embed\(\[text\]\)"):
            embedder.embed(texts)

    @pytest.mark.parametrize("wrong", [None, 3, b"bytes", ["nested"]])
    def test_what_is_no_text_is_told_with_its_place(self, embedder: Embedder, wrong: str) -> None:
        with pytest.raises(InputError, match=rf"texts\[1\] is of the type {type(wrong).__name__}"):
            embedder.embed(["a", wrong])

    def test_threads_may_share_it(self, embedder: Embedder) -> None:
        expected = embedder.embed(TEXTS)

        def embed(number: int) -> FloatMatrix:
            return np.roll(embedder.embed(TEXTS[number:] + TEXTS[:number]), number, axis=0)

        with ThreadPoolExecutor(4) as pool:
            for found in pool.map(embed, range(len(TEXTS))):
                self.assert_same(found, expected)

    def test_like_meanings_lie_closer(self, embedder: Embedder) -> None:
        if not self.knows_english:
            pytest.skip("not made from any text")
        vectors = embedder.embed(["science fiction film", "space movie", "cookbook", "vegetarian recipes"])
        film, movie, cookbook, recipes = vectors
        assert film @ movie > max(film @ cookbook, film @ recipes) + 0.02
        assert cookbook @ recipes > max(cookbook @ film, cookbook @ movie)

    def test_closing_twice_is_allowed_and_using_it_afterwards_is_not(
        self, embedder_to_close: Embedder
    ) -> None:
        embedder_to_close.close()
        embedder_to_close.close()
        with pytest.raises(ModelError, match="was closed: open it again"):
            embedder_to_close.embed(TEXTS)
