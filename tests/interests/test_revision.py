"""Edits, earlier times and differences of a profile."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from llmrec.behavior.cleaning import CleaningNote, CleaningReport
from llmrec.behavior.events import Event
from llmrec.errors import InputError
from llmrec.interests.edits import Add, Edit, Merge, Move, Pin, Raise, Remove, Rename
from llmrec.interests.extraction import PathStep
from llmrec.interests.profile import InterestProfile
from llmrec.interests.revision import place_in, without_events
from llmrec.interests.taxonomy import Vocabulary, VocabularyNode
from tests.builders import DAY, NOON, history_of, label, profile_from, readings
from tests.interests.test_numbers import told


def watcher() -> InterestProfile:
    """Horror for four weeks, then a no to it, then cooking."""
    history = history_of(told("like", "like", "like", "like", "say", "like", "like", days=7))
    found = readings(
        *[label("films/horror")] * 4, label("films/horror", negative=True), *[label("cooking/bread")] * 2
    )
    return profile_from(history, found)


def test_an_edit_and_its_undoing_leave_what_was() -> None:
    profile = watcher()
    for edit in (
        Rename(interest="films", label="Cinema"),
        Move(interest="Bread"),
        Merge(interest="Cooking › Bread", into="cooking"),
        Remove(interest="films/horror"),
        Pin(interest="cooking"),
        Raise(interest="cooking/bread"),
        Add(label="Jazz"),
    ):
        edited = profile.edited(edit)
        assert edited.hierarchy != profile.hierarchy
        assert edited.undone().model_copy(update={"created": profile.created}) == profile
    with pytest.raises(InputError, match="no edit of 'a' to undo"):
        profile.undone()


def test_names_are_found_by_id_label_and_path() -> None:
    profile = watcher()
    for name in ("films/horror", "Horror", "films › HORROR", "Films/Horror"):
        assert profile.find(name) == "films/horror"
    with pytest.raises(InputError, match=r"no interest 'Horor' of 'a': did you mean horror\?"):
        profile.find("Horor")
    two = profile.edited(Add(label="Horror", under="cooking"))
    with pytest.raises(InputError, match="could be several interests"):
        two.find("Horror")
    assert two.find("Cooking/Horror") == "cooking/horror"


def test_what_is_added_rests_on_the_words_that_added_it() -> None:
    profile = watcher()
    added = profile.edited(Add(label="Sourdough", under="bread"))
    interest = added.hierarchy["cooking/bread/sourdough"]
    (entry,) = added.evidence(interest.id)
    assert (entry.event.text, entry.event.action) == ("Sourdough", "say")
    assert added.entries[-1] == entry
    assert interest.weight > 0.1, "as of the last event, it is new"
    assert added.hierarchy["cooking"].support == 3
    with pytest.raises(ValidationError, match="the name is empty"):
        Add(label="  ")


def test_edits_that_cannot_be_made_are_refused_and_change_nothing() -> None:
    profile = watcher()
    with pytest.raises(InputError, match="inside itself"):
        profile.edited(Move(interest="films", under="horror"))
    with pytest.raises(InputError, match="inside itself"):
        profile.edited(Merge(interest="films", into="films"))
    with pytest.raises(InputError, match="there is no interest"):
        profile.edited(Remove(interest="opera"))
    deep = profile
    for number in range(6):
        deep = deep.edited(Add(label=f"L{number}", under=f"L{number - 1}" if number else "bread"))
    with pytest.raises(InputError, match="8 levels deep at most"):
        deep.edited(Add(label="too deep", under="L5"))
    with pytest.raises(InputError, match="9 levels deep"):
        deep.edited(Move(interest="films/horror", under="L5")).edited(Move(interest="films", under="L5"))
    assert len(profile.edits) == 0


def test_a_profile_at_an_earlier_time_knows_nothing_later() -> None:
    profile = watcher().edited(Rename(interest="films", label="Cinema", made=NOON + 30 * DAY))
    before = profile.at(NOON + 4 * 7 * DAY)
    assert [entry.event.id for entry in before.entries] == ["e1", "e2", "e3", "e4"]
    assert before.hierarchy["films/horror"].polarity == "positive"
    assert before.hierarchy["films"].label == "Films", "the edit came later"
    assert before.entries[-1].decay == 1.0, "age is measured from the last event of that time"
    assert "4 of 7 events" in before.notes[-1]
    after = profile.at(NOON + 5 * 7 * DAY)
    horror = after.hierarchy["films/horror"]
    assert horror.ended is not None
    assert horror.ended.timestamp == NOON + 5 * 7 * DAY
    assert after.hierarchy["films"].label == "Cinema"
    assert profile.at(NOON + 1000 * DAY).hierarchy == profile.hierarchy
    assert len(profile.at(NOON - DAY).hierarchy) == 0
    for wrong in ("yesterday", "", 12):
        with pytest.raises(InputError):
            profile.at(wrong)


def test_undated_profiles_have_no_earlier_times() -> None:
    history = history_of([{"user_id": "a", "action": "say", "text": "x"}])
    with pytest.raises(InputError, match="no event of 'a' has a time"):
        profile_from(history, readings(label("films"))).at("2026-01-01")


def test_the_difference_of_two_profiles() -> None:
    profile = watcher()
    before = profile.at(NOON + 28 * DAY)
    difference = before.diff(profile)
    assert {interest.id for interest in difference.appeared} == {"cooking", "cooking/bread"}
    assert difference.gone == ()
    assert difference.new_events == ("e5", "e6", "e7")
    (horror,) = (change for change in difference.changed if change.after.id == "films/horror")
    assert {"weight", "polarity", "ended"} <= set(horror.what)
    text = difference.text()
    assert "+ Cooking › Bread" in text
    assert "~ Films › Horror  +1.00 → -" in text
    assert "ended" in text
    assert not profile.diff(profile)
    assert profile.diff(profile).text() == ""
    back = profile.diff(before)
    assert {interest.id for interest in back.gone} == {"cooking", "cooking/bread"}
    assert back.missing_events == difference.new_events


def test_events_taken_out_leave_nothing_behind() -> None:
    profile = watcher().edited(Pin(interest="films/horror")).edited(Add(label="Jazz"))
    jazz = profile.edits[-1].event  # type: ignore[union-attr]
    left = without_events(profile, ["e1", "e2", "e3", "e4", "e5", jazz.id])
    dumped = left.model_dump_json()
    assert {interest.id for interest in left.interests} == {"cooking", "cooking/bread"}
    assert left.edits == ()
    for trace in ("horror", "Jazz", "jazz", "e5"):
        assert trace not in dumped


def test_a_pin_alone_is_a_change_and_has_a_line_of_its_own() -> None:
    profile = watcher()
    pinned = profile.edited(Pin(interest="films"))
    (change,) = profile.diff(pinned).changed
    assert "pinned" in change.what
    assert profile.diff(pinned).lines()[0].endswith("pinned")
    assert pinned.diff(profile).text().endswith("no longer pinned")


def test_a_name_with_a_slash_is_found_as_a_label() -> None:
    renamed = watcher().edited(Rename(interest="films/horror", label="Rock/Pop"))
    assert renamed.find("rock/pop") == "films/horror"
    assert renamed.find("films/horror") == "films/horror"


def test_a_vocabulary_places_only_the_name_of_one_interest() -> None:
    nodes = [
        VocabularyNode(id="music", en="Music", zh="音乐"),
        VocabularyNode(id="jazz", en="Jazz", zh="爵士乐", parent="music"),
        VocabularyNode(id="m2", en="Jazz dance", aliases=("fusion",)),
        VocabularyNode(id="m3", en="Cooking", aliases=("fusion",)),
    ]
    vocabulary = Vocabulary(nodes)
    assert [step.label for step in place_in(vocabulary, " JAZZ ", "en")] == ["Music", "Jazz"]
    assert [step.label for step in place_in(vocabulary, "爵士乐", "zh")] == ["音乐", "爵士乐"]
    assert place_in(vocabulary, "fusion", "en") == ()
    assert place_in(vocabulary, "sailing", "en") == ()


def test_events_taken_out_leave_no_trace_in_notes_links_and_edits() -> None:
    note = CleaningNote(kind="merged", reason="the same event as an earlier one", record='{"id": "e5"}')
    profile = watcher().model_copy(
        update={
            "broader": {"cooking": ("films",), "films": ("cooking",), "cooking/bread": ("films", "cooking")},
            "report": CleaningReport(read=8, kept=7, notes=[note]),
        }
    )
    profile = profile.edited(Add(label="Jazz")).edited(Merge(interest="cooking/bread", into="films/horror"))
    left = without_events(
        profile.edited(Move(interest="Jazz", under="films")), ["e1", "e2", "e3", "e4", "e5", "e7"]
    )
    dumped = left.model_dump_json()
    for trace in ("films", "horror", '"e5"', '"e7"'):
        assert trace not in dumped
    assert left.broader == {"cooking": (), "cooking/bread": ("cooking",)}
    assert left.hierarchy["cooking/bread"].support == 1
    (jazz,) = left.edits
    assert isinstance(jazz, Add)
    assert jazz.after == "e6", "the last one before it that is left"
    nothing_before = without_events(left, ["e6"])
    assert isinstance(nothing_before.edits[0], Add)
    assert nothing_before.edits[0].after is None


def test_names_without_a_letter_are_told_apart() -> None:
    profile = watcher()
    for name in ("🎸", "🎹", "→", "Other", "›"):
        profile = profile.edited(Add(label=name))
    assert {i.label for i in profile.interests if i.level == 1} >= {"🎸", "🎹", "→", "Other", "›"}
    again = profile.edited(Add(label="🎸"))
    assert again.hierarchy[again.find("🎸")].support == 2


def test_what_is_added_is_the_persons_own() -> None:
    event = Event(user_id="somebody else", action="say", text="Jazz")
    with pytest.raises(InputError, match="the event is of 'somebody else', not of 'a'"):
        watcher().edited(Add(label="Jazz", event=event))


def test_what_was_removed_can_be_added_again_without_the_rest() -> None:
    profile = watcher().edited(Remove(interest="cooking"))
    assert "cooking" not in profile.hierarchy
    steps = (PathStep("cooking", "Cooking"), PathStep("cooking/cakes", "Cakes"))
    again = profile.edited(Add(label="Cakes"), path=steps)
    assert {i.id for i in again.interests} >= {"cooking", "cooking/cakes"}
    assert "cooking/bread" not in again.hierarchy
    assert {one.id for one in again.suppressed if one.reason == "removed"} == {"cooking/bread"}
    whole = again.edited(Add(label="Cooking"), path=steps[:1])
    assert {"cooking", "cooking/cakes", "cooking/bread"} <= {i.id for i in whole.interests}
    once_more = whole.edited(Remove(interest="cooking"))
    assert {one.id for one in once_more.suppressed if one.reason == "removed"} == {
        "cooking",
        "cooking/cakes",
        "cooking/bread",
    }
    assert once_more.undone().hierarchy == whole.hierarchy


@pytest.mark.parametrize(
    "edit",
    [
        Pin(interest="Horror"),
        Rename(interest="Horror", label="Scary"),
        Raise(interest="Horror"),
        Move(interest="Horror"),
        Move(interest="cooking", under="Horror"),
        Merge(interest="Horror", into="cooking"),
        Merge(interest="cooking", into="Films › Horror"),
    ],
)
def test_what_was_removed_takes_no_edit_until_it_is_back(edit: Edit) -> None:
    removed = watcher().edited(Remove(interest="films/horror"))
    with pytest.raises(InputError, match="Films › Horror was removed: add it again, or undo, first"):
        removed.edited(edit)
    assert removed.undone().edited(edit).edits
    back = removed.edited(Add(label="Horror", under="films"))
    assert back.edited(edit).edits[-1].kind == edit.kind


def test_below_what_was_removed_everything_counts_as_removed() -> None:
    removed = watcher().edited(Remove(interest="films"))
    with pytest.raises(InputError, match="Films › Horror was removed"):
        removed.edited(Pin(interest="films/horror"))


@pytest.mark.parametrize("nothing", [None, "pin", {"kind": "pin", "interest": "films"}])
def test_what_is_no_edit_is_refused_with_the_kinds_there_are(nothing: Any) -> None:
    with pytest.raises(InputError, match=r"is no edit: give one of Rename, Merge, .*Remove, Add"):
        watcher().edited(nothing)
