"""What a profile answers about itself."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from llmrec.errors import InputError
from llmrec.interests.profile import InterestProfile
from tests.builders import history_of, label, profile_from, readings
from tests.interests.made_profiles import made_profile
from tests.interests.test_numbers import told


def test_a_profile_survives_being_written_and_read() -> None:
    profile = profile_from(
        history_of(told("like", "say", days=3)),
        readings([label("films/horror", 0.5), label("books", proposed=True)], label("films", negative=True)),
        broader={"films/horror": ("books",)},
    )
    assert InterestProfile.model_validate_json(profile.model_dump_json()) == profile
    assert profile.computed() == profile


def test_every_event_has_a_reading() -> None:
    with pytest.raises(ValidationError, match="2 entries and 1 readings"):
        profile_from(history_of(told("like", "like")), readings(label("films")))


def test_events_without_a_label_are_listed() -> None:
    profile = profile_from(history_of(told("like", "view")), readings(label("films"), []))
    assert profile.unlabelled == ("e2",)


def test_what_ended_is_listed_wherever_it_is() -> None:
    profile = profile_from(
        history_of(told("like", "like", "say", days=1)),
        readings(label("films/horror/gore"), label("films"), label("films/horror", negative=True)),
    )
    assert {one.id for one in profile.ended} == {"films/horror", "films/horror/gore"}
    assert {one.ended.event_id for one in profile.ended if one.ended} == {"e3"}


SLASHED = {
    "films": "Films",
    "films/rock": "Rock/Pop",
    "films/a": "Action › Adventure",
    "films/rock/pop": "New",
}


@pytest.mark.parametrize(
    ("name", "interest_id"),
    [
        ("Films › Rock/Pop", "films/rock"),
        ("films/rock/pop › new", "films/rock/pop"),
        ("FILMS›rock/POP", "films/rock"),
        ("Films / Rock/Pop/New", "films/rock/pop"),
        ("Rock / Pop", "films/rock"),
        ("rock/pop › new", "films/rock/pop"),
        ("Films › Action › Adventure", "films/a"),
        ("action/adventure", "films/a"),
    ],
)
def test_labels_with_a_separator_are_found_inside_a_path(name: str, interest_id: str) -> None:
    profile = made_profile(
        [{"text": "x", "action": "say"}] * 2, [["films/rock/pop", "films/a"]] * 2, names=SLASHED
    )
    assert profile.find(name) == interest_id


def test_a_label_with_a_separator_and_a_path_of_the_same_words_are_told_apart() -> None:
    names = {"films/a": "Rock/Pop", "films/rock": "Rock", "films/rock/pop": "Pop"}
    profile = made_profile([{"text": "x", "action": "say"}], [["films/rock/pop", "films/a"]], names=names)
    assert profile.find("Films › Rock/Pop") == "films/a"
    assert profile.find("Films › Rock › Pop") == "films/rock/pop"
    with pytest.raises(InputError, match="could be several"):
        profile.find("Rock/Pop")
    with pytest.raises(InputError, match=r"did you mean rock/pop"):
        profile.find("Rock/Popp")
