"""Which events speak for items, and how the order tells the recent from the old."""

from __future__ import annotations

import pytest

from llmrec.behavior.events import Event
from llmrec.candidates.bm25 import item_text
from llmrec.ranking.liked import MAX_EVENTS, liked_events
from tests.builders import DAY, NOON
from tests.profiles import profile_of
from tests.ranking.test_lexical import profile_of as profile_of_what


def test_the_last_stands_first_and_each_earlier_one_counts_nine_tenths_of_its_weight() -> None:
    profile = profile_of_what(("like", "alien"), ("view", "hotel"), ("purchase", "plenty"))
    liked = liked_events(profile)
    assert [one.entry.event.id for one in liked] == ["e3", "e2", "e1"]
    weights = {entry.event.id: entry.weight for entry in profile.entries}
    assert weights["e1"] == pytest.approx(0.5 ** (2 / 90)), (
        "a like two days before the last, of 90 that halve"
    )
    assert [one.weight for one in liked] == pytest.approx(
        [weights["e3"], 0.9 * weights["e2"], 0.81 * weights["e1"]]
    )


def test_what_does_not_speak_for_an_item_takes_no_place_in_the_order() -> None:
    profile = profile_of_what(("like", "alien"), ("dislike", "hotel"), ("skip", "shining"), ("say", "quiet"))
    liked = liked_events(profile)
    assert [one.entry.event.id for one in liked] == ["e4", "e1"]
    assert liked[1].weight == pytest.approx(0.9 * liked[1].entry.weight), "only one liked event came later"


def test_an_item_is_compared_by_all_its_words_and_a_sentence_by_what_it_asks_for() -> None:
    profile = profile_of_what(("like", "alien"), ("say", "I like a grand stay, but no shining"))
    said, alien = liked_events(profile)
    assert said.text == "I like a grand stay"
    assert alien.entry.item is not None
    assert alien.text == item_text(alien.entry.item)
    assert "Horror" in alien.text


def test_of_a_long_history_the_last_thirty_count() -> None:
    items = [{"id": f"i{at}", "title": f"Title {at}"} for at in range(MAX_EVENTS + 5)]
    events = [
        {"user_id": "a", "action": "like", "item_id": item["id"], "timestamp": NOON + at * DAY}
        for at, item in enumerate(items)
    ]
    profile = profile_of([Event.model_validate(event) for event in events], items=items)
    liked = liked_events(profile)
    assert [one.entry.event.item_id for one in liked] == [f"i{at}" for at in range(MAX_EVENTS + 4, 4, -1)]


def test_nothing_liked_is_an_empty_list() -> None:
    assert liked_events(profile_of_what(("dislike", "alien"), ("return", "plenty"))) == []
