"""The matrix of items and interests, against items small enough to check by hand."""

from __future__ import annotations

import numpy as np
import pytest

from llmrec.behavior.events import Item
from llmrec.interests.taxonomy import Vocabulary, VocabularyNode
from llmrec.ranking import catalog_interests
from llmrec.ranking.catalog_interests import CatalogInterests
from llmrec.ranking.lexical import InterestMatcher

VOCABULARY = Vocabulary(
    [
        VocabularyNode(id="films", en="Films"),
        VocabularyNode(id="films/horror", parent="films", en="Horror"),
        VocabularyNode(id="films/horror/zombies", parent="films/horror", en="Zombies"),
        VocabularyNode(id="films/horror/ghosts", parent="films/horror", en="Ghosts"),
        VocabularyNode(id="films/war", parent="films", en="War"),
        VocabularyNode(id="films/director", parent="films", en="Directors", attribute="director"),
        VocabularyNode(id="music", en="Music"),
    ]
)


def film(number: int, *categories: str) -> Item:
    return Item(id=f"f{number}", title=f"Film {number}", domain="films", categories=categories)


def read(*items: Item) -> CatalogInterests:
    return CatalogInterests(items, InterestMatcher(VOCABULARY), VOCABULARY)


def test_rows_are_items_and_columns_the_interests_they_belong_to() -> None:
    found = read(film(0, "Horror", "Zombies"), film(1, "War"), film(2, "Horror"))
    assert found.ids == ("films", "films/horror", "films/horror/zombies", "films/war")
    assert ((found.shares > 0) == np.array([[1, 1, 1, 0], [1, 0, 0, 1], [1, 1, 0, 0]])).all()
    assert found.item_shares == pytest.approx([1, 2 / 3, 1 / 3, 1 / 3])
    assert [found.ids[column] for column in found.way(2)] == ["films", "films/horror", "films/horror/zombies"]


def test_shares_are_those_the_ranking_uses() -> None:
    from tests.interests.made_profiles import made_profile

    items = [film(0, "Horror", "Zombies"), film(1, "War")]
    matcher = InterestMatcher(VOCABULARY)
    found = CatalogInterests(items, matcher, VOCABULARY)
    profile = made_profile(
        [{"text": "a", "action": "say"}, {"item_id": "b", "action": "dislike"}],
        [["films/horror/zombies"], ["films/war"]],
    )
    balances = np.array([profile.hierarchy[i].balance if i in profile.hierarchy else 0 for i in found.ids])
    ranked = [sum(part.amount for part in matcher.contributions(profile.hierarchy, item)) for item in items]
    assert found.shares @ balances == pytest.approx(ranked)


def test_all_pairs_of_a_small_catalogue_are_compared_once() -> None:
    found = read(*(film(number, "Horror") for number in range(4)))
    assert sorted(map(tuple, found.pairs.tolist())) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    assert not found.pair_differences.any()


def test_of_a_large_catalogue_a_sample_is_read_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog_interests, "MAX_ITEMS", 10)
    monkeypatch.setattr(catalog_interests, "MAX_PAIRS", 20)
    found = read(*(film(number, "Horror" if number % 2 else "War") for number in range(25)))
    assert len(found.shares) == 9
    assert len(found.pairs) <= 20
    assert (found.pairs[:, 0] != found.pairs[:, 1]).all()
    assert found.item_shares[found.ids.index("films/horror")] == pytest.approx(4 / 9)


def test_the_narrower_interests_that_part_the_items_best_come_first() -> None:
    items = [
        film(0, "Zombies"),
        film(1, "Zombies"),
        film(2, "Zombies"),
        film(3, "Zombies", "Ghosts"),
        film(4, "Ghosts"),
        film(5, "Horror"),
        film(6, "War"),
    ]
    found = read(*items)

    def ids(interest_id: str, most: int = 4, **options: list[str]) -> list[str]:
        return [node.id for node in found.best_splits(interest_id, VOCABULARY, most, **options)]

    # Of the six horror films four are of zombies, two of ghosts: alike, so the vocabulary's order holds.
    assert ids("films/horror") == ["films/horror/zombies", "films/horror/ghosts"]
    assert ids("films/horror", 1) == ["films/horror/zombies"]
    assert ids("films/horror", without=["films/horror/zombies"]) == ["films/horror/ghosts"]
    assert ids("films/war") == []
    assert ids("music") == []


def test_what_all_items_of_an_interest_share_is_no_choice() -> None:
    found = read(film(0, "Zombies"), film(1, "Zombies"), film(2, "War"))
    assert found.best_splits("films/horror", VOCABULARY, 4) == []


def test_an_empty_catalogue_has_no_interests() -> None:
    found = read()
    assert found.ids == ()
    assert found.shares.shape == (0, 0)
    assert len(found.pairs) == 0
