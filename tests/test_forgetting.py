"""What is forgotten is nowhere any more: not in the store, not in caches, not in the profile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmrec import Recommender
from llmrec.errors import InputError
from llmrec.forgetting import events_about, forget
from llmrec.llm.base import LanguageModel
from llmrec.store import Store
from tests.builders import DAY, NOON, scoring_model

ITEMS: list[dict[str, Any]] = [
    {"id": "alien-1979", "title": "Alien", "domain": "films", "categories": ["Horror"]},
    {"id": "shining-1980", "title": "The Shining", "domain": "films", "categories": ["Horror"]},
    {"id": "airplane-1980", "title": "Airplane!", "domain": "films", "categories": ["Comedy"]},
    {"id": "plenty-2010", "title": "Plenty", "domain": "books", "categories": ["Cookbooks"]},
]
WORDS = "I secretly adore werewolves and other horror"


def told(user_id: str = "ana") -> list[dict[str, Any]]:
    what = ["alien-1979", "shining-1980", "airplane-1980", "plenty-2010"]
    events = [
        {
            "user_id": user_id,
            "id": f"{user_id}-event-{n}",
            "action": "like",
            "item_id": item,
            "timestamp": NOON + n * DAY,
        }
        for n, item in enumerate(what)
    ]
    return [*events, {"user_id": user_id, "id": f"{user_id}-event-9", "action": "say", "text": WORDS}]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite3"


@pytest.fixture
def recommender(path: Path) -> Iterator[Recommender]:
    with Recommender(scoring_model(), ITEMS, store=path) as opened:
        for person in ("ana", "bob"):
            profile = opened.profile(told(person))
            opened.recommend(profile, repeats=True)
        yield opened


def raw(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in path.parent.glob("store.sqlite3*"))


def test_an_interest_goes_with_its_events_and_all_that_was_made_of_them(
    recommender: Recommender, path: Path
) -> None:
    before = recommender.store.profile("ana")
    assert before is not None
    assert WORDS.encode() in raw(path)
    report = recommender.forget("ana", interest="Films › Horror")
    assert report.what == "the interest Films › Horror"
    assert report.event_ids == ("ana-event-0", "ana-event-1", "ana-event-9")
    assert report.forgotten.events == 3
    assert report.forgotten.rankings == 1
    assert report.forgotten.profiles >= 1
    assert report.forgotten.traces == ()
    left = report.profile
    assert left is not None
    assert "horror" not in left.model_dump_json().lower()
    assert {entry.event.id for entry in left.entries} == {"ana-event-2", "ana-event-3"}
    assert recommender.store.profile("ana") == left
    recommender.forget("bob", everything=True)
    recommender.close()
    for trace in (WORDS.encode(), b"ana-event-0", b"ana-event-9", b"bob-event"):
        assert trace not in raw(path)


def test_an_item_and_a_domain(recommender: Recommender) -> None:
    report = recommender.forget("ana", item="plenty-2010")
    assert report.event_ids == ("ana-event-3",)
    assert report.profile is not None
    assert all(entry.event.item_id != "plenty-2010" for entry in report.profile.entries)
    report = recommender.forget("ana", domain="Films")
    assert report.event_ids == ("ana-event-0", "ana-event-1", "ana-event-2")
    with pytest.raises(InputError, match="no event of 'ana' is about the domain Films"):
        recommender.forget("ana", domain="Films")


def test_everything_leaves_others_as_they_were(recommender: Recommender) -> None:
    other = recommender.store.profile("bob")
    report = recommender.forget("ana", everything=True)
    assert report.profile is None
    assert [person.user_id for person in recommender.store.people()] == ["bob"]
    assert recommender.store.profile("bob") == other
    with pytest.raises(InputError, match="nothing is kept of 'ana'"):
        recommender.forget("ana", everything=True)


def test_the_last_events_leave_no_profile(recommender: Recommender) -> None:
    recommender.forget("ana", domain="films")
    recommender.forget("ana", domain="books")
    report = (
        recommender.forget("ana", interest="Films › Horror") if recommender.store.profile("ana") else None
    )
    assert report is not None
    assert report.profile is None
    assert recommender.store.profile("ana") is None


def test_edits_of_what_is_forgotten_go_and_others_stay(recommender: Recommender) -> None:
    profile = recommender.store.profile("ana")
    assert profile is not None
    profile = recommender.edit(
        profile, {"kind": "rename", "interest": "Films › Horror", "label": "Gruselkram"}
    )
    profile = recommender.edit(profile, {"kind": "rename", "interest": "Films › Comedy", "label": "Laughs"})
    profile = recommender.edit(profile, {"kind": "add", "label": "Ghost stories", "under": "Gruselkram"})
    report = recommender.forget(profile, interest="Gruselkram")
    assert report.profile is not None
    dumped = report.profile.model_dump_json()
    assert "Gruselkram" not in dumped
    assert "Ghost stories" not in dumped
    assert "Laughs" in dumped
    assert "Laughs" in {interest.label for interest in report.profile.interests}


def test_what_was_removed_or_ended_can_be_forgotten_too(recommender: Recommender) -> None:
    profile = recommender.store.profile("ana")
    assert profile is not None
    removed = recommender.edit(profile, {"kind": "remove", "interest": "Films › Horror"})
    assert events_about(removed, "films/horror") == ("ana-event-0", "ana-event-1", "ana-event-9")
    report = recommender.forget(removed, interest="Films › Horror")
    assert report.event_ids == ("ana-event-0", "ana-event-1", "ana-event-9")
    assert report.profile is not None
    assert report.profile.edits == ()


def test_wishes_that_say_nothing_or_too_much_are_refused(recommender: Recommender) -> None:
    with pytest.raises(InputError, match="say what to forget"):
        recommender.forget("ana")
    with pytest.raises(InputError, match="say what to forget"):
        recommender.forget("ana", item="x", everything=True)
    with pytest.raises(InputError, match="there is no interest 'Opera'"):
        recommender.forget("ana", interest="Opera")
    with pytest.raises(InputError, match="no profile is kept of 'eve'"):
        forget(Store(), "eve", item="x")


@pytest.mark.embedded
def test_what_the_model_remembers_goes_too(embedded_model: LanguageModel, tmp_path: Path) -> None:
    with Recommender(embedded_model, ITEMS, store=tmp_path / "store.sqlite3") as recommender:
        profile = recommender.profile(told())
        recommender.recommend(profile, repeats=True)
        assert recommender.store.model_calls.answers_of("ana")
        report = recommender.forget("ana", everything=True)
        assert report.forgotten.answers > 0
        assert report.forgotten.prefixes > 0
        assert not recommender.store.model_calls.answers_of("ana")


def test_events_that_only_an_earlier_profile_or_the_table_holds_go_too(recommender: Recommender) -> None:
    recommender.profile([told()[0]])
    recommender.profile([told()[3]])
    report = recommender.forget("ana", item="alien-1979")
    assert report.event_ids == ("ana-event-0",)
    assert report.forgotten.events == 1
    assert report.forgotten.traces == ()
    assert "ana-event-0" not in {event.id for event in recommender.store.events("ana")}
    report = recommender.forget("ana", domain="films")
    assert set(report.event_ids) <= {"ana-event-1", "ana-event-2"}


def test_what_notes_quote_goes_with_the_events(recommender: Recommender) -> None:
    changed = {**told()[0], "action": "view"}
    profile = recommender.profile([changed, *told()[1:]])
    assert any("ana-event-0" in note for note in profile.notes)
    report = recommender.forget("ana", item="alien-1979")
    assert report.forgotten.traces == ()
    assert recommender.store.traces("ana", ["ana-event-0"]) == []


def test_predictions_for_others_that_rest_on_people_go(recommender: Recommender) -> None:
    for person in ("cy", "dan"):
        recommender.profile([*told(person), {"user_id": person, "action": "say", "text": "I love jazz"}])
    bob = recommender.store.profile("bob")
    assert bob is not None
    predicted = recommender.anticipate(bob)
    assert any("people" in one.sources for one in predicted.predicted)
    recommender.forget("cy", everything=True)
    left = recommender.store.profile("bob")
    assert left is not None
    assert left.predicted == ()
    assert left.hierarchy == bob.hierarchy


def test_looking_at_an_old_profile_does_not_make_it_the_last(recommender: Recommender) -> None:
    profile = recommender.store.profile("ana")
    assert profile is not None
    now = recommender.edit(profile, {"kind": "rename", "interest": "Films › Horror", "label": "Scary"})
    then = now.at(NOON + DAY)
    recommender.recommend(then, repeats=True)
    recommender.anticipate(then)
    recommender.recommend(profile, repeats=True)
    assert recommender.store.profile("ana") == now
    with pytest.raises(InputError, match="as of an earlier time"):
        recommender.edit(then, {"kind": "pin", "interest": "Films › Horror"})
    with pytest.raises(InputError, match="as of an earlier time"):
        recommender.update(then, told()[3:4])
