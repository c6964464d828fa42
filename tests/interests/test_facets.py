"""Facets: one set of weights as dimensions, as a sparse vector and as a dense one; and fusion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from llmrec.errors import InputError, ModelError
from llmrec.interests.edits import Move, Rename
from llmrec.interests.facets import Facets, facets, fuse, path_text
from llmrec.interests.hierarchy import InterestHierarchy
from llmrec.interests.profile import InterestProfile
from llmrec.interests.taxonomy import Vocabulary, VocabularyNode
from llmrec.llm.embedder import FloatMatrix, unit_rows
from tests.builders import interest
from tests.interests.made_profiles import film_lover, forests, made_profile

VOCABULARY = Vocabulary(
    [
        VocabularyNode(id="books", en="Books", zh="图书"),
        VocabularyNode(id="ai", en="Artificial intelligence", zh="人工智能"),
        VocabularyNode(id="ai/deep", parent="ai", en="Deep learning", zh="深度学习"),
        VocabularyNode(id="ai/rules", parent="ai", en="Rules", zh="规则"),
    ]
)
HIERARCHY = InterestHierarchy(
    interests=(
        interest("ai", label="人工智能", weight=0.8),
        interest("ai/deep", label="深度学习", weight=0.7),
        interest("ai/lecun", label="杨立昆", weight=0.25),
        interest("ai/rules", label="规则", weight=0.3, polarity="negative"),
        interest("books", label="图书", weight=0.004),
    )
)


class LetterEmbedder:
    """Counts letters, so that a test can tell what was embedded."""

    name = "letters"
    fingerprint = "letters"
    dimensions = 8
    languages: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.read: list[str] = []

    def embed(self, texts: Sequence[str]) -> FloatMatrix:
        self.read += texts
        rows = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for letter in text:
                row[ord(letter) % self.dimensions] += 1
        return unit_rows(rows)

    def close(self) -> None:
        """Nothing to free."""


def profile_with(hierarchy: InterestHierarchy) -> InterestProfile:
    return film_lover().model_copy(update={"hierarchy": hierarchy, "predicted": ()})


def found_in(hierarchy: InterestHierarchy, **options: Any) -> Facets:
    return facets(profile_with(hierarchy), vocabulary=VOCABULARY, **options)


def test_the_line_of_dimensions() -> None:
    found = found_in(HIERARCHY)
    assert found.text(2) == "人工智能: 0.8, 深度学习: 0.7"
    assert found.text() == "人工智能: 0.8, 深度学习: 0.7, 规则: -0.3, 杨立昆: 0.25"
    assert found.text(most=4, language="en") == (
        "Artificial intelligence: 0.8, Deep learning: 0.7, Rules: -0.3, 杨立昆: 0.25"
    )
    with pytest.raises(InputError, match="at least one"):
        found.text(0)


def test_two_of_one_label_are_told_apart_by_their_paths() -> None:
    hierarchy = InterestHierarchy(
        interests=(
            interest("ai", weight=0.4),
            interest("ai/deep", label="Deep", weight=0.2),
            interest("sea", weight=0.5),
            interest("sea/deep", label="Deep", weight=0.3),
        )
    )
    assert found_in(hierarchy).text() == "Sea: 0.5, Ai: 0.4, Sea › Deep: 0.3, Ai › Deep: 0.2"


def test_the_sparse_vector_follows_the_vocabulary() -> None:
    found = found_in(HIERARCHY)
    assert found.sparse == {0: 0.004, 1: 0.8, 2: 0.7, 3: -0.3}
    assert found.labels == {"ai/lecun": 0.25}
    assert found.as_array().tolist() == pytest.approx([0.004, 0.8, 0.7, -0.3])
    assert found.as_array().dtype == np.float32


def test_a_label_that_names_one_thing_of_the_vocabulary_has_its_place() -> None:
    hierarchy = InterestHierarchy(
        interests=(
            interest("written", label="Deep Learning", weight=0.5),
            interest("also", label="深度学习", weight=0.25),
            interest("ai", label="AI", weight=0.1),
            interest("twin", label="人工智能", weight=0.9),
        )
    )
    found = found_in(hierarchy)
    assert found.sparse == {2: 0.5, 1: 0.1}
    assert found.labels == {"twin": 0.9, "also": 0.25}
    assert list(found.sparse) == [2, 1]


def test_the_dense_vector_is_the_weighted_sum_of_the_paths() -> None:
    embedder = LetterEmbedder()
    found = found_in(HIERARCHY, embedder=embedder)
    assert embedder.read[:2] == ["人工智能", "人工智能, 深度学习"]
    assert found.dense is not None
    vectors = LetterEmbedder().embed([path_text(one.path) for one in found.dimensions])
    by_hand = sum(one.value * vector for one, vector in zip(found.dimensions, vectors, strict=True))
    assert found.dense == pytest.approx(by_hand / np.linalg.norm(by_hand), abs=1e-6)
    assert found.dense.dtype == np.float32


@given(forests())
def test_all_three_say_the_same(hierarchy: InterestHierarchy) -> None:
    ids = [found.id for found in hierarchy.interests]
    known = [VocabularyNode(id=i, en="a word of its own") for i in sorted(ids)[::2]]
    vocabulary = Vocabulary([VocabularyNode(id="a node of its own", en="a word of its own"), *known])
    found = facets(profile_with(hierarchy), vocabulary=vocabulary, embedder=LetterEmbedder())
    assert {one.interest_id for one in found.dimensions} == set(ids)
    sizes = [abs(one.value) for one in found.dimensions]
    assert sizes == sorted(sizes, reverse=True)
    # The sparse vector and the labels outside of it hold the values, in the order of the dimensions.
    places = {node.id: place for place, node in enumerate(vocabulary)}
    inside = [one for one in found.dimensions if one.interest_id in places]
    assert list(found.sparse.items()) == [(places[one.interest_id], one.value) for one in inside]
    outside = [one for one in found.dimensions if one.interest_id not in places]
    assert list(found.labels.items()) == [(one.interest_id, one.value) for one in outside]
    array = found.as_array()
    assert array.shape == (len(vocabulary),)
    assert {p: array[p] for p in np.flatnonzero(array)} == {
        p: np.float32(value) for p, value in found.sparse.items() if np.float32(value)
    }
    # The dense vector is the sum made from them.
    assert found.dense is not None
    values = {**{node.id: found.sparse.get(places[node.id]) for node in vocabulary}, **found.labels}
    summed = np.zeros(8)
    for interest_id in ids:
        summed += (values[interest_id] or 0.0) * LetterEmbedder().embed(
            [path_text(hierarchy.path(interest_id))]
        )[0]
    length = float(np.linalg.norm(summed))
    assume(length > 1e-3 or length == 0)
    expected = summed / length if length else summed
    assert found.dense == pytest.approx(expected, abs=1e-4)


def test_what_nobody_did_has_no_facets() -> None:
    found = found_in(InterestHierarchy(), embedder=LetterEmbedder())
    assert found.dimensions == ()
    assert found.text() == ""
    assert found.dense is not None
    assert not found.dense.any()
    assert not found.as_array().any()
    with pytest.raises(InputError, match="no interests to fuse"):
        found_in(InterestHierarchy(), other=[1.0])


def test_a_profile_gives_its_facets_over_the_shipped_vocabulary() -> None:
    profile = film_lover()
    found = profile.facets()
    shipped = Vocabulary.load()
    assert len(found.as_array()) == len(shipped)
    place = [node.id for node in shipped].index("films")
    assert found.sparse[place] == profile.hierarchy["films"].weight
    assert found.labels["films/scifi"] == profile.hierarchy["films/scifi"].weight
    assert found.dense is None
    assert found.fused is None
    assert profile.facets(other=[3.0, 4.0]).fused is not None


def test_the_other_vector_stands_beside_the_dense_one_or_else_the_sparse_one() -> None:
    beside_sparse = found_in(HIERARCHY, other=[3.0, 4.0], share=0.64)
    assert beside_sparse.fused is not None
    assert beside_sparse.fused == pytest.approx(fuse(beside_sparse.as_array(), [3.0, 4.0], 0.64), abs=1e-6)
    assert beside_sparse.fused[4:].tolist() == pytest.approx([0.36, 0.48])
    beside_dense = found_in(HIERARCHY, other=[3.0, 4.0], embedder=LetterEmbedder())
    assert beside_dense.fused is not None
    assert beside_dense.fused[:8] == pytest.approx(math.sqrt(0.5) * np.asarray(beside_dense.dense), abs=1e-6)


vectors = st.lists(st.floats(-100, 100, width=32), min_size=3, max_size=3).filter(
    lambda numbers: max(abs(number) for number in numbers) > 1e-3
)


def cosine(one: Sequence[float], two: Sequence[float]) -> float:
    return float(np.dot(one, two) / (np.linalg.norm(one) * np.linalg.norm(two)))


@given(vectors, vectors, vectors, vectors, st.floats(0, 1))
def test_the_dot_product_of_fused_vectors_is_the_mean_of_both_cosines(
    person: list[float], item: list[float], person_beside: list[float], item_beside: list[float], share: float
) -> None:
    fused_person, fused_item = fuse(person, person_beside, share), fuse(item, item_beside, share)
    expected = share * cosine(person, item) + (1 - share) * cosine(person_beside, item_beside)
    assert float(fused_person @ fused_item) == pytest.approx(expected, abs=1e-5)
    assert float(np.linalg.norm(fused_person)) == pytest.approx(1, abs=1e-5)
    assert fused_person.dtype == np.float32


@pytest.mark.parametrize(
    ("given_vector", "part"),
    [
        ([0.0, math.nan], "not finite"),
        ([math.inf, 1.0], "not finite"),
        ([0.0, 0.0], "all zeros"),
        ([], "shape"),
        ([[1.0, 2.0]], "shape"),
        (3.0, "shape"),
        (["a"], "numbers alone"),
        ([[1.0], [1.0, 2.0]], "numbers alone"),
        (None, "shape|not finite|numbers alone"),
    ],
)
def test_what_cannot_be_fused(given_vector: Any, part: str) -> None:
    with pytest.raises(InputError, match=f"'other'.*({part})"):
        fuse([1.0, 2.0], given_vector)
    with pytest.raises(InputError, match=f"'interests'.*({part})"):
        fuse(given_vector, [1.0, 2.0])


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_a_share_that_is_none(share: float) -> None:
    with pytest.raises(InputError, match="from 0 to 1"):
        fuse([1.0], [1.0], share)


@pytest.mark.parametrize("size", [1e300, 1e-300])
def test_no_length_is_too_large_or_too_small(size: float) -> None:
    assert fuse([size, size], [1.0], 0.5)[:2].tolist() == pytest.approx([0.5, 0.5])


def test_a_like_interest_lies_nearer_with_a_real_embedder() -> None:
    pytest.importorskip("wordllama")
    pytest.importorskip("tokenizers")
    from llmrec.llm.static_embedder import StaticEmbedder

    try:
        embedder = StaticEmbedder()
    except ModelError as error:
        pytest.skip(str(error))
    names = {"f": "Films", "f/h": "Horror films", "c": "Cooking", "c/b": "Baking bread"}

    def dense(path: str) -> Any:
        profile = made_profile([{"text": "x", "action": "say"}], [[path]], names=names)
        return profile.facets(embedder=embedder).dense

    zombies = embedder.embed(["a film about zombies"])[0]
    assert dense("f/h") @ zombies > dense("c/b") @ zombies + 0.1


def test_in_another_language_what_the_person_named_keeps_their_name() -> None:
    names = {"ai": "Artificial intelligence", "ai/deep": "Deep learning", "ai/rules": "Rules"}
    profile = made_profile([{"text": "x", "action": "say"}] * 2, [["ai/deep", "ai/rules"]] * 2, names=names)
    renamed = profile.edited(Rename(interest="ai/deep", label="My networks"))
    said = facets(renamed, vocabulary=VOCABULARY).text(language="zh")
    assert "My networks" in said
    assert "深度学习" not in said
    assert "规则" in said
    assert "人工智能" in said
    twice = renamed.edited(Rename(interest="ai/rules", label="My networks"))
    assert "人工智能 › My networks" in facets(twice, vocabulary=VOCABULARY).text(language="zh")
    moved = twice.edited(Move(interest="ai/rules"))
    assert ", My networks" in facets(moved, vocabulary=VOCABULARY).text(language="zh")
