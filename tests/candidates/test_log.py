"""The interaction log: which events count, in which order."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llmrec.behavior.events import Event
from llmrec.candidates.log import InteractionLog
from llmrec.errors import InputError
from llmrec.settings import Settings

NOON = 1_719_835_200.0


def event(user_id: str, item_id: str | None, action: str = "purchase", day: int | None = None, **fields):
    stamp = None if day is None else NOON + day * 86_400
    return Event(user_id=user_id, item_id=item_id, action=action, timestamp=stamp, **fields)


def sequences(*events: Event, **settings) -> dict[str, tuple[str, ...]]:
    return dict(InteractionLog.from_events(events, Settings(**settings)).sequences)


def test_events_that_speak_for_an_item_are_taken() -> None:
    found = sequences(
        event("ana", "a", "view"),
        event("ana", "b", "rate", value=5),
        event("ana", "c", "rate", value=2),
        event("ana", "d", "dislike"),
        event("ana", None, "search", text="quiet films"),
        event("ana", "e", "rate"),
        event("小雨", "手机", "purchase"),
        event("leo", "f", "return"),
    )
    assert found == {"ana": ("a", "b", "e"), "小雨": ("手机",)}


def test_a_strength_of_the_settings_decides() -> None:
    events = (event("ana", "a", "view"), event("ana", "b", "listen"))
    assert sequences(*events, action_strengths={"view": -0.1, "listen": 0.4}) == {"ana": ("b",)}
    with pytest.raises(InputError, match=r"'listen' has no strength"):
        sequences(*events)


def test_the_order_is_that_of_time_where_all_have_one() -> None:
    assert sequences(
        event("ana", "c", day=3), event("leo", "z", day=1), event("ana", "a", day=1), event("ana", "b", day=1)
    ) == {"ana": ("a", "b", "c"), "leo": ("z",)}


def test_without_a_time_on_one_event_the_order_stays() -> None:
    assert sequences(event("ana", "c", day=3), event("ana", "x"), event("ana", "a", day=1)) == {
        "ana": ("c", "x", "a")
    }


def test_an_event_that_does_not_count_needs_no_time() -> None:
    undated = event("ana", None, "search", text="quiet films")
    assert sequences(event("ana", "b", day=2), undated, event("ana", "a", day=1)) == {"ana": ("a", "b")}


def test_events_on_one_item_in_a_row_count_once_and_later_ones_again() -> None:
    assert sequences(
        event("ana", "a", "view"), event("ana", "a"), event("ana", "b"), event("ana", "a"), event("ana", "a")
    ) == {"ana": ("a", "b", "a")}


def test_counts_are_of_people() -> None:
    log = InteractionLog({"ana": ["a", "b", "a"], "leo": ["a"], "kim": []})
    assert log.counts == {"a": 2, "b": 1}
    assert len(log) == 2
    assert log
    assert not InteractionLog()
    assert not InteractionLog({"kim": ()})


def test_a_person_can_be_left_out() -> None:
    log = InteractionLog({"ana": ["a", "b"], "leo": ["a"]})
    assert dict(log.without("ana").sequences) == {"leo": ("a",)}
    assert log.without("nobody") is log
    assert log.counts["b"] == 1


def test_items_in_one_text_are_refused() -> None:
    with pytest.raises(InputError, match=r"'ana' are one text: give a list"):
        InteractionLog({"ana": "abc"})


ids = st.text(min_size=1, max_size=4)
logs = st.dictionaries(ids, st.lists(ids, max_size=5), max_size=5)


@given(logs, logs)
@example({"ana": ["a\x00b"]}, {"ana": ["a", "b"]})
@example({"ana": ["a"], "leo": ["b"]}, {"ana": ["a", "leo", "b"]})
def test_equal_logs_and_no_others_have_equal_fingerprints(one: dict, other: dict) -> None:
    first, second = InteractionLog(one), InteractionLog(other)
    assert InteractionLog(dict(reversed(one.items()))).fingerprint == first.fingerprint
    assert (first.fingerprint == second.fingerprint) == (dict(first.sequences) == dict(second.sequences))


def test_a_million_interactions_take_seconds() -> None:
    people = {
        f"u{person}": [f"i{(person * 7 + at * 13) % 5000}" for at in range(10)] for person in range(100_000)
    }
    began = time.process_time()
    log = InteractionLog(people)
    assert sum(log.counts.values()) == 1_000_000
    assert log.fingerprint
    assert len(log.without("u5")) == 99_999
    assert time.process_time() - began < 10
