"""Words shared with what a person touched and said, and with the names of their interests."""

from __future__ import annotations

import numpy as np
import pytest

from llmrec.behavior.events import Event, Item
from llmrec.candidates.bm25 import Bm25Index
from llmrec.ranking.context import person_context
from llmrec.ranking.words import match_events, match_interests
from tests.builders import SHOP, history_of, label, profile_from, readings
from tests.interests.test_numbers import told as liked_and_disliked
from tests.profiles import profile_of as profile_of_events
from tests.ranking.test_lexical import ITEMS, profile_of


def test_liked_events_match_by_their_words_in_proportion_to_their_weights() -> None:
    profile = profile_of(("search", "a hotel"), ("purchase", "plenty"), ("dislike", "alien"))
    index = Bm25Index([Item.model_validate(item) for item in ITEMS])
    matches = match_events(profile, index)
    assert set(matches.ids) == {"e1", "e2"}, "what is disliked calls for nothing"
    weights = {entry.event.id: entry.weight for entry in profile.entries}
    weights["e1"] *= 0.9
    share = weights["e1"] / (weights["e1"] + weights["e2"])
    assert matches.ids == ("e2", "e1"), "the last first"
    assert matches.weights == pytest.approx([1 - share, share])
    hotel, plenty = index.scores("a hotel"), index.scores("Plenty Cookbooks books")
    assert matches.scores == pytest.approx(np.array([plenty, hotel]))
    assert matches.totals == pytest.approx(hotel * share + plenty * (1 - share), rel=1e-5)
    assert matches.best == pytest.approx(np.maximum(hotel, plenty))
    (part,) = matches.contributions(2)
    assert part.id == "e1"
    assert part.amount == pytest.approx(float(hotel[2]) * share, rel=1e-5)
    assert matches.contributions(0) == ()
    some = matches.only([2, 0, 2])
    assert some.totals == pytest.approx([float(matches.totals[at]) for at in (2, 0, 2)])
    assert some.best == pytest.approx([float(matches.best[at]) for at in (2, 0, 2)])
    assert some.contributions(0) == some.contributions(2) == (part,)
    assert matches.only([]).totals.shape == (0,)


def test_nothing_liked_matches_nothing() -> None:
    matches = match_events(profile_of(("dislike", "alien")), Bm25Index([Item(id="1", title="Alien")]))
    assert matches.totals.tolist() == matches.best.tolist() == [0.0]
    assert matches.contributions(0) == ()
    assert matches.only([0, 0]).best.tolist() == [0.0, 0.0]


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
    assert matches.weights == pytest.approx([comedy / (comedy + hotel), hotel / (comedy + hotel)])
    assert matches.scores[1] == pytest.approx(index.scores("Hotel"))
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


def test_a_chinese_history_matches_by_pairs_of_characters() -> None:
    items = [Item.model_validate(item) for item in SHOP]
    profile = profile_of_events(
        [Event(user_id="a", action="purchase", item_id="mi14")], items=SHOP, language="zh"
    )
    totals = dict(
        zip((item.id for item in items), match_events(profile, Bm25Index(items)).totals, strict=True)
    )
    assert totals["mi14"] > totals["x100"] > 0, "a phone whose pictures are praised as well"
    assert totals["redmi"] > 0
    assert totals["tea"] == 0


def test_the_three_events_that_count_most_are_named() -> None:
    items = [{"id": f"i{at}", "title": f"quiet ship {at}"} for at in range(5)]
    profile = profile_of_events(
        [Event(user_id="a", action="like", id=item["id"], item_id=item["id"]) for item in items], items=items
    )
    parts = match_events(profile, Bm25Index([Item(id="x", title="ship")])).contributions(0)
    assert [part.id for part in parts] == ["i4", "i3", "i2"], "alike in words, the later ones count more"
    assert parts[1].amount == pytest.approx(0.9 * parts[0].amount, rel=1e-4)
