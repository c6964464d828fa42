"""Which interests an item belongs to, by names, by words and by likeness."""

from __future__ import annotations

from typing import Any

import pytest

from llmrec.behavior.events import Catalog, Item
from llmrec.interests.hierarchy import InterestHierarchy
from llmrec.interests.own_words import OwnWords
from llmrec.interests.taxonomy import Vocabulary, VocabularyNode
from llmrec.ranking.context import person_context
from llmrec.ranking.lexical import InterestMatcher
from llmrec.recommender import Recommender
from tests.builders import DAY, NOON, interest, scoring_model
from tests.interests.extraction_tools import ToldEmbedder

ITEMS: list[dict[str, Any]] = [
    {"id": "alien", "title": "Alien", "categories": ["Horror"], "domain": "films"},
    {"id": "shining", "title": "The Shining hotel", "categories": ["Horror"], "domain": "films"},
    {"id": "hotel", "title": "Grand hotel", "categories": ["Comedy"], "domain": "films"},
    {"id": "plenty", "title": "Plenty", "categories": ["Cookbooks"], "domain": "books"},
]


def told(*what: tuple[str, str]) -> list[dict[str, Any]]:
    known = {item["id"] for item in ITEMS}
    return [
        {
            "user_id": "a",
            "id": f"e{at}",
            "action": action,
            "item_id" if thing in known else "text": thing,
            "timestamp": NOON + at * DAY,
        }
        for at, (action, thing) in enumerate(what, start=1)
    ]


def profile_of(*what: tuple[str, str]) -> Any:
    with Recommender(scoring_model(), ITEMS) as recommender:
        return recommender.profile(told(*what))


def test_an_item_belongs_to_interests_by_its_own_names() -> None:
    hierarchy = InterestHierarchy(
        interests=(
            interest("films", weight=0.6),
            interest("films/horror", weight=0.4),
            interest("films/comedy", weight=0.2, polarity="negative"),
        )
    )
    matcher = InterestMatcher(Vocabulary.load())
    alien, _, hotel, plenty = (Item.model_validate(item) for item in ITEMS)
    amounts = {part.id: part.amount for part in matcher.contributions(hierarchy, alien)}
    assert set(amounts) == {"films", "films/horror"}
    assert amounts["films"] > amounts["films/horror"] > 0.3
    disliked = {part.id: part.amount for part in matcher.contributions(hierarchy, hotel)}
    assert disliked["films/comedy"] < 0 < disliked["films"]
    assert matcher.contributions(hierarchy, plenty) == ()


def test_a_place_for_facts_is_nothing_to_have_in_common() -> None:
    hierarchy = InterestHierarchy(
        interests=(interest("phones"), interest("phones/brand"), interest("phones/brand/xiaomi"))
    )
    matcher = InterestMatcher(Vocabulary.load())
    other = Item(id="1", title="Galaxy", domain="phones", attributes={"brand": "Samsung"})
    same = Item(id="2", title="14", domain="phones", attributes={"brand": "小米"})
    assert {part.id for part in matcher.contributions(hierarchy, other)} == {"phones"}
    assert {part.id for part in matcher.contributions(hierarchy, same)} == {"phones", "phones/brand/xiaomi"}


def test_interests_of_the_models_own_match_by_their_words() -> None:
    hierarchy = InterestHierarchy(
        interests=(
            interest("quiet-hotels", label="Grand hotels"),
            interest("quiet-hotels/shining", label="Shining"),
            interest("spaceships", label="Spaceships"),
        )
    )
    matcher = InterestMatcher(Vocabulary.load())
    _, shining, hotel, _ = (Item.model_validate(item) for item in ITEMS)
    assert [part.id for part in matcher.contributions(hierarchy, hotel)] == ["quiet-hotels"]
    assert matcher.contributions(hierarchy, shining) == (), "what is below needs what is above"


NEAR: dict[str, list[float]] = {"horror": [1.0, 0.0], "ghosts": [1.0, 0.0], "comedy": [0.0, 1.0]}


def test_similarity_finds_an_interest_that_no_word_names() -> None:
    vocabulary = Vocabulary(
        VocabularyNode.model_validate(node)
        for node in ({"id": "horror", "en": "Horror"}, {"id": "comedy", "en": "Comedy"})
    )
    hierarchy = InterestHierarchy(interests=(interest("horror"), interest("comedy")))
    ghosts = Item(id="1", title="Ghosts")
    assert InterestMatcher(vocabulary).contributions(hierarchy, ghosts) == ()
    matcher = InterestMatcher(vocabulary, ToldEmbedder(NEAR))
    assert [part.id for part in matcher.contributions(hierarchy, ghosts)] == ["horror"]
    assert matcher.similarity is not None


def test_items_read_together_match_as_those_read_alone() -> None:
    hierarchy = InterestHierarchy(interests=(interest("films"), interest("films/horror")))
    items = [Item(id=str(at), title=f"Ghosts {at}", domain="films") for at in range(1200)]
    together, alone = (InterestMatcher(Vocabulary.load(), ToldEmbedder(NEAR)) for _ in range(2))
    told: list[tuple[int, int]] = []
    together.prepare(items, lambda done, total: told.append((done, total)))
    assert told == [(512, 1200), (1024, 1200), (1200, 1200)]
    for item in items[::300]:
        assert together.contributions(hierarchy, item) == alone.contributions(hierarchy, item) != ()
    told.clear()
    together.prepare(items, lambda done, total: told.append((done, total)))
    assert told == [], "they are known"


def test_an_item_with_a_persons_phrase_belongs_to_that_interest_and_what_is_above() -> None:
    catalog = Catalog(
        {"id": str(at), "title": f"Zorbo Quest {name}"} for at, name in enumerate(["One", "Two", "X"])
    )
    more = [Item(id=f"o{at}", title=f"Other {at}") for at in range(3)]
    own_words = OwnWords(Catalog([*catalog.values(), *more]))
    hierarchy = InterestHierarchy(
        interests=(interest("games"), interest("games/zorbo-quest", label="Renamed by hand"))
    )
    matcher = InterestMatcher(Vocabulary.load(), own_words=own_words)
    found = {part.id for part in matcher.contributions(hierarchy, Item(id="n", title="Zorbo Quest Five"))}
    assert found == {"games", "games/zorbo-quest"}
    assert matcher.contributions(hierarchy, Item(id="n", title="Quest of Zorbo")) == ()


def test_hints_count_for_the_items_that_share_them() -> None:
    items = [
        {
            "id": f"v{at}",
            "title": f"Film {name} ({year})",
            "domain": "films",
            "attributes": {"director": director},
        }
        for at, (name, year, director) in enumerate(
            [
                ("Uno", 1962, "Varda"),
                ("Dos", 1985, "Varda"),
                ("Tres", 1999, "Wong"),
                ("Quatro", 1968, "Lynch"),
            ]
        )
    ]
    items += [{"id": f"z{at}", "title": f"Zorbo Quest {name}"} for at, name in enumerate(["One", "Two"])]
    items += [{"id": f"o{at}", "title": f"Other {at}"} for at in range(9)]
    with Recommender(scoring_model(), items) as recommender:
        profile = recommender.profile(
            [
                {"user_id": "a", "action": "like", "item_id": "v0", "timestamp": NOON},
                {"user_id": "a", "action": "like", "item_id": "z0", "timestamp": NOON + DAY},
                {"user_id": "a", "action": "dislike", "item_id": "v2", "timestamp": NOON + 2 * DAY},
            ]
        )
    hints = {hint.id: hint.balance for hint in profile.hints}
    assert hints["films/director/wong"] < 0 < hints["films/director/varda"]
    assert hints["films/1960s"] > 0
    catalog = Catalog(items)
    matcher = InterestMatcher(Vocabulary.load(), own_words=OwnWords(catalog))
    amounts = {item.id: matcher.hint_amount(profile.hints, item) for item in catalog.values()}
    assert amounts["v1"] == pytest.approx(hints["films/director/varda"]), "another decade, the same director"
    assert amounts["v3"] == pytest.approx(0.5 * hints["films/1960s"]), "half as sure, another director"
    assert amounts["z1"] == pytest.approx(hints["zorbo-quest"])
    assert amounts["o1"] == 0.0
    assert amounts["v2"] < 0
    assert matcher.hint_amount((), catalog["v1"]) == 0.0
    without_own_words = InterestMatcher(Vocabulary.load())
    assert without_own_words.hint_amount(profile.hints, catalog["z1"]) == 0.0


def test_the_prompt_shows_the_last_liked_things_and_the_heaviest_narrow_interests() -> None:
    profile = profile_of(
        ("say", "quiet hotels"),
        ("like", "alien"),
        ("like", "plenty"),
        ("dislike", "hotel"),
        ("view", "alien"),
    )
    person = person_context(profile, whole_sentences=True)
    assert [line.title for line in person.items] == ["Plenty", "Alien"], "the last touched stand last"
    assert person.words == ("quiet hotels",)
    assert person.interests[0] == "Horror"
    assert "Comedy" not in person.interests
    assert "Films" not in person.interests
