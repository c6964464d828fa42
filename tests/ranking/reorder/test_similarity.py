from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.behavior.events import Item
from llmrec.errors import InputError
from llmrec.ranking.reorder.similarity import (
    category_similarity,
    vector_similarity,
    word_similarity,
)
from tests.builders import SHOP
from tests.ranking.reorder.builders import film


def test_words_are_compared_by_tf_idf_as_by_hand() -> None:
    items = [film("a", title="red red fox"), film("b", title="red hen"), film("c", title="blue jay")]
    common, rare = math.log(4 / 3) + 1, math.log(4 / 2) + 1
    first = math.sqrt((2 * common) ** 2 + rare**2)
    second = math.sqrt(common**2 + rare**2)
    expected = 2 * common * common / (first * second)
    found = word_similarity(items)(items, items)
    assert found == pytest.approx(np.array([[1, expected, 0], [expected, 1, 0], [0, 0, 1]]))
    assert word_similarity(items)(items[:1], items[1:]) == pytest.approx(np.array([[expected, 0]]))


def test_words_nobody_had_are_the_rarest_and_items_without_words_are_alone() -> None:
    similarity = word_similarity([film("a", title="red fox")])
    new, empty = film("n", title="grey wolf"), film("e", title="the !")
    assert similarity([new, empty], [new, empty]) == pytest.approx(np.array([[1, 0], [0, 0]]))


def test_chinese_phones_are_alike_and_a_phone_and_a_teapot_are_not() -> None:
    items = [Item.model_validate(item) for item in SHOP]
    at = {item.id: number for number, item in enumerate(items)}
    found = word_similarity(items)(items, items)
    assert found[at["mi14"], at["redmi"]] > found[at["mi14"], at["gree"]]
    assert found[at["gree"], at["midea"]] > 0.2
    assert found[at["mi14"], at["tea"]] == 0


def test_categories_are_compared_by_what_both_have() -> None:
    one, other = film("a", "Horror", "Comedy"), film("b", "horror", "Drama", "Ｄrama")
    none = film("c")
    expected = [[1, 1 / 3, 0], [1 / 3, 1, 0], [0, 0, 0]]
    assert category_similarity([one, other, none], [one, other, none]) == pytest.approx(np.array(expected))


def test_vectors_are_compared_by_their_cosine() -> None:
    similarity = vector_similarity(
        {"a": np.array([1.0, 0.0]), "b": np.array([0.6, 0.8]), "c": np.array([-1.0, 0.0])}
    )
    items = [film("a"), film("b"), film("c"), film("unknown")]
    assert similarity(items[:1], items) == pytest.approx(np.array([[1.0, 0.6, 0.0, 0.0]]))
    assert vector_similarity({})(items, items).tolist() == np.zeros((4, 4)).tolist()


@pytest.mark.parametrize(
    "vectors",
    [
        {"a": np.array([1.0]), "b": np.array([1.0, 0.0])},
        {"a": np.array([[1.0]])},
        {"a": np.array([np.nan])},
    ],
)
def test_vectors_that_cannot_be_compared_are_refused(vectors: dict[str, np.ndarray]) -> None:
    with pytest.raises(InputError):
        vector_similarity(vectors)


titles = st.text(alphabet="ab cd红米手", max_size=12).map(lambda text: f"x {text}")


@given(st.lists(st.tuples(titles, st.lists(st.sampled_from("pqrs"))), max_size=8))
def test_similarities_are_symmetric_from_zero_to_one(given_items: list[tuple[str, list[str]]]) -> None:
    items = [film(f"i{at}", *own, title=title) for at, (title, own) in enumerate(given_items)]
    for similarity in (word_similarity(items), category_similarity):
        found = similarity(items, items)
        assert found.shape == (len(items), len(items))
        assert found == pytest.approx(found.T)
        assert ((found >= 0) & (found <= 1)).all()
        for at, item in enumerate(items):
            same = [
                other
                for other, one in enumerate(items)
                if one.title == item.title and one.categories == item.categories
            ]
            if found[at, at] > 0:
                assert found[at, same] == pytest.approx(1.0)
