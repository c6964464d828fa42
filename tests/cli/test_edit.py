"""`llmrec edit`, `undo`, `edits` and `diff`, on profiles that a store keeps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from llmrec.cli.edit import EditAction
from llmrec.interests.edits import EDIT
from llmrec.store import Store
from tests.builders import NOON, history_of, label, profile_from, readings
from tests.cli.conftest import SAMPLE, Outcome, Program

DAY = 86_400
LABELS = ["films/horror", "films/horror", "films/comedy", "books/horror", "cooking", "films/comedy"]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path) -> Path:
    """A store that keeps ana, who likes films, books and cooking."""
    events = [
        {"user_id": "ana", "id": f"e{at}", "action": "like", "text": path, "timestamp": NOON + at * DAY}
        for at, path in enumerate(LABELS)
    ]
    profile = profile_from(list(history_of(events)), readings(*(label(path) for path in LABELS)))
    path = tmp_path / "kept.sqlite3"
    kept = Store(path)
    kept.save_profile(profile)
    kept.close()
    monkeypatch.setenv("LLMREC_STORE", str(path))
    return path


def document(outcome: Outcome) -> Any:
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


def tree(store: Path) -> dict[str, str]:
    """The paths of ana's interests as kept now, by id."""
    kept = Store(store)
    profile = kept.profile("ana")
    kept.close()
    assert profile is not None
    return {one.id: "/".join(profile.hierarchy.path(one.id)) for one in profile.interests}


def test_every_action_of_the_library_has_its_word() -> None:
    kinds = {
        schema["properties"]["kind"]["const"]
        for schema in EDIT.json_schema()["$defs"].values()
        if "kind" in schema.get("properties", {})
    }
    assert {action.value for action in EditAction} == kinds


@pytest.mark.parametrize(
    ("arguments", "after"),
    [
        (["rename", "Films/Horror", "Scary films"], {"films/horror": "Films/Scary films"}),
        (["rename", "films › horror", "Rock/Pop"], {"films/horror": "Films/Rock/Pop"}),
        (["merge", "Comedy", "films/horror"], {"films/comedy": None, "films/horror": "Films/Horror"}),
        (["move", "Comedy", "--under", "Books"], {"films/comedy": "Books/Comedy"}),
        (["move", "Comedy", "--top"], {"films/comedy": "Comedy"}),
        (["remove", "Films"], {"films": None, "films/horror": None, "films/comedy": None}),
        (["add", "Jam", "--under", "Cooking"], {"cooking/jam": "Cooking/Jam"}),
        (["add", "Jazz"], {"music/jazz": None, "music": "Music"}),
        (["add", "Jazz", "--top"], {"jazz": "Jazz", "music": None}),
    ],
)
def test_an_edit_changes_the_kept_profile(
    llmrec_run: Program, store: Path, arguments: list[str], after: dict[str, str | None]
) -> None:
    before = tree(store)
    outcome = llmrec_run("edit", "ana", *arguments)
    assert outcome.code == 0, outcome.err
    assert outcome.err == ""
    assert "kept as version 2" in " ".join(outcome.out.split())
    changed = tree(store)
    for interest_id, path in after.items():
        if interest_id != "music/jazz":
            assert changed.get(interest_id) == path
    undone = llmrec_run("undo", "ana")
    assert undone.code == 0
    assert "undone: " in undone.out
    assert tree(store) == before


def test_what_the_vocabulary_knows_is_added_at_its_place(llmrec_run: Program, store: Path) -> None:
    found = document(llmrec_run("edit", "ana", "add", "jazz", "--json"))
    assert [step["label"] for step in found["edit"]["path"]] == ["Music", "Jazz"]
    assert "Music/Jazz" in tree(store).values()


def test_weights_follow_raise_lower_and_pin(llmrec_run: Program, store: Path) -> None:
    raised = document(llmrec_run("edit", "ana", "raise", "Cooking", "--json"))
    change = next(c for c in raised["changes"]["changed"] if c["after"]["id"] == "cooking")
    assert change["after"]["weight"] == pytest.approx(2 * change["before"]["weight"])
    lowered = document(llmrec_run("edit", "ana", "lower", "Cooking", "--json"))
    again = next(c for c in lowered["changes"]["changed"] if c["after"]["id"] == "cooking")
    assert again["after"] == change["before"]
    pinned = llmrec_run("edit", "ana", "pin", "Cooking").out
    assert "pinned" in pinned
    assert "◆ pinned" in llmrec_run("profile", "--user", "ana").out
    assert "no longer pinned" in llmrec_run("edit", "ana", "unpin", "Cooking").out


def test_a_dry_run_keeps_nothing(llmrec_run: Program, store: Path) -> None:
    content = store.read_bytes()
    outcome = llmrec_run("edit", "ana", "rename", "Cooking", "Baking", "--dry-run")
    assert outcome.code == 0
    assert "nothing is kept (--dry-run)" in outcome.out
    assert "was called Cooking" in outcome.out
    assert document(llmrec_run("edit", "ana", "pin", "Cooking", "--dry-run", "--json"))["version"] is None
    assert store.read_bytes() == content
    assert llmrec_run("undo", "ana").error == "there is no edit of 'ana' to undo"


def test_edits_are_listed_with_their_times_as_the_interests_were_called(
    llmrec_run: Program, store: Path
) -> None:
    assert "0 edits" in llmrec_run("edits", "ana").out
    llmrec_run("edit", "ana", "rename", "Films/Horror", "Scary films")
    llmrec_run("edit", "ana", "pin", "Scary films")
    lines = llmrec_run("edits", "ana").out.splitlines()
    assert lines[1] == "2 edits"
    assert lines[3].endswith("UTC  rename Films › Horror to 'Scary films'")
    assert lines[4].endswith("UTC  pin Films › Horror")
    listed = document(llmrec_run("edits", "ana", "--json"))["edits"]
    assert [edit["kind"] for edit in listed] == ["rename", "pin"]
    assert listed[0]["made"] <= listed[1]["made"]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["bob", "pin", "Films"], "the store holds no profile of 'bob': choose among ana"),
        (["ana", "explode", "Films"], "'explode'"),
        (["ana", "pin", "Bookz"], "did you mean books?"),
        (["ana", "pin", "Sailing"], "llmrec profile --user shows what is there"),
        (["ana", "pin", "Horror"], "Films › Horror, Books › Horror"),
        (["ana", "pin", "Films", "Books"], "pin takes no 'Books': call llmrec edit PERSON pin INTEREST"),
        (["ana", "pin", "Films", "--top"], "--under and --top are for move and add"),
        (["ana", "rename", "Films"], "the new name is missing: call llmrec edit PERSON rename INTEREST NAME"),
        (["ana", "rename", "Films", " "], "a name is empty"),
        (["ana", "rename", "Films", "\x1b"], "the name is empty"),
        (["ana", "rename", "Films", "x" * 81], "81 characters: give at most 80"),
        (["ana", "merge", "Films"], "the interest to merge into is missing"),
        (["ana", "merge", "Films", "Films"], "cannot stand inside itself"),
        (["ana", "move", "Films"], "the place is missing"),
        (["ana", "move", "Films", "--under", "films/horror"], "cannot stand inside itself"),
        (["ana", "move", "Films", "--under", "Books", "--top"], "are two places"),
        (["ana", "add", "Jazz", "Music"], "add takes no 'Music'"),
        (["ana", "pin", "Films", "--vocabulary", "/no/such.jsonl"], "no vocabulary"),
        (["ana", "pin", "Films", "--store", "/no/such.sqlite3"], "there is no store at /no/such.sqlite3"),
        (["ana", "pin", "Films", "--store", ":memory:"], ":memory: keeps nobody"),
    ],
)
def test_wrong_usage_changes_nothing(
    llmrec_run: Program, store: Path, arguments: list[str], part: str
) -> None:
    before = store.read_bytes()
    outcome = llmrec_run("edit", *arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert part in outcome.error
    assert store.read_bytes() == before


@pytest.mark.parametrize("command", [["undo"], ["edits"], ["diff"], ["edit", "pin"], ["anticipate"]])
def test_every_command_names_who_is_kept(llmrec_run: Program, store: Path, command: list[str]) -> None:
    arguments = [command[0], "bob", *command[1:], *(["Films"] if command[0] == "edit" else [])]
    outcome = llmrec_run(*arguments)
    assert outcome.code == 2
    assert "the store holds no profile of 'bob': choose among ana" in outcome.error


def test_without_a_store_nobody_is_kept_and_none_is_made(llmrec_run: Program, home: Path) -> None:
    outcome = llmrec_run("edits", "ana")
    assert outcome.code == 2
    assert "llmrec profile EVENTS makes one" in outcome.error
    assert not list(home.rglob("*.sqlite3"))


def test_names_are_shown_as_text_whatever_is_in_them(llmrec_run: Program, store: Path) -> None:
    hostile = "[red]x[/red]\x1b[2J\x07\u202e :boom:\nand"
    for arguments in (
        ["edit", "ana", "rename", "Cooking", hostile],
        ["edits", "ana"],
        ["diff", "ana"],
        ["profile", "--user", "ana"],
        ["undo", "ana", "--dry-run"],
        ["edit", "ana", "remove", "cooking"],
        ["profile", "--user", "ana", "--suppressed"],
    ):
        outcome = llmrec_run(*arguments)
        assert outcome.code == 0, outcome.err
        assert not {"\x1b", "\x07", "\u202e"} & set(outcome.out), arguments
        assert "[red]x[/red]" in outcome.out, arguments
        assert ":boom: and" in " ".join(outcome.out.split()), arguments


@pytest.mark.parametrize("columns", ["40", "60", "100"])
def test_changes_fit_any_terminal(
    llmrec_run: Program, store: Path, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    name = "Films that keep me awake for a long time after they have ended"
    for arguments in (["edit", "ana", "rename", "films/horror", name], ["edits", "ana"], ["diff", "ana"]):
        text = llmrec_run(*arguments).out
        assert max(len(line) for line in text.splitlines()) <= int(columns), arguments
        assert name in " ".join(text.split()), arguments


def test_changes_are_coloured_in_a_terminal_and_not_where_colour_is_unwanted(
    llmrec_run: Program, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = ["edit", "ana", "add", "Jazz", "--top", "--dry-run"]
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[32m+" in llmrec_run(*call).out
    monkeypatch.delenv("FORCE_COLOR")
    assert "\x1b" not in llmrec_run(*call).out
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[32m" not in llmrec_run(*call).out


def test_the_changes_between_versions_and_dates(llmrec_run: Program, store: Path) -> None:
    only = llmrec_run("diff", "ana")
    assert only.code == 2
    assert "no earlier version of 'ana' is kept" in only.error
    llmrec_run("edit", "ana", "rename", "Cooking", "Baking")
    llmrec_run("edit", "ana", "remove", "Books")
    last = llmrec_run("diff", "ana").out.splitlines()
    assert last[1] == "from version 2 to version 3"
    assert [line.split("  ")[0] for line in last[3:]] == ["- Books", "- Books › Horror"]
    both = document(llmrec_run("diff", "ana", "--from", "1", "--json"))
    assert (both["before"], both["after"]) == ("version 1", "version 3")
    assert {one["id"] for one in both["changes"]["gone"]} == {"books", "books/horror"}
    assert [c["what"] for c in both["changes"]["changed"]] == [["label"]]
    back = document(llmrec_run("diff", "ana", "--from", "3", "--to", "1", "--json"))["changes"]
    assert {one["id"] for one in back["appeared"]} == {"books", "books/horror"}
    assert document(llmrec_run("diff", "ana", "--to", "2", "--json"))["before"] == "version 1"
    assert "nothing changed" in llmrec_run("diff", "ana", "--from", "2", "--to", "2").out


def test_the_changes_since_a_date(llmrec_run: Program, store: Path) -> None:
    begun = datetime.fromtimestamp(NOON + 2.5 * DAY, tz=timezone.utc).isoformat()
    since = document(llmrec_run("diff", "ana", "--from", begun, "--json"))
    assert since["changes"]["new_events"] == ["e3", "e4", "e5"]
    assert {one["id"] for one in since["changes"]["appeared"]} == {"books", "books/horror", "cooking"}
    until = document(llmrec_run("diff", "ana", "--from", str(NOON), "--to", begun, "--json"))
    assert until["changes"]["new_events"] == ["e1", "e2"]
    assert "2 new events" in llmrec_run("diff", "ana", "--from", str(NOON), "--to", begun).out


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--from", "9"], "--from: version 9 of 'ana' is not kept: choose among 1, or give a date"),
        (["--to", "0"], "--to: version 0"),
        (["--from", "soon"], "--from: 'soon' is neither seconds since the epoch nor ISO 8601"),
        (["--from", ""], "--from is empty"),
        (["--to", "2026-01-01"], "give --from"),
    ],
)
def test_wrong_ends_of_a_difference(
    llmrec_run: Program, store: Path, arguments: list[str], part: str
) -> None:
    outcome = llmrec_run("diff", "ana", *arguments)
    assert outcome.code == 2
    assert part in outcome.error


@pytest.mark.parametrize(
    "arguments",
    [["edit", "ana", "pin", "Films"], ["undo", "ana", "--dry-run"], ["edits", "ana"], ["diff", "ana"]],
)
def test_no_model_is_opened(llmrec_run: Program, store: Path, arguments: list[str]) -> None:
    llmrec_run("edit", "ana", "pin", "Cooking")
    code = (
        "import sys; from llmrec.cli.main import main; code = main(sys.argv[1:]);"
        "heavy = {'llama_cpp', 'openai', 'wordllama', 'llmrec.recommender'} & set(sys.modules);"
        "sys.exit(' '.join(sorted(heavy)) or code)"
    )
    environment = {
        **os.environ,
        "LLMREC_MODEL": "llama-cpp:/no/such.gguf",
        "PYTHONPATH": os.pathsep.join([str(SAMPLE.parent.parent), os.environ.get("PYTHONPATH", "")]),
    }
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert done.stderr == b""
