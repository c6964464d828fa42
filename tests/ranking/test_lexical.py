"""The signals without a model, and which items of a catalogue are considered."""

from __future__ import annotations

from typing import Any

import pytest

from llmrec.behavior.events import Catalog, Item
from llmrec.candidates.bm25 import Bm25Index
from llmrec.interests.hierarchy import InterestHierarchy
from llmrec.interests.taxonomy import Vocabulary
from llmrec.ranking.context import person_context
from llmrec.ranking.lexical import InterestMatcher, choose_candidates, match_events
from llmrec.recommender import Recommender
from tests.builders import DAY, NOON, interest, scoring_model

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


def test_liked_events_match_by_their_words_in_proportion_to_their_weights() -> None:
    profile = profile_of(("search", "a hotel"), ("purchase", "plenty"), ("dislike", "alien"))
    index = Bm25Index([Item.model_validate(item) for item in ITEMS])
    matches = match_events(profile, index)
    assert set(matches.event_ids) == {"e1", "e2"}, "what is disliked calls for nothing"
    weights = {entry.event.id: entry.weight for entry in profile.entries}
    expected = index.scores("a hotel") * (weights["e1"] / (weights["e1"] + weights["e2"]))
    row = matches.event_ids.index("e1")
    assert matches.scores[row] == pytest.approx(expected, rel=1e-5)
    assert matches.totals == pytest.approx(matches.scores.sum(axis=0))
    (part,) = matches.contributions(2)
    assert part.id == "e1"
    assert part.amount == pytest.approx(float(expected[2]), rel=1e-5)
    assert matches.contributions(0) == ()
    assert matches.only([2]).totals == pytest.approx([float(matches.totals[2])])


def test_nothing_liked_matches_nothing() -> None:
    matches = match_events(profile_of(("dislike", "alien")), Bm25Index([Item(id="1", title="Alien")]))
    assert matches.totals.tolist() == [0.0]


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


def test_candidates_are_taken_by_words_and_by_interests_in_turns() -> None:
    profile = profile_of(("search", "a grand hotel"))
    catalog = Catalog(ITEMS)
    matches = match_events(profile, Bm25Index(catalog.items_in_order))
    liked = {"plenty": 1.0}

    def chosen(most: int, excluded: frozenset[str] = frozenset()) -> list[str]:
        found = choose_candidates(
            catalog,
            matches,
            lambda item: liked.get(item.id, 0.0),
            excluded=set(excluded),
            most=most,
            progress=lambda done, total: None,
        )
        return [item.id for item in found]

    assert chosen(1) == ["hotel"]
    assert set(chosen(2)) == {"hotel", "plenty"}
    assert set(chosen(3)) == {"hotel", "plenty", "shining"}
    assert sorted(chosen(99)) == sorted(catalog)
    assert "hotel" not in chosen(99, frozenset({"hotel"}))


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


def test_what_a_sentence_turns_away_calls_for_nothing() -> None:
    profile = profile_of(("say", "I like a grand stay, but no shining"), ("search", "no alien"))
    index = Bm25Index([Item.model_validate(item) for item in ITEMS])
    totals = dict(zip((item["id"] for item in ITEMS), match_events(profile, index).totals, strict=True))
    assert totals["hotel"] > 0
    assert totals["shining"] == 0
    assert totals["alien"] > 0, "a search asks for what it names"
    words = ("I like a grand stay, but no shining", "no alien")
    assert person_context(profile, whole_sentences=True).words == words
    assert person_context(profile, whole_sentences=False).words == ("I like a grand stay", "no alien")
    nothing = profile_of(("say", "no shining"))
    assert person_context(nothing, whole_sentences=False).words == ()
