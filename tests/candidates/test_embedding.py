"""The embedding index over a small embedder whose vectors a person can check."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from llmrec.behavior.events import Item
from llmrec.candidates.bm25 import item_text
from llmrec.candidates.embedding import EMBEDDED_AT_ONCE, EmbeddingIndex
from llmrec.errors import InputError
from llmrec.llm.embedder import FloatMatrix, unit_rows

TOPICS = ["ship", "garden", "手机", "shop"]


class TopicEmbedder:
    """Counts a few words; writes down what it was asked."""

    name = fingerprint = "topics"
    dimensions = len(TOPICS)
    languages = ("en", "zh")

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def embed(self, texts: Sequence[str]) -> FloatMatrix:
        self.batches.append(list(texts))
        counts = [[text.count(topic) for topic in TOPICS] for text in texts]
        return unit_rows(np.array(counts, dtype=np.float32).reshape(len(texts), len(TOPICS)))

    def close(self) -> None:
        pass


def items(*titles: str) -> list[Item]:
    return [Item(id=str(at), title=title) for at, title in enumerate(titles)]


def test_cosines_without_the_common_part_are_the_embedders_own() -> None:
    index = EmbeddingIndex(
        TopicEmbedder(), items("ship", "garden ship", "手机壳", "nothing"), remove_common=False
    )
    found = index.cosines(["ship", "买手机", "nothing known"])
    assert found == pytest.approx(np.array([[1, 0.5**0.5, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]), abs=1e-6)
    assert index.cosines(["ship"], columns=[2, 1, 1]) == pytest.approx(
        np.array([[0, 0.5**0.5, 0.5**0.5]]), abs=1e-6
    )


def test_scores_weigh_the_texts() -> None:
    index = EmbeddingIndex(TopicEmbedder(), items("ship", "garden"), remove_common=False)
    assert index.scores(["ship", "garden"], [3, 1]) == pytest.approx([0.75, 0.25])
    assert index.scores(["ship", "garden"], aggregate="max") == pytest.approx([1, 1])
    assert index.scores(["ship"], [1], columns=[1]) == pytest.approx([0])


def test_the_common_part_is_the_mean_and_the_first_component() -> None:
    kinds = ["ship shop", "garden shop", "手机 shop", "ship garden shop", "ship 手机 shop shop", "garden"]
    titles = kinds * 9
    embedder = TopicEmbedder()
    raw = embedder.embed(titles)
    centred = raw - raw.mean(axis=0)
    first = np.linalg.svd(centred)[2][0]
    rest = centred - np.outer(centred @ first, first)
    expected = unit_rows(rest.astype(np.float32))
    found = EmbeddingIndex(embedder, items(*titles)).cosines(titles)
    assert found == pytest.approx(expected @ expected.T, abs=1e-4)


def test_of_few_items_nothing_is_removed() -> None:
    """Of four, what they have in common is what they are."""
    few = items("ship shop", "garden shop", "手机 shop", "ship garden shop")
    as_they_are = EmbeddingIndex(TopicEmbedder(), few, remove_common=False)
    assert EmbeddingIndex(TopicEmbedder(), few).cosines(["ship"]) == pytest.approx(
        as_they_are.cosines(["ship"])
    )


def test_what_is_unknown_stays_unknown_after_the_common_part_is_removed() -> None:
    index = EmbeddingIndex(
        TopicEmbedder(), items(*["ship", "garden", "手机", "nothing", "shop", "ship shop"] * 10)
    )
    found = index.cosines(["nothing known", "ship"])
    assert not found[0].any()
    assert found[1, 3] == 0
    assert found[1, 0] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("remove_common", [True, False])
def test_equal_items_say_nothing_wrong(remove_common: bool) -> None:
    found = EmbeddingIndex(TopicEmbedder(), items("ship", "ship", "ship"), remove_common=remove_common)
    assert np.isfinite(found.cosines(["ship", "garden"])).all()


def test_items_are_embedded_once_when_needed_in_batches() -> None:
    embedder = TopicEmbedder()
    index = EmbeddingIndex(embedder, items(*(f"ship {at}" for at in range(1200))), remove_common=False)
    assert embedder.batches == []
    index.cosines(["garden"], columns=[5, 7, 5])
    assert [[text.strip() for text in batch] for batch in embedder.batches] == [
        ["ship 5", "ship 7"],
        ["garden"],
    ]
    assert sum(map(len, embedder.batches)) == 3
    index.cosines(["garden"])
    assert max(map(len, embedder.batches)) <= EMBEDDED_AT_ONCE
    assert sum(map(len, embedder.batches)) == 1200 + 2
    before = len(embedder.batches)
    index.cosines(["ship"], columns=[0])
    assert embedder.batches[before:] == [["ship"]]


def test_the_sample_that_shows_the_common_part_is_embedded_once() -> None:
    embedder = TopicEmbedder()
    index = EmbeddingIndex(embedder, items("ship", "garden", "手机", "shop"))
    index.cosines(["ship"])
    index.cosines(["ship"])
    assert [len(batch) for batch in embedder.batches] == [4, 1, 1]


def test_the_text_of_an_item_needs_no_embedding_again() -> None:
    embedder = TopicEmbedder()
    given = items("ship", "garden")
    index = EmbeddingIndex(embedder, given, remove_common=False)
    index.cosines([item_text(given[1])])
    assert sum(map(len, embedder.batches)) == 2


def test_the_vectors_of_texts_are_made_as_those_of_items() -> None:
    given = items("ship", "garden", "手机", "shop ship")
    index = EmbeddingIndex(TopicEmbedder(), given)
    texts = [item_text(item) for item in given] + ["手机 ship", "nothing known"]
    vectors = index.vectors(texts)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 1, 1, 1, 0], abs=1e-5)
    assert index.cosines(texts) == pytest.approx(vectors @ vectors[:4].T, abs=1e-6)
    assert index.vectors([]).shape == (0, 4)
    assert EmbeddingIndex(TopicEmbedder(), []).vectors(["ship"]).shape == (1, 4)


def test_long_texts_are_cut() -> None:
    embedder = TopicEmbedder()
    index = EmbeddingIndex(embedder, items("ship " * 500), remove_common=False)
    index.cosines(["garden " * 500])
    assert {len(text) for batch in embedder.batches for text in batch} == {300}


def test_a_place_that_is_not_there_is_told() -> None:
    with pytest.raises(InputError, match="places from 0 to 1"):
        EmbeddingIndex(TopicEmbedder(), items("ship", "garden")).cosines(["ship"], columns=[2])
