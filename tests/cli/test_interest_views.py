"""What is told of interests beside the tree, on profiles made by hand."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from llmrec.cli.interest_views import (
    changes_view,
    day,
    edit_words,
    edits_view,
    ended_view,
    interest_names,
    minute,
    names_as_found,
    predicted_view,
    suppressed_view,
)
from llmrec.interests.anticipation import PredictedInterest
from llmrec.interests.edits import Merge, Move, Pin, Remove, Rename
from llmrec.interests.profile import InterestProfile
from tests.builders import NOON, history_of, label, profile_from, readings

DAY = 86_400
HOSTILE = "[red]x\x1b[2J\u202e"


def profile(*paths: str, **fields: object) -> InterestProfile:
    """One event a path; with "-" before it, a dislike."""
    events = [
        {
            "user_id": "ana",
            "id": f"e{at}",
            "action": "dislike" if path.startswith("-") else "like",
            "text": path,
            "timestamp": NOON + at * DAY,
        }
        for at, path in enumerate(paths)
    ]
    found = readings(*(label(path.removeprefix("-")) for path in paths))
    return profile_from(list(history_of(events)), found, **fields)


def shown(renderable: object, width: int = 100, **options: object) -> str:
    console = Console(file=io.StringIO(), width=width, markup=False, emoji=False, highlight=False, **options)  # type: ignore[arg-type]
    console.print(renderable)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_times_are_told_in_utc() -> None:
    assert (day(NOON), minute(NOON)) == ("2025-06-15", "2025-06-15 15:06 UTC")
    assert (day(None), minute(None)) == ("undated", "undated")


def test_names_before_and_after_edits() -> None:
    told = profile("films/horror", "films/comedy")
    renamed = told.edited(Rename(interest="films/horror", label="Scary")).edited(Remove(interest="Comedy"))
    assert interest_names(renamed) == {
        "films": "Films",
        "films/horror": "Films › Scary",
        "films/comedy": "Films › Comedy",
    }
    assert names_as_found(renamed)["films/horror"] == "Films › Horror"
    names = interest_names(told)
    assert edit_words(Merge(interest="films/horror", into="films/comedy"), names) == (
        "merge Films › Horror into Films › Comedy"
    )
    assert edit_words(Move(interest="films/horror"), names) == "move Films › Horror to the top"
    assert edit_words(Pin(interest="gone"), names) == "pin gone"


def test_each_change_has_its_sign_and_colour() -> None:
    before = profile("films", "films", "cooking/bread", "sailing")
    after = before.edited(Remove(interest="sailing")).edited(Rename(interest="films", label="Cinema"))
    gone = shown(
        changes_view(before.diff(after)), force_terminal=True, color_system="standard", no_color=False
    )
    assert "\x1b[31m-\x1b[0m \x1b[31mSailing  +" in gone
    assert "\x1b[33m~\x1b[0m \x1b[33mCinema  +" in gone
    back = shown(
        changes_view(after.diff(before)), force_terminal=True, color_system="standard", no_color=False
    )
    assert "\x1b[32m+\x1b[0m \x1b[32mSailing  +" in back
    assert shown(changes_view(before.diff(before))).strip() == "nothing changes in the tree"


def test_of_changed_weights_the_largest_are_shown_and_nothing_else_is_hidden() -> None:
    before = profile(*(f"i{at}" for at in range(9)), "films")
    after = profile(*(f"i{at}" for at in range(9)), "films", "films").edited(
        Rename(interest="i0", label="Zero")
    )
    difference = before.diff(after)
    whole = shown(changes_view(difference)).splitlines()
    cut = shown(changes_view(difference, most_weights=2)).splitlines()
    hidden = int(next(line for line in cut if line.startswith("…")).split()[2])
    assert len(whole) - (len(cut) - 1) == hidden > 0
    assert sum("was called" in line for line in cut) == 1
    assert cut[-1].rstrip() == "1 new event"
    assert any(line.startswith("~ Films") for line in cut)


def test_events_alone_can_be_all_that_changed() -> None:
    before = profile("films", "films")
    after = profile("films", "films", "films")
    assert shown(changes_view(before.diff(after))).splitlines()[-1].rstrip() == "1 new event"
    assert shown(changes_view(after.diff(before))).splitlines()[-1].rstrip() == "1 missing event"


def predicted(**fields: object) -> InterestProfile:
    guesses = (
        PredictedInterest.model_validate(
            {
                "id": "music/jazz",
                "path": ("Music", HOSTILE),
                "score": 0.431,
                "sources": {"neighbourhood": 0.3, "people": 0.131},
                "inferred_from": ("films/horror", "films"),
                "similar_people": 4,
                **fields,
            }
        ),
        PredictedInterest(id="x", path=("音乐", "爵士乐"), score=0.1),
    )
    return profile("films/horror").model_copy(update={"predicted": guesses})


def test_a_prediction_says_what_it_was_inferred_from() -> None:
    text = " ".join(shown(predicted_view(predicted())).split())
    assert text.startswith("1 0.43 Music › [red]x[2J from Films › Horror, Films; ")
    assert "shown by 4 people with like interests; score: neighbourhood 0.30, people 0.13" in text
    assert "2 0.10 音乐 › 爵士乐" in text
    assert "shown by 1 person with" in " ".join(shown(predicted_view(predicted(similar_people=1))).split())
    assert shown(predicted_view(profile("films"))).strip() == "nothing could be predicted"


@pytest.mark.parametrize("width", [40, 60, 100])
def test_every_view_fits_any_terminal_and_shows_names_as_text(width: int) -> None:
    name = f"{HOSTILE} that keeps me awake for a long long time"
    told = profile("cooking", "films/horror", "cooking", "-films/horror", "opera/buffa")
    told = told.edited(Rename(interest="films/horror", label=name)).edited(Remove(interest="opera"))
    assert told.ended
    assert told.suppressed
    views = [
        ended_view(told),
        edits_view(told),
        suppressed_view(told.edited(Remove(interest="films")).suppressed),
        changes_view(profile("cooking").diff(told)),
        predicted_view(predicted()),
    ]
    for view in views:
        text = shown(view, width)
        assert max(cell_len(line.rstrip()) for line in text.splitlines()) <= width
        assert "[red]x" in text
        assert not {"\x1b", "\u202e"} & set(text)
        assert "…" not in text


def test_why_each_interest_is_suppressed() -> None:
    told = profile("opera", "cooking", "-cooking", "opera", "opera").edited(Remove(interest="opera"))
    rows = [line.split() for line in shown(suppressed_view(told.suppressed)).splitlines()[1:]]
    assert rows[0][:3] == ["Opera", "removed", "by"]
    assert rows[0][-1] == "3"
    assert shown(suppressed_view(())).strip() == "nothing is suppressed"
