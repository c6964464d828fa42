"""How near interests lie to each other, against distances counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.interests.neighbourhood import Neighbourhood, OwnInterest, own_interests, vocabulary_id
from llmrec.interests.taxonomy import Vocabulary, VocabularyNode
from tests.interests.extraction_tools import ToldEmbedder
from tests.interests.made_profiles import made_profile

VOCABULARY = Vocabulary(
    [
        VocabularyNode(id="films", en="Films"),
        VocabularyNode(id="films/horror", parent="films", en="Horror"),
        VocabularyNode(id="films/horror/zombies", parent="films/horror", en="Zombies"),
        VocabularyNode(id="films/scifi", parent="films", en="Science fiction"),
        VocabularyNode(id="films/scifi/space", parent="films/scifi", en="Space opera"),
        VocabularyNode(id="phones", en="Phones", zh="手机"),
        VocabularyNode(id="phones/brand", parent="phones", en="Brand", attribute="brand"),
        VocabularyNode(id="phones/brand/vivo", parent="phones/brand", en="vivo"),
    ]
)
IDS = [node.id for node in VOCABULARY]


def own(node_id: str | None, balance: float = 1.0, path: tuple[str, ...] = ("X",)) -> OwnInterest:
    return OwnInterest(node_id or "own", node_id, path[-1], path, balance, narrow=True)


def test_each_step_in_the_tree_halves_closeness_and_areas_are_apart() -> None:
    near = Neighbourhood(VOCABULARY).closeness([own("films/horror")])[:, 0]
    found = dict(zip(IDS, near, strict=True))
    assert found["films/horror"] == 1
    assert found["films"] == found["films/horror/zombies"] == 1 / 2
    assert found["films/scifi"] == 1 / 4
    assert found["films/scifi/space"] == 1 / 8
    assert found["phones"] == found["phones/brand/vivo"] == 0


@given(st.lists(st.sampled_from(IDS), min_size=1, max_size=6))
def test_closeness_is_between_0_and_1_and_symmetric(chosen: list[str]) -> None:
    near = Neighbourhood(VOCABULARY).closeness([own(node_id) for node_id in IDS])
    assert np.array_equal(near, near.T)
    rows = [IDS.index(node_id) for node_id in chosen]
    assert ((near[rows] >= 0) & (near[rows] <= 1)).all()
    assert (near.max(axis=1) == 1).all()


def test_names_bring_areas_together_and_place_what_the_vocabulary_does_not_know() -> None:
    embedder = ToldEmbedder({"zombies": [1], "undead": [1], "phones": [0, 1]})
    neighbourhood = Neighbourhood(VOCABULARY, embedder)
    unknown = neighbourhood.closeness([own(None, path=("Undead",))])[:, 0]
    assert int(np.argmax(unknown)) == IDS.index("films/horror/zombies")
    assert unknown[IDS.index("phones")] == 0
    known = neighbourhood.closeness([own("phones")])[:, 0]
    assert known[IDS.index("phones")] == pytest.approx(1.0)
    assert known[IDS.index("phones/brand")] == pytest.approx(0.5 * 0.5 + 0.5 * 1.0)


def test_without_an_embedder_an_unknown_interest_is_near_to_nothing() -> None:
    assert not Neighbourhood(VOCABULARY).closeness([own(None)]).any()


def test_own_interests_are_known_by_id_or_by_name_and_places_for_facts_are_none() -> None:
    profile = made_profile(
        [{"text": "a", "action": "say"}, {"text": "b", "action": "say"}],
        [["phones/brand/vivo", "cinema/horror"], ["cinema/mine"]],
    )
    found = {one.id: one for one in own_interests(profile, VOCABULARY)}
    assert found["cinema/horror"].node_id == "films/horror"
    assert found["cinema/mine"].node_id is None
    assert "phones/brand" not in found
    assert found["phones/brand/vivo"].narrow
    assert not found["phones"].narrow
    assert found["cinema/horror"].path == ("Cinema", "Horror")


def test_a_name_that_means_several_things_is_not_known() -> None:
    twice = Vocabulary(
        [
            VocabularyNode(id="films", en="Films"),
            VocabularyNode(id="films/horror", parent="films", en="Horror"),
            VocabularyNode(id="books", en="Books"),
            VocabularyNode(id="books/horror", parent="books", en="Horror"),
        ]
    )
    assert vocabulary_id("x", "Horror", twice) is None
    assert vocabulary_id("books/horror", "anything", twice) == "books/horror"
    assert vocabulary_id("x", "films", twice) == "films"
