"""`llmrec profile` over time: kept profiles, earlier ones, new events, and what is left out of the tree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmrec.interests.edits import EDIT
from llmrec.llm.scripted import ScriptedModel
from llmrec.store import Store
from tests.builders import NOON, history_of, label, profile_from, readings
from tests.cli.conftest import Outcome, Program

DAY = 86_400
MODEL = ["--model", "scripted:"]
pytestmark = pytest.mark.usefixtures("scripted")

FILMS = [
    {"id": "a", "title": "Solaris", "categories": ["Science fiction"], "domain": "films"},
    {"id": "b", "title": "Stalker", "categories": ["Science fiction"], "domain": "films"},
    {"id": "c", "title": "Alien", "categories": ["Horror"], "domain": "films"},
]


def write(path: Path, records: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return str(path)


@pytest.fixture
def films(tmp_path: Path) -> list[str]:
    """The options that name a catalogue and a store."""
    items = write(tmp_path / "films.jsonl", FILMS)
    return ["--catalog", items, *MODEL, "--store", str(tmp_path / "s.sqlite3")]


def like(user: str, item: str, day: int) -> dict[str, Any]:
    return {"user_id": user, "item_id": item, "action": "like", "timestamp": NOON + day * DAY}


def document(outcome: Outcome) -> Any:
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


def test_a_kept_profile_is_shown_without_events_and_without_a_model(
    llmrec_run: Program, scripted: list[ScriptedModel], tmp_path: Path, films: list[str]
) -> None:
    events = write(tmp_path / "e.jsonl", [like("ana", "a", 0), like("ana", "c", 1)])
    made = document(llmrec_run("profile", events, *films, "--json"))
    opened = len(scripted)
    kept = document(llmrec_run("profile", "--user", "ana", *films[2:], "--json"))
    assert kept["profiles"] == made["profiles"]
    shown = llmrec_run("profile", "--user", "ana", *films[2:])
    assert "version 1 in the store" in shown.out
    assert "Films" in shown.out
    assert shown.err == ""
    assert len(scripted) == opened


def test_an_update_reads_the_new_events_only_and_keeps_the_edits(
    llmrec_run: Program, scripted: list[ScriptedModel], tmp_path: Path, films: list[str]
) -> None:
    store = films[-2:]
    first, new = [like("ana", "a", 0), like("ana", "b", 1)], [like("ana", "c", 2), like("ana", "a", 0)]
    document(llmrec_run("profile", write(tmp_path / "e.jsonl", first), *films, "--json"))
    assert llmrec_run("edit", "ana", "rename", "Science fiction", "Sci-fi", *store).code == 0
    updated = llmrec_run("profile", write(tmp_path / "n.jsonl", new), *films, "--update")
    assert updated.code == 0
    assert "3 events" in updated.out
    assert "Sci-fi" in updated.out
    assert "Horror" in updated.out
    assert "note: ana: 2 read, 1 kept: 1 merged" in updated.err.splitlines()
    whole = llmrec_run("profile", write(tmp_path / "w.jsonl", [*first, new[0]]), *films)
    assert updated.out.splitlines()[2:] == whole.out.splitlines()[2:]
    assert llmrec_run("edits", "ana", *store).out.splitlines()[1] == "1 edit"


def test_an_update_makes_profiles_of_people_it_does_not_know_and_says_so(
    llmrec_run: Program, tmp_path: Path, films: list[str]
) -> None:
    document(llmrec_run("profile", write(tmp_path / "e.jsonl", [like("ana", "a", 0)]), *films, "--json"))
    both = write(tmp_path / "n.jsonl", [like("ana", "b", 1), like("bo", "c", 1)])
    outcome = llmrec_run("profile", both, *films, "--update")
    assert "note: bo: the store held no profile, so one was made of these events" in outcome.err.splitlines()
    assert "ana: the store held no profile" not in outcome.err
    third = write(tmp_path / "t.jsonl", [like("cy", "c", 1)])
    found = document(llmrec_run("profile", third, *films, "--update", "--json"))
    assert found["notes"] == ["cy: the store held no profile, so one was made of these events"]
    assert [len(profile["entries"]) for profile in found["profiles"]] == [1]


def test_a_profile_as_it_was(llmrec_run: Program, tmp_path: Path, films: list[str]) -> None:
    events = write(tmp_path / "e.jsonl", [like("ana", "a", 0), like("ana", "c", 30)])
    then = str(NOON + 10 * DAY)
    built = document(llmrec_run("profile", events, *films, "--at", then, "--json"))["profiles"][0]
    assert len(built["entries"]) == 1
    kept = document(llmrec_run("profile", "--user", "ana", *films[2:], "--at", then, "--json"))
    assert kept["profiles"][0]["hierarchy"] == built["hierarchy"]
    shown = llmrec_run("profile", "--user", "ana", *films[2:], "--at", then)
    assert "1 event, " in shown.out
    assert "as of 2025-06-25 15:06 UTC" in shown.out
    assert "Horror" not in shown.out
    now = document(llmrec_run("profile", "--user", "ana", *films[2:], "--json"))
    assert len(now["profiles"][0]["entries"]) == 2


def test_a_profile_without_times_was_never_earlier(
    llmrec_run: Program, tmp_path: Path, films: list[str]
) -> None:
    undated = {name: value for name, value in like("ana", "a", 0).items() if name != "timestamp"}
    outcome = llmrec_run("profile", write(tmp_path / "e.jsonl", [undated]), *films, "--at", "2026-01-01")
    assert outcome.code == 1
    assert "no event of 'ana' has a time" in outcome.error


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "name a file of EVENTS, or --user ID"),
        (["--user", ""], "whose profile?"),
        (["--user", "ana", "--update"], "--update is for events"),
        (["--user", "ana", "--catalog", "x"], "--catalog is for events"),
        (["--user", "bob"], "there is no store"),
        (["--user", "ana", "--at", "soon"], "--at: 'soon' is neither seconds"),
        (["--user", "ana", "--at", " "], "--at is empty"),
    ],
)
def test_wrong_usage(llmrec_run: Program, arguments: list[str], part: str) -> None:
    outcome = llmrec_run("profile", *arguments)
    assert outcome.code == 2
    assert part in outcome.error


@pytest.fixture
def changed(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store that keeps 小雨: one interest ended, one faded, one removed, one pinned."""
    told = [("horror", 1.0), ("opera", 1.0), ("opera", 1.0), *[("cooking", 1.0)] * 3, ("horror", -1.0)]
    old = [("sailing", 1.0)]
    events = [
        {
            "user_id": "小雨",
            "id": f"e{at}",
            "action": "like" if strength > 0 else "dislike",
            "text": name,
            "timestamp": NOON + (at + 1500 * (at > 0)) * DAY,
        }
        for at, (name, strength) in enumerate(old + told)
    ]
    entries = list(history_of(events))
    profile = profile_from(entries, readings(*(label(name) for name, _ in old + told)))
    for edit in ({"kind": "remove", "interest": "opera"}, {"kind": "pin", "interest": "cooking"}):
        profile = profile.edited(EDIT.validate_python(edit))
    path = tmp_path / "changed.sqlite3"
    store = Store(path)
    store.save_profile(profile)
    store.close()
    monkeypatch.setenv("LLMREC_STORE", str(path))
    return path


@pytest.mark.usefixtures("changed")
def test_what_ended_and_what_is_suppressed_stands_below_the_tree(llmrec_run: Program) -> None:
    text = llmrec_run("profile", "--user", "小雨").out
    assert "… and 2 suppressed interests (1 faded, 1 removed): --suppressed lists them" in text
    lines = text.splitlines()
    assert lines[lines.index("Ended") + 1].startswith("2029-07-31  Horror: weighed ")
    assert next(line for line in lines if line.startswith("Horror")).split()[1].startswith("−0.")
    assert "◆ pinned" in next(line for line in lines if line.startswith("Cooking"))
    listed = llmrec_run("profile", "--user", "小雨", "--suppressed").out
    assert "--suppressed lists them" not in listed
    rows = [line.split() for line in listed[listed.index("\nSuppressed\n") :].splitlines()[3:] if line]
    assert [(row[0], row[1]) for row in rows] == [("Opera", "removed"), ("Sailing", "faded")]


@pytest.mark.usefixtures("changed")
@pytest.mark.parametrize("columns", ["40", "60", "100"])
def test_a_changed_profile_fits_any_terminal(
    llmrec_run: Program, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    for more in ([], ["--suppressed"]):
        text = llmrec_run("profile", "--user", "小雨", *more).out
        assert max(len(line) for line in text.splitlines()) <= int(columns)
        assert "…" not in text.replace("… and 2 suppressed", "")


@pytest.mark.embedded
def test_the_whole_way_as_processes(llmrec_process: Program, tmp_path: Path, films: list[str]) -> None:
    store = films[-2:]
    items = films[:2]
    events = write(tmp_path / "e.jsonl", [like("ana", "a", 0), like("ana", "b", 1)])
    new = write(tmp_path / "n.jsonl", [like("ana", "c", 2)])
    assert llmrec_process("profile", events, *items, *store).code == 0
    assert llmrec_process("edit", "ana", "rename", "Science fiction", "Sci-fi", *store).code == 0
    updated = llmrec_process("profile", "-", *items, *store, "--update", stdin=Path(new).read_text("utf-8"))
    assert updated.code == 0, updated.err
    assert "Sci-fi" in updated.out
    assert "Horror" in updated.out
    assert "Sci-fi" not in llmrec_process("profile", "--user", "ana", *store, "--at", "2020-01-01").out
    assert "+ Films › Horror" in llmrec_process("diff", "ana", *store).out
    assert llmrec_process("undo", "ana", *store).code == 0
    assert "Science fiction" in llmrec_process("profile", "--user", "ana", *store).out
