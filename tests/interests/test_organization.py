"""From labelled events to a hierarchy: the numbers are those of the documented formulas, worked by hand."""

from __future__ import annotations

import pytest

from llmrec.interests.extraction import EventLabel, PathStep
from llmrec.interests.organization import organize
from tests.builders import DAY, NOON, history_of


def label(path: str, share: float = 1.0, **options: bool) -> EventLabel:
    """A label whose ids are the path so far: `films/horror`."""
    parts = path.split("/")
    steps = tuple(PathStep("/".join(parts[: at + 1]), part.capitalize()) for at, part in enumerate(parts))
    return EventLabel(steps, share, **options)


def told(*actions: str) -> list[dict[str, object]]:
    """One event an action, all of the same day, about nothing in particular."""
    return [
        {"user_id": "a", "id": f"e{number}", "action": action, "text": "x", "timestamp": NOON}
        for number, action in enumerate(actions, start=1)
    ]


def test_weights_are_parts_of_everything_the_person_did() -> None:
    history = history_of(told("purchase", "click", "save"))
    hierarchy = organize(history, [[label("films/horror", 0.8)], [label("films", 0.5)], []])
    # Strengths 1, 0.3 and 0.6; the event without a label counts in the whole.
    assert hierarchy["films"].weight == pytest.approx((1 * 0.8 + 0.3 * 0.5) / 1.9)
    assert hierarchy["films/horror"].weight == pytest.approx(1 * 0.8 / 1.9)
    assert hierarchy["films"].confidence == pytest.approx(1 - (1 - 0.8) * (1 - 0.15))
    assert hierarchy["films/horror"].confidence == pytest.approx(0.8)
    assert [evidence.event_id for evidence in hierarchy["films"].evidence] == ["e1", "e2"]
    assert [evidence.share for evidence in hierarchy["films"].evidence] == [0.8, 0.5]


def test_time_halves_an_event() -> None:
    events = told("purchase", "purchase")
    events[0]["timestamp"] = NOON - 90 * DAY
    hierarchy = organize(history_of(events, half_life_days=90.0), [[label("films")], [label("books")]])
    assert hierarchy["films"].weight == pytest.approx(0.5 / 1.5)
    assert hierarchy["books"].weight == pytest.approx(1 / 1.5)
    assert hierarchy["films"].confidence == pytest.approx(0.5)


def test_polarity_is_the_sign_of_the_sum() -> None:
    history = history_of(told("like", "dislike", "dislike", "return"))
    hierarchy = organize(
        history, [[label("films/horror")], [label("films/horror")], [label("films/drama")], [label("books")]]
    )
    horror, films, books = (hierarchy[name] for name in ("films/horror", "films", "books"))
    assert (horror.weight, horror.polarity) == (0.0, "positive"), "one yes and one no cancel out"
    assert (films.weight, films.polarity) == (pytest.approx(1 / 3.8), "negative")
    assert (books.weight, books.polarity) == (pytest.approx(0.8 / 3.8), "negative")
    assert horror.confidence == 1.0, "that the events are about it is sure all the same"


def test_an_event_counts_once_in_an_interest_with_its_largest_share() -> None:
    history = history_of(told("purchase", "purchase"))
    hierarchy = organize(history, [[label("films/horror", 0.4), label("films/drama", 0.6)], []])
    assert hierarchy["films"].weight == pytest.approx(0.6 / 2)
    assert hierarchy["films"].support == 1
    assert hierarchy["films/horror"].weight == pytest.approx(0.4 / 2)


@pytest.mark.parametrize("no_first", [True, False])
def test_a_no_to_one_thing_is_no_no_to_what_the_same_sentence_likes(no_first: bool) -> None:
    labels = [label("films/horror", 0.9, negative=True), label("films/comedy", 0.8)]
    hierarchy = organize(history_of(told("say")), [labels if no_first else labels[::-1]])
    assert (hierarchy["films/horror"].polarity, hierarchy["films/horror"].weight) == ("negative", 0.9)
    assert (hierarchy["films/comedy"].polarity, hierarchy["films/comedy"].weight) == ("positive", 0.8)
    assert (hierarchy["films"].polarity, hierarchy["films"].weight) == ("positive", 0.8)


def test_a_no_to_one_thing_is_no_no_to_all_of_its_kind() -> None:
    hierarchy = organize(history_of(told("say", "say")), [[label("films/horror", negative=True)], []])
    assert (hierarchy["films/horror"].polarity, hierarchy["films/horror"].weight) == ("negative", 0.5)
    assert (hierarchy["films"].polarity, hierarchy["films"].weight) == ("positive", 0.0)
    assert hierarchy["films"].support == 1
    both = [label("films/horror", 0.9, negative=True), label("films", 0.4, negative=True)]
    for labels in (both, both[::-1]):
        films = organize(history_of(told("say")), [labels])["films"]
        assert (films.polarity, films.weight) == ("negative", 0.4)


def test_a_sentence_that_says_no_twice_over_stays_a_no() -> None:
    # "I do not dislike" is nobody's sentence; a no about something disliked is a no.
    history = history_of(told("dislike"))
    hierarchy = organize(history, [[label("films", negative=True)]])
    assert hierarchy["films"].polarity == "negative"


def test_the_liked_come_before_the_disliked_and_the_heavier_first() -> None:
    history = history_of(told("purchase", "save", "dislike", "click"))
    hierarchy = organize(history, [[label("b")], [label("c/x")], [label("a")], [label("c/y"), label("d")]])
    assert [found.id for found in hierarchy.interests] == ["b", "c", "c/x", "c/y", "d", "a"]


def test_a_fact_of_one_item_alone_is_not_an_interest() -> None:
    items = [{"id": "1", "title": "One"}, {"id": "2", "title": "Two"}]
    events = [
        {"user_id": "a", "action": action, "item_id": item_id, "timestamp": NOON}
        for action, item_id in [("view", "1"), ("purchase", "1"), ("purchase", "2")]
    ]
    history = history_of(events, items)
    lynch, wong = label("films/lynch", proposed=True), label("films/wong", proposed=True)
    assert "films/lynch" in organize(history, [[lynch], [lynch], [lynch]])
    assert "films/lynch" not in organize(history, [[lynch], [lynch], [wong]]), "two events, but one item"


def test_nothing_labelled_is_an_empty_hierarchy() -> None:
    assert len(organize(history_of(told("view")), [[]])) == 0
    assert len(organize([], [])) == 0
