"""Vectors of words and meaning: what a dimension means does not depend on the catalogue."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from llmrec.behavior.events import Item
from llmrec.candidates.text_vectors import WORD_DIMENSIONS, TextVectors
from llmrec.llm.embedder import FloatMatrix


class OneTopic:
    """Knows of ships and of nothing else."""

    name = fingerprint = "one topic"
    dimensions = 2
    languages = ()

    def embed(self, texts: Sequence[str]) -> FloatMatrix:
        return np.array([[1.0, 0.0] if "ship" in text else [0.0, 0.0] for text in texts], dtype=np.float32)

    def close(self) -> None:
        pass


def items(*titles: str) -> list[Item]:
    return [Item(id=str(at), title=title) for at, title in enumerate(titles)]


CATALOG = items("red ship", "blue ship", "紫砂茶壶", "red kettle")


def test_words_and_meaning_stand_side_by_side() -> None:
    vectors = TextVectors.of_items(OneTopic(), CATALOG).vectors(["red ship", "red kettle"])
    assert vectors.shape == (2, 2 + WORD_DIMENSIONS)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1])
    assert vectors[0, 0] == pytest.approx(0.5**0.5)
    assert vectors[1, 0] == 0


def test_rare_words_weigh_more() -> None:
    vectors = TextVectors.of_items(None, CATALOG)
    red, kettle, both = vectors.vectors(["red", "kettle", "red kettle"])
    assert both @ kettle > both @ red > 0
    assert both @ kettle / (both @ red) == pytest.approx(np.log(4) / np.log(2))


def test_chinese_texts_share_words() -> None:
    vectors = TextVectors.of_items(None, CATALOG).vectors(["茶壶", "紫砂茶壶", "red ship"])
    assert vectors[0] @ vectors[1] > 0.3
    assert abs(vectors[0] @ vectors[2]) < 0.2


def test_a_dimension_means_the_same_in_another_catalogue() -> None:
    here = TextVectors.of_items(OneTopic(), CATALOG)
    there = TextVectors.of_items(OneTopic(), items("green ship", "tin drum", "kettle", "kettle stand"))
    for text in ("ship", "kettle", "茶壶"):
        one, other = here.vectors([text])[0], there.vectors([text])[0]
        assert (one != 0).tolist() == (other != 0).tolist()
    assert here.fingerprint == there.fingerprint
    assert here.fingerprint != TextVectors.of_items(None, CATALOG).fingerprint


def test_nothing_known_is_zero() -> None:
    vectors = TextVectors.of_items(OneTopic(), CATALOG)
    assert not vectors.vectors(["", "the of"]).any()
    assert vectors.vectors([]).shape == (0, 2 + WORD_DIMENSIONS)
    assert np.isfinite(TextVectors.of_items(None, []).vectors(["ship"])).all()
