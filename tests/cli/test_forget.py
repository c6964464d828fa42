"""`llmrec forget`: what goes, what is asked before, and what is found afterwards."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llmrec.store import Store
from tests.builders import NOON
from tests.cli.conftest import SAMPLE, Outcome, Program

DAY = 86_400
MODEL = ["--model", "scripted:"]
pytestmark = pytest.mark.usefixtures("scripted")

ITEMS = [
    {"id": "item-solaris", "title": "Solaris", "categories": ["Science fiction"], "domain": "films"},
    {"id": "item-alien", "title": "Alien", "categories": ["Horror"], "domain": "films"},
    {"id": "item-bread", "title": "Tartine Bread", "categories": ["Baking"], "domain": "books"},
]
SENTENCE = "I dream of long voyages under sail"


@pytest.fixture
def store(llmrec_run: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store that keeps ana and bo, each with a profile and a ranking."""
    path = tmp_path / "kept.sqlite3"
    monkeypatch.setenv("LLMREC_STORE", str(path))
    liked = [("ana", item["id"], at) for at, item in enumerate(ITEMS)] + [("bo", "item-alien", 1)]
    events = [
        {
            "user_id": user,
            "item_id": item,
            "action": "like",
            "timestamp": NOON + at * DAY,
            "id": f"{user}-event-{at}",
        }
        for user, item, at in liked
    ]
    said = {"user_id": "ana", "text": SENTENCE, "action": "say", "timestamp": NOON, "id": "ana-event-9"}
    for name, records in (("events.jsonl", [*events, said]), ("items.jsonl", ITEMS)):
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (tmp_path / name).write_text(lines, encoding="utf-8")
    files = [str(tmp_path / "events.jsonl"), "--catalog", str(tmp_path / "items.jsonl")]
    assert llmrec_run("recommend", *files, "--repeats", *MODEL).code == 0
    return path


def document(outcome: Outcome) -> Any:
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


def kept(store: Path, user: str) -> tuple[list[str], int, int]:
    """The ids of a person's events, and how many versions of the profile and rankings there are."""
    opened = Store(store)
    found = (
        sorted(event.id for event in opened.events(user)),
        len(opened.profile_versions(user)),
        len(opened.rankings(user)),
    )
    opened.close()
    return found


@pytest.mark.parametrize(
    ("wish", "gone", "word"),
    [
        (["--item", "item-alien"], {"ana-event-1"}, "Horror"),
        (["--interest", "Films/Horror"], {"ana-event-1"}, "Horror"),
        (["--domain", "Films"], {"ana-event-0", "ana-event-1"}, "Films"),
    ],
)
def test_a_part_is_forgotten_with_all_that_was_made_of_it(
    llmrec_run: Program, store: Path, wish: list[str], gone: set[str], word: str
) -> None:
    others = kept(store, "bo")
    outcome = llmrec_run("forget", "ana", *wish, "--yes")
    assert outcome.code == 0, outcome.err
    lines = {" ".join(line.split()) for line in outcome.out.splitlines()}
    assert {f"events {len(gone)}", "versions of the profile 1", "rankings 1"} <= lines
    assert "No trace of it was found." in lines
    events, versions, rankings = kept(store, "ana")
    assert set(events) == {"ana-event-0", "ana-event-1", "ana-event-2", "ana-event-9"} - gone
    assert (versions, rankings) == (1, 0)
    assert kept(store, "bo") == others
    shown = llmrec_run("profile", "--user", "ana").out
    assert word not in shown
    assert f"{len(events)} event" in shown


def test_everything_goes(llmrec_run: Program, store: Path) -> None:
    others = kept(store, "bo")
    assert SENTENCE.encode() in store.read_bytes()
    report = document(llmrec_run("forget", "ana", "--everything", "--yes", "--json"))
    assert report["forgotten"]["events"] == 4
    assert report["forgotten"]["traces"] == []
    assert report["profile"] is None
    assert kept(store, "ana") == ([], 0, 0)
    assert kept(store, "bo") == others
    for file in store.parent.glob("kept.sqlite3*"):
        assert SENTENCE.encode() not in file.read_bytes()
    again = llmrec_run("forget", "ana", "--everything", "--yes")
    assert again.code == 2
    assert again.error == "the store keeps nothing of 'ana': choose among bo"


def test_what_local_models_keep_in_a_folder_goes_too(
    llmrec_run: Program, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from llmrec.llm.prefix_files import SUFFIX

    folder = tmp_path / "prefixes"
    folder.mkdir()
    (folder / f"state{SUFFIX}").write_bytes(b"what was read of ana")
    monkeypatch.setenv("LLMREC_PREFIX_FOLDER", str(folder))
    report = document(llmrec_run("forget", "ana", "--item", "item-alien", "--yes", "--json"))
    assert report["forgotten"]["prefixes"] == 1
    assert not list(folder.glob(f"*{SUFFIX}"))


def test_a_record_that_cannot_be_read_can_be_forgotten(llmrec_run: Program, store: Path) -> None:
    with sqlite3.connect(store) as connection:
        connection.execute("UPDATE profiles SET profile = '{}' WHERE user_id = 'ana'")
    connection.close()
    refused = llmrec_run("forget", "ana", "--item", "item-alien", "--yes")
    assert refused.code == 1
    assert "cannot read" in refused.error
    assert llmrec_run("forget", "ana", "--everything", "--yes").code == 0
    assert kept(store, "ana") == ([], 0, 0)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["ana"], "give one of --interest, --item, --domain and --everything"),
        (["ana", "--item", "item-alien", "--everything"], "not --item and --everything"),
        (["ana", "--everything"], "nobody is there to ask whether to go on: give --yes"),
        (["bob", "--everything", "--yes"], "the store keeps nothing of 'bob': choose among ana, bo"),
        (
            ["bob", "--item", "item-alien", "--yes"],
            "the store holds no profile of 'bob': choose among ana, bo",
        ),
        (["ana", "--interest", "Horor", "--yes"], "did you mean horror?"),
        (["ana", "--item", "item-x", "--yes"], "no event of 'ana' is about the item item-x"),
        (["ana", "--domain", "fruit", "--yes"], "about the domain fruit: choose among films, books"),
        (["ana", "--item", "\x1b[2J", "--yes"], "the item [2J"),
    ],
)
def test_wrong_usage_forgets_nothing(
    llmrec_run: Program, store: Path, arguments: list[str], part: str
) -> None:
    before = kept(store, "ana")
    outcome = llmrec_run("forget", *arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert part in outcome.error
    assert kept(store, "ana") == before


def test_a_trace_that_is_left_is_told_and_is_a_failure(
    llmrec_run: Program, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmrec.store.forgetting.traces_of", lambda *_: ["events"])
    outcome = llmrec_run("forget", "ana", "--everything", "--yes")
    assert outcome.code == 1
    assert "A trace is left in events." in outcome.out
    assert outcome.error.startswith("a trace is left in events: run it again")


@pytest.mark.skipif(os.name == "nt", reason="there is no pseudo-terminal here")
@pytest.mark.parametrize(("answer", "code", "left"), [("n", 130, 4), ("y", 0, 3)])
def test_in_a_terminal_it_asks_first(store: Path, answer: str, code: int, left: int) -> None:
    import pty

    try:
        controller, terminal = pty.openpty()
    except OSError:
        pytest.skip("this machine has no pseudo-terminals")
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "llmrec.cli.main", "forget", "ana", "--item", "item-alien"],
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(SAMPLE.parent.parent)},
        )
        os.write(controller, f"{answer}\n".encode())
        out, err = process.communicate(timeout=120)
    finally:
        os.close(terminal)
        os.close(controller)
    assert process.returncode == code, err
    asked = "Forget the item item-alien of 'ana' (1 event of 4)? It cannot be undone [y/N]: "
    assert err.decode().startswith(asked)
    assert not out.startswith(b" ")
    assert (b"No trace" in out) == (answer == "y")
    assert len(kept(store, "ana")[0]) == left
