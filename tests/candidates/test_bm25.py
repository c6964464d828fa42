"""BM25 over items: what a word is, and scores against a BM25 written out here."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.behavior.events import Item
from llmrec.candidates.bm25 import Bm25Index, item_text, tokenize


def items(*texts: str) -> list[Item]:
    return [Item(id=str(number), title=text) for number, text in enumerate(texts)]


def bm25_by_hand(documents: list[list[str]], query: list[str]) -> list[float]:
    """Robertson's BM25 as Lucene counts it: k1 = 1.2, b = 0.75, and no negative idf."""
    average = sum(len(document) for document in documents) / len(documents)
    scores = []
    for document in documents:
        counts = Counter(document)
        score = 0.0
        for word in query:
            holding = sum(word in other for other in documents)
            if not holding:
                continue
            idf = math.log(1 + (len(documents) - holding + 0.5) / (holding + 0.5))
            length = 1 - 0.75 + 0.75 * len(document) / average
            score += idf * counts[word] / (counts[word] + 1.2 * length)
        scores.append(score)
    return scores


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Slow, thoughtful Science-Fiction", ["slow", "thoughtful", "science", "fiction"]),
        ("the films of the glass bus", ["film", "glass", "bus"]),
        ("小米手机", ["小米", "米手", "手机"]),
        ("书", ["书"]),
        ("小米14手机 Pro", ["小米", "14", "手机", "pro"]),
        ("ひらがな", ["ひら", "らが", "がな"]),
        ("ｶﾞﾗｽ", ["ｶﾞ", "ﾞﾗ", "ﾗｽ"]),
        ("조용한 영화 2편", ["조용", "용한", "영화", "2", "편"]),
        ("𠮷野家", ["𠮷野", "野家"]),
        ("", []),
        ("!!! 🎬", []),
    ],
)
def test_words_and_pairs_of_characters(text: str, tokens: list[str]) -> None:
    assert tokenize(text) == tokens


def test_all_the_words_of_an_item_count() -> None:
    item = Item(
        id="1",
        title="Alien",
        description="A crew",
        categories=("Horror",),
        attributes={"director": "Ridley Scott"},
        domain="films",
    )
    assert set(tokenize(item_text(item))) == {"alien", "crew", "horror", "ridley", "scott", "film"}


def test_scores_are_those_worked_by_hand() -> None:
    texts = ["space ship ship", "space opera", "garden tools for the garden", "ship models of a space ship"]
    documents = [tokenize(text) for text in texts]
    for query in ("ship", "space ship", "space space garden", "opera house"):
        assert Bm25Index(items(*texts)).scores(query) == pytest.approx(
            bm25_by_hand(documents, tokenize(query)), rel=1e-5
        )


words = st.lists(st.sampled_from(["red", "green", "blue", "black", "white"]), min_size=1, max_size=6)


@given(st.lists(words, min_size=1, max_size=6), words)
def test_scores_are_those_worked_by_hand_for_any_texts(documents: list[list[str]], query: list[str]) -> None:
    found = Bm25Index(items(*(" ".join(document) for document in documents))).scores(" ".join(query))
    assert found == pytest.approx(bm25_by_hand(documents, query), rel=1e-4, abs=1e-6)
    assert found.dtype == np.float32


def test_chinese_is_found_by_pairs_of_characters() -> None:
    index = Bm25Index(items("小米14 手机", "格力空调 1.5匹", "红米手机壳"))
    phones = index.scores("想买手机")
    assert phones[0] > 0
    assert phones[2] > 0
    assert phones[1] == 0
    assert index.scores("空调扇").argmax() == 1


@pytest.mark.parametrize("query", ["", "the of", "zebra", "🎬", "大象"])
def test_without_common_words_all_scores_are_zero(query: str) -> None:
    scores = Bm25Index(items("space ship", "手机")).scores(query)
    assert scores.tolist() == [0.0, 0.0]


def test_an_empty_catalogue_and_items_without_words_are_no_error() -> None:
    assert Bm25Index([]).scores("ship").shape == (0,)
    assert len(Bm25Index([])) == 0
    assert Bm25Index(items("!!!", "???")).scores("ship").tolist() == [0.0, 0.0]
    half = Bm25Index(items("!!!", "ship")).scores("ship")
    assert half[0] == 0
    assert half[1] > 0


def test_a_huge_description_is_read_from_its_beginning() -> None:
    item = Item(id="1", title="ship", description="word " * 50_000 + "needle")
    index = Bm25Index([item, Item(id="2", title="needle")])
    assert index.scores("needle")[0] == 0
    assert index.scores("ship")[0] > 0
