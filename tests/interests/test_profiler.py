"""Building a profile, and taking new events into it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrec import Event, Recommender
from llmrec.errors import InputError
from llmrec.interests.profile import InterestProfile
from llmrec.llm.base import LanguageModel
from tests.builders import DAY, NOON, SHOP, events_of, sample, scoring_model, shopper

PEOPLE = sorted({event["user_id"] for event in sample("events")})


@pytest.fixture(scope="module")
def recommender() -> Iterator[Recommender]:
    with Recommender(scoring_model(), sample("items"), labelled_by_model=3) as opened:
        yield opened


def one_at_a_time(recommender: Recommender, events: list[Any]) -> InterestProfile:
    profile = recommender.profile(events[:1])
    for event in events[1:]:
        profile = recommender.update(profile, [event])
    return profile


def said_by(profile: InterestProfile) -> dict[str, Any]:
    """All that a profile says, without how it came about."""
    return profile.model_dump(exclude={"created", "seconds", "usage", "report", "notes", "prompts"})


@pytest.mark.parametrize("person", PEOPLE)
def test_the_same_events_give_the_same_profile_all_at_once_or_one_at_a_time(
    recommender: Recommender, person: str
) -> None:
    whole = recommender.profile(events_of(person))
    assert said_by(one_at_a_time(recommender, [entry.event for entry in whole.entries])) == said_by(whole)


def test_similarity_and_own_words_have_their_part_in_that(recommender: Recommender) -> None:
    """Else the test above would prove less than it says."""
    pytest.importorskip("wordllama")
    assert recommender.embedder is not None
    profile = recommender.profile(events_of("owen"))
    assert any(label.proposed and not label.minor for reading in profile.readings for label in reading.labels)


@pytest.mark.embedded
def test_the_same_holds_for_the_embedded_model(embedded_model: LanguageModel) -> None:
    with Recommender(embedded_model, sample("items"), labelled_by_model=3) as recommender:
        assert recommender.embedder is not None
        whole = recommender.profile(events_of("mara")[-10:])
        assert any(reading.by_model for reading in whole.readings)
        assert said_by(one_at_a_time(recommender, [entry.event for entry in whole.entries])) == said_by(whole)


@settings(max_examples=10)
@given(st.data())
def test_the_same_events_give_the_same_profile_in_any_parts(
    recommender: Recommender, data: st.DataObject
) -> None:
    whole = recommender.profile(events_of("owen"))
    events = [entry.event for entry in whole.entries]
    cuts = sorted(data.draw(st.sets(st.integers(1, len(events) - 1), max_size=4)))
    parts = [events[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(events)], strict=True)]
    profile = recommender.profile(parts[0])
    for part in parts[1:]:
        profile = recommender.update(profile, part)
    assert said_by(profile) == said_by(whole)


def test_dated_events_may_come_late(recommender: Recommender) -> None:
    whole = recommender.profile(events_of("owen"))
    events = [entry.event for entry in whole.entries]
    stamps = [event.timestamp for event in events]
    assert len(set(stamps)) == len(stamps)
    random.Random(1).shuffle(events)
    assert said_by(one_at_a_time(recommender, events)) == said_by(whole)


def test_the_old_events_are_not_read_again() -> None:
    with Recommender(scoring_model(), SHOP, language="en") as recommender:
        profile = recommender.profile(shopper())
        before = recommender.model.usage
        same = recommender.update(profile, [])
        assert recommender.model.usage == before
        assert said_by(same) == said_by(profile)
        recommender.update(profile, [{"user_id": "xiaoyu", "action": "view", "item_id": "mi14"}])
        assert recommender.model.usage == before, "the item was read before"


def test_events_that_are_there_already_are_left_out_and_noted(recommender: Recommender) -> None:
    profile = recommender.profile(events_of("owen"))
    event = profile.entries[0].event
    again = recommender.update(profile, [event])
    assert [note.kind for note in again.report.notes] == ["merged"]
    assert said_by(again) == said_by(profile)
    other = recommender.update(profile, [event.model_copy(update={"action": "dislike"})])
    assert [note.kind for note in other.report.notes] == ["set_aside"]
    assert said_by(other) == said_by(profile)
    with pytest.raises(InputError, match="not of 'owen'"):
        recommender.update(profile, [Event(user_id="lena", action="say", text="x")])


def test_a_change_of_language_reads_all_events_anew() -> None:
    with Recommender(scoring_model(), SHOP) as recommender:
        profile = recommender.profile([{"user_id": "xiaoyu", "action": "search", "text": "phone"}])
        assert profile.hierarchy["phones"].label == "Phones"
        updated = recommender.update(profile, shopper())
        assert updated.hierarchy["phones"].label == "手机"
        assert any("read anew" in note for note in updated.notes)


def test_edits_outlive_updates_and_new_profiles(tmp_path: Path) -> None:
    events = events_of("owen")
    with Recommender(scoring_model(), sample("items"), store=tmp_path / "s.sqlite3") as recommender:
        profile = recommender.profile(events[:-5])
        profile = recommender.edit(profile, {"kind": "rename", "interest": "books", "label": "Reading"})
        profile = recommender.edit(profile, {"kind": "add", "label": "Jazz"})
        assert profile.hierarchy.path(profile.find("Jazz")) == ("Music", "Jazz"), "the vocabulary knows where"
        profile = recommender.edit(profile, {"kind": "remove", "interest": "Films"})
        updated = recommender.update(profile, events[-5:])
        anew = recommender.profile(events)
    with Recommender(scoring_model(), sample("items"), store=tmp_path / "s.sqlite3") as recommender:
        from_store = recommender.store.profile("owen")
        assert from_store is not None
        undone = recommender.undo(from_store)
    for found in (updated, anew, from_store):
        assert found.hierarchy["books"].label == "Reading"
        assert "films" not in found.hierarchy
        assert found.hierarchy["music/jazz"].support == 1
        assert "3 edits of the person were applied" in found.notes
    assert anew.hierarchy == updated.hierarchy
    assert "films" in undone.hierarchy


def test_a_taste_that_changes_leads_within_five_events_and_the_old_one_stays_long_term() -> None:
    items = [
        {"id": f"g{n}", "title": f"G{n}", "domain": "video games", "categories": ["Shooters"]}
        for n in range(40)
    ]
    items += [{"id": f"c{n}", "title": f"C{n}", "domain": "gardening"} for n in range(5)]
    for days in (1 / 24, 1, 7):
        events = [
            {"user_id": "a", "action": "purchase", "item_id": item["id"], "timestamp": NOON + n * days * DAY}
            for n, item in enumerate(items)
        ]
        with Recommender(scoring_model(), items) as recommender:
            profile = recommender.profile(events)
        new, old = profile.hierarchy["gardening"], profile.hierarchy["games"]
        assert new.short_term > old.short_term
        assert old.horizon in ("long-term", "both")
        assert (old.tier, old.ended, old.polarity) == ("core", None, "positive")
        if days == 7:
            assert profile.hierarchy.children()[0] == new, "it leads altogether"
            assert (old.horizon, new.horizon) == ("long-term", "short-term")


FILMS: list[dict[str, Any]] = [
    {"id": "cleo", "title": "Cléo (1962)", "domain": "films", "attributes": {"director": "Agnès Varda"}},
    {"id": "faces", "title": "Faces (2017)", "domain": "films", "attributes": {"director": "Agnès Varda"}},
    {"id": "roma", "title": "Roma (2018)", "domain": "films", "categories": ["Drama"]},
    {"id": "zorbo1", "title": "Zorbo Quest: Dawn", "domain": "video games"},
    {"id": "zorbo2", "title": "Zorbo Quest: Dusk", "domain": "video games"},
    {"id": "other", "title": "Mellow Farm", "domain": "video games"},
    {"id": "potter1", "title": "哈利波特与魔法石", "domain": "图书"},
    {"id": "potter2", "title": "哈利波特与密室", "domain": "图书"},
    # Words that half of a domain's titles have tell nothing.
    *(
        {"id": f"game {name}", "title": name, "domain": "video games"}
        for name in ("Umbra", "Pelagic", "Runes")
    ),
    *(
        {"id": f"book {name}", "title": name, "domain": "图书"}
        for name in ("围城", "活着", "边城", "骆驼祥子")
    ),
]


def did(*what: tuple[str, str]) -> list[dict[str, Any]]:
    return [
        {"user_id": "a", "id": f"e{n}", "action": action, "item_id": item, "timestamp": NOON + n * DAY}
        for n, (action, item) in enumerate(what)
    ]


@pytest.mark.parametrize(
    ("first", "second", "value", "labels"),
    [
        ("cleo", "faces", "films/director/agnès-varda", ("Films", "Directors", "Agnès Varda")),
        ("zorbo1", "zorbo2", "games/zorbo-quest", ("Video games", "Zorbo Quest")),
        ("potter1", "potter2", "books/哈利波特", ("Books", "哈利波特")),
    ],
)
def test_what_two_items_have_in_common_is_a_hint_on_the_first_and_an_interest_on_the_second(
    first: str, second: str, value: str, labels: tuple[str, ...]
) -> None:
    events = did(("like", first), ("view", first), ("like", second))
    with Recommender(scoring_model(), FILMS, language="en") as recommender:
        profile = recommender.profile(events[:2])
        assert value not in profile.hierarchy
        (hint,) = (hint for hint in profile.hints if hint.id == value)
        assert (hint.path, hint.event_ids) == (labels, ("e0", "e1"))
        assert hint.balance > 0
        profile = recommender.update(profile, events[2:])
        assert profile.hierarchy.path(value) == labels
        assert [entry.event.id for entry in profile.evidence(value)] == ["e0", "e1", "e2"]
        assert value not in {hint.id for hint in profile.hints}


def test_own_words_are_labels_in_chinese_too() -> None:
    with Recommender(scoring_model(), FILMS) as recommender:
        profile = recommender.profile(did(("like", "potter1"), ("like", "potter2")))
    assert profile.language == "zh"
    assert profile.hierarchy.path("books/哈利波特") == ("图书", "哈利波特")


def test_when_a_film_is_from_is_never_an_interest() -> None:
    with Recommender(scoring_model(), FILMS, language="en") as recommender:
        profile = recommender.profile(did(("like", "faces"), ("like", "roma")))
    assert "films/2010s" not in profile.hierarchy
    (hint,) = (hint for hint in profile.hints if hint.id == "films/2010s")
    assert hint.event_ids == ("e0", "e1")


def test_an_item_that_is_disliked_or_sent_back_counts_against_its_interests() -> None:
    with Recommender(scoring_model(), FILMS, language="en") as recommender:
        profile = recommender.profile(did(("dislike", "roma")))
        drama, films = profile.hierarchy["films/drama"], profile.hierarchy["films"]
        assert (drama.polarity, drama.liked, drama.ended) == ("negative", 0.0, None)
        assert drama.disliked == drama.weight == pytest.approx(profile.readings[0].labels[0].share)
        assert films.disliked == pytest.approx(drama.disliked / 2), "half of it passes up"
        profile = recommender.update(profile, did(("dislike", "roma"), ("like", "cleo"), ("return", "cleo")))
        varda = next(hint for hint in profile.hints if hint.label == "Agnès Varda")
        assert varda.balance > 0, "bought and sent back says 1.0 for it and 0.8 against"
        assert profile.hierarchy["films"].disliked > 0
        assert profile.hierarchy["films/drama"].polarity == "negative"
        recommended = recommender.recommend(profile, candidates=["roma", "faces"])
        assert [placed.item.id for placed in recommended] == ["faces", "roma"]


def test_a_profile_of_two_thousand_events() -> None:
    base = sample("items")
    items = [{**base[at % len(base)], "id": f"i{at}"} for at in range(400)]
    actions = ("view", "purchase", "like", "dislike", "save", "return")
    events = [
        Event(user_id="a", action=actions[at % 6], item_id=f"i{at * 7 % 400}", timestamp=NOON + at * 3600)
        for at in range(2000)
    ]
    said = Event(user_id="a", action="say", text="no more horror", timestamp=NOON + 2000 * 3600)
    with Recommender(scoring_model(), items) as recommender:
        profile = recommender.profile(events)
        assert len(profile.entries) == 2000
        everything = {entry.event.id for entry in profile.entries}
        for interest in profile.interests:
            assert {cited.event_id for cited in interest.evidence} <= everything
        assert len(profile.hints) <= 200
        calls = recommender.model.usage.calls
        updated = recommender.update(profile, [said])
        assert recommender.model.usage.calls - calls < 10, "the sentence alone was read"
        assert updated.hierarchy["films/horror"].polarity == "negative"
        assert updated.hierarchy["films/horror"].ended is None or (
            updated.hierarchy["films/horror"].ended.event_id == said.id
        )
        assert said_by(recommender.profile([*events, said])) == said_by(updated)


def test_what_a_new_person_adds_comes_before_their_first_event() -> None:
    events = events_of("mara")[:3]
    with Recommender(scoring_model(), sample("items")) as recommender:
        profile = recommender.edit(
            recommender.profile([], user_id="mara"), {"kind": "add", "label": "Juggling"}
        )
        updated = recommender.update(profile, events)
        assert updated.entries[0].title == "Juggling"
        anew = recommender.profile(events)
    assert said_by(anew) == said_by(updated)


def test_answers_of_an_interview_hold_when_the_profile_is_built_again(recommender: Recommender) -> None:
    profile = recommender.profile([], user_id="asked")
    asked: list[str] = []
    for answer in ("yes", "no", "yes"):
        question = recommender.ask(profile, asked=asked)
        assert question is not None
        asked.append(question.id)
        profile = recommender.answer(profile, question, answer)
    again = recommender.profile(recommender.store.events("asked"))
    assert again.hierarchy == profile.hierarchy
