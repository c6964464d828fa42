"""Words shared with what a person touched and said, and with the names of their interests."""

from __future__ import annotations

import pytest

from llmrec.behavior.events import Item
from llmrec.candidates.bm25 import Bm25Index
from llmrec.ranking.context import person_context
from llmrec.ranking.words import match_events, match_interests
from tests.builders import history_of, label, profile_from, readings
from tests.interests.test_numbers import told as liked_and_disliked
from tests.ranking.test_lexical import ITEMS, profile_of


def test_liked_events_match_by_their_words_in_proportion_to_their_weights() -> None:
    profile = profile_of(("search", "a hotel"), ("purchase", "plenty"), ("dislike", "alien"))
    index = Bm25Index([Item.model_validate(item) for item in ITEMS])
    matches = match_events(profile, index)
    assert set(matches.ids) == {"e1", "e2"}, "what is disliked calls for nothing"
    weights = {entry.event.id: entry.weight for entry in profile.entries}
    expected = index.scores("a hotel") * (weights["e1"] / (weights["e1"] + weights["e2"]))
    row = matches.ids.index("e1")
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


def test_interests_and_hints_match_by_their_names_in_proportion_to_what_speaks_for_them() -> None:
    lone = label("films/hotel", 0.5, proposed=True)
    profile = profile_from(
        history_of(liked_and_disliked("like", "like", "dislike")),
        readings([label("films/comedy"), lone], label("films/comedy"), label("films/horror")),
    )
    assert [hint.label for hint in profile.hints] == ["Hotel"]
    index = Bm25Index([Item.model_validate(item) for item in ITEMS])
    matches = match_interests(profile, index)
    assert matches.of == "interests"
    assert matches.ids == ("films/comedy", "films/hotel"), "what is disliked calls for nothing"
    comedy, hotel = profile.hierarchy["films/comedy"].balance, profile.hints[0].balance
    assert matches.scores[1] == pytest.approx(index.scores("Hotel") * hotel / (comedy + hotel), rel=1e-5)
    totals = dict(zip((item["id"] for item in ITEMS), matches.totals, strict=True))
    assert totals["hotel"] > totals["shining"] > totals["alien"] == 0


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
