"""`llmrec profile` and `llmrec recommend` from end to end, with a model that counts shared words."""

from __future__ import annotations

import io
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from llmrec.cli.session import default_store_path
from llmrec.llm.scripted import ScriptedModel
from tests.cli.conftest import EVENTS, ITEMS, Outcome, Program

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
def films(tmp_path: Path) -> str:
    return write(tmp_path / "films.jsonl", FILMS)


def event(user: str, item: str, action: str = "like", **fields: Any) -> dict[str, Any]:
    return {"user_id": user, "item_id": item, "action": action, **fields}


def document(outcome: Outcome) -> Any:
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


def test_everyone_in_the_file_is_profiled_in_turn(llmrec_run: Program, tmp_path: Path, films: str) -> None:
    events = write(tmp_path / "e.jsonl", [event("ana", "a"), event("bo", "c"), event("ana", "b")])
    found = document(llmrec_run("profile", events, "--catalog", films, *MODEL, "--json"))
    assert [profile["user_id"] for profile in found["profiles"]] == ["ana", "bo"]
    assert [len(profile["entries"]) for profile in found["profiles"]] == [2, 1]
    assert found["events_report"]["read"] == 3
    assert found["catalog_report"]["kept"] == 3
    one = document(llmrec_run("profile", events, "--catalog", films, *MODEL, "--json", "--user", "bo"))
    assert [profile["user_id"] for profile in one["profiles"]] == ["bo"]


def test_the_profile_for_a_reader(llmrec_run: Program) -> None:
    outcome = llmrec_run("profile", EVENTS, "--catalog", ITEMS, "--user", "tom", *MODEL)
    assert outcome.code == 0
    assert outcome.out.startswith("tom ─")
    assert any(line.startswith("Audio ") and line.endswith(" 13") for line in outcome.out.splitlines())
    assert "−" in outcome.out
    assert "tom: finding interests" in outcome.err.splitlines()
    assert all(line == line.rstrip() for line in outcome.out.splitlines())


def test_what_was_left_out_is_told_on_standard_error_and_in_the_json(
    llmrec_run: Program, tmp_path: Path, films: str
) -> None:
    events = write(
        tmp_path / "e.jsonl",
        [event("ana", "a"), event("ana", "gone"), event("ana", "b"), event("bo", "c"), {"user_id": "x"}],
    )
    outcome = llmrec_run("profile", events, "--catalog", films, *MODEL)
    notes = [line for line in outcome.err.splitlines() if line.startswith("note: ")]
    assert any("5 read, 4 kept: 1 set aside (row 5: it has no action" in note for note in notes)
    assert any(
        note.startswith("note: ana: 3 read, 2 kept: 1 set aside (row 2: the item 'gone'") for note in notes
    )
    found = document(llmrec_run("profile", events, "--catalog", films, *MODEL, "--json"))
    assert found["events_report"]["notes"][0]["row"] == 5
    assert found["profiles"][0]["report"]["notes"][0]["row"] == 2


def test_no_usable_event_is_a_failure_that_names_the_cure(
    llmrec_run: Program, tmp_path: Path, films: str
) -> None:
    events = write(tmp_path / "e.jsonl", [event("ana", "gone")])
    without = llmrec_run("profile", events, *MODEL)
    assert without.code == 1
    assert "give the items with --catalog" in without.error
    wrong = llmrec_run("profile", events, *MODEL, "--catalog", films)
    assert wrong.code == 1
    assert "the item 'gone' is not in the catalogue" in wrong.error
    nothing = write(tmp_path / "empty.jsonl", [])
    assert "there are no events" in llmrec_run("profile", nothing, *MODEL).error


def test_columns_and_formats_are_named_by_options(llmrec_run: Program, tmp_path: Path) -> None:
    events, items = tmp_path / "events.txt", tmp_path / "items.txt"
    events.write_text("who;x\n", encoding="utf-8")
    events.write_text("who,sku\nana,1\n", encoding="utf-8")
    items.write_text("sku\tcalled\n1\tSolaris\n", encoding="utf-8")
    found = document(
        llmrec_run(
            *("profile", str(events), "--format", "csv", "--catalog", str(items), "--catalog-format", "tsv"),
            *("--column", "user_id=who", "--column", "item_id=sku", "--column", "action==purchase"),
            *("--catalog-column", "id=sku", "--catalog-column", "title=called", *MODEL, "--json"),
        )
    )
    entry = found["profiles"][0]["entries"][0]
    assert (entry["event"]["action"], entry["item"]["title"]) == ("purchase", "Solaris")


def test_the_same_question_twice_asks_the_model_once(
    llmrec_run: Program, scripted: list[ScriptedModel]
) -> None:
    arguments = ["recommend", EVENTS, "--catalog", ITEMS, "--user", "ines", *MODEL, "--json"]
    first = document(llmrec_run(*arguments))
    asked = scripted[-1].usage.calls
    second = document(llmrec_run(*arguments))
    assert asked > 0
    assert scripted[-1].usage.calls == 0
    assert default_store_path().is_file()
    assert [item["item"]["id"] for item in first["rankings"][0]["items"]] == [
        item["item"]["id"] for item in second["rankings"][0]["items"]
    ]


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps no such modes")
def test_the_default_store_is_for_its_owner_alone(llmrec_run: Program) -> None:
    path = default_store_path()
    mask = os.umask(0o022)
    try:
        document(llmrec_run("profile", EVENTS, "--user", "priya", *MODEL, "--json"))
        assert [stat.S_IMODE(each.stat().st_mode) for each in (path, path.parent)] == [0o600, 0o700]
        path.chmod(0o640)
        path.parent.chmod(0o755)
        document(llmrec_run("profile", EVENTS, "--user", "priya", *MODEL, "--json"))
        assert [stat.S_IMODE(each.stat().st_mode) for each in (path, path.parent)] == [0o640, 0o755]
    finally:
        os.umask(mask)


def test_nothing_is_kept_where_that_is_asked(llmrec_run: Program) -> None:
    document(llmrec_run("profile", EVENTS, "--user", "priya", *MODEL, "--store", ":memory:", "--json"))
    assert not default_store_path().exists()


def test_without_a_place_for_the_store_a_warning_says_so(
    llmrec_run: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file"))
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    outcome = llmrec_run("profile", EVENTS, "--user", "priya", *MODEL)
    assert outcome.code == 0
    assert "warning: nothing of this run is kept" in outcome.err


def test_a_saved_profile_gives_the_same_ranking(
    llmrec_run: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = llmrec_run("profile", EVENTS, "--catalog", ITEMS, "--user", "tom", *MODEL, "--json")
    file = tmp_path / "profile.json"
    file.write_text(saved.out, encoding="utf-8")
    options = ["--catalog", ITEMS, *MODEL, "--json", "--store", ":memory:"]
    direct = document(llmrec_run("recommend", EVENTS, "--user", "tom", *options))
    from_file = document(llmrec_run("recommend", "--profile", str(file), *options))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(saved.out.encode())))
    from_stdin = document(llmrec_run("recommend", "--profile", "-", *options))
    by_hand = document(llmrec_run("recommend", "--profile", str(_bare(saved, tmp_path)), *options))
    expected = [(each["item"]["id"], each["score"], each["why"]) for each in direct["rankings"][0]["items"]]
    assert len(expected) == 10
    for found in (from_file, from_stdin, by_hand):
        items = found["rankings"][0]["items"]
        assert [(each["item"]["id"], each["score"], each["why"]) for each in items] == expected
        assert found["profiles"][0]["user_id"] == "tom"


def _bare(saved: Outcome, folder: Path) -> Path:
    file = folder / "bare.json"
    file.write_text(json.dumps(json.loads(saved.out)["profiles"][0]), encoding="utf-8")
    return file


def test_a_person_of_a_saved_file_who_is_not_there(llmrec_run: Program, tmp_path: Path) -> None:
    saved = llmrec_run("profile", EVENTS, "--user", "priya", *MODEL, "--json")
    file = tmp_path / "profile.json"
    file.write_text(saved.out, encoding="utf-8")
    outcome = llmrec_run("recommend", "--profile", str(file), "--user", "bob", "--catalog", ITEMS, *MODEL)
    assert outcome.code == 2
    assert "choose among priya" in outcome.error


def test_one_sentence_is_enough(llmrec_run: Program, films: str) -> None:
    said = "I like science fiction"
    found = document(llmrec_run("recommend", "--say", said, "--catalog", films, *MODEL, "--json"))
    ranking = found["rankings"][0]
    assert [each["item"]["id"] for each in ranking["items"][:2]] in (["a", "b"], ["b", "a"])
    assert found["profiles"][0]["entries"][0]["event"]["text"] == said


def test_a_sentence_is_added_to_the_events_of_a_file(llmrec_run: Program, tmp_path: Path, films: str) -> None:
    events = write(tmp_path / "e.jsonl", [event("ana", "a"), event("ana", "gone")])
    found = document(llmrec_run("recommend", events, "--say", "horror", "--catalog", films, *MODEL, "--json"))
    profile = found["profiles"][0]
    assert [entry["event"]["action"] for entry in profile["entries"]] == ["like", "say"]
    assert (profile["report"]["read"], profile["report"]["kept"]) == (3, 2)


def test_a_sentence_counts_in_full_beside_a_file_that_begins_with_the_newest(
    llmrec_run: Program, tmp_path: Path, films: str
) -> None:
    events = write(
        tmp_path / "e.jsonl",
        [event("ana", "a", timestamp="2026-01-01"), event("ana", "b", timestamp="2020-01-01")],
    )
    found = document(llmrec_run("recommend", events, "--say", "horror", "--catalog", films, *MODEL, "--json"))
    entries = found["profiles"][0]["entries"]
    assert [entry["event"]["action"] for entry in entries] == ["like", "like", "say"]
    assert [entry["decay"] for entry in entries[1:]] == [1, 1]
    assert entries[0]["decay"] < 0.1


def test_a_sentence_hides_no_row_of_the_file(llmrec_run: Program, tmp_path: Path, films: str) -> None:
    events = write(tmp_path / "e.jsonl", [event("ana", "a"), event("ana", "gone")])
    outcome = llmrec_run("recommend", events, "--say", "horror", "--catalog", films, *MODEL)
    assert "note: ana: 3 read, 2 kept: 1 set aside (row 2: the item 'gone'" in outcome.err


@pytest.mark.parametrize("command", ["profile", "recommend"])
def test_faults_of_reading_are_told_when_a_part_of_the_file_is_used(
    llmrec_run: Program, tmp_path: Path, films: str, command: str
) -> None:
    events = write(
        tmp_path / "e.jsonl",
        [event("ana", "a"), event("bo", "c", timestamp="soon"), {"user_id": "bo"}],
    )
    arguments = [command, events, "--catalog", films, *MODEL, "--user"]
    told = f"note: {events}: 3 read, 2 kept: 1 repaired, 1 set aside (row 3: it has no action"
    of_bo, of_ana = llmrec_run(*arguments, "bo"), llmrec_run(*arguments, "ana")
    assert told in of_bo.err
    assert told in of_ana.err
    assert "note: bo: 1 read, 1 kept: 1 repaired (row 2: the timestamp was taken as unknown" in of_bo.err
    assert "note: ana: 1 read" not in of_ana.err
    found = document(llmrec_run(*arguments, "bo", "--json"))
    assert [note["row"] for note in found["profiles"][0]["report"]["notes"]] == [2]
    assert [note["row"] for note in found["events_report"]["notes"]] == [2, 3]
    alone = write(tmp_path / "alone.jsonl", [event("bo", "c", timestamp="soon")])
    assert llmrec_run(command, alone, "--catalog", films, *MODEL).err.count("taken as unknown") == 1


def test_the_store_remembers_a_person(llmrec_run: Program, tmp_path: Path, films: str) -> None:
    events = write(tmp_path / "e.jsonl", [event("ana", "a")])
    store = ["--store", str(tmp_path / "s.sqlite3")]
    document(llmrec_run("profile", events, "--catalog", films, *MODEL, *store, "--json"))
    known = document(llmrec_run("recommend", "--user", "ana", "--catalog", films, *MODEL, *store, "--json"))
    assert {each["item"]["id"] for each in known["rankings"][0]["items"]} == {"b", "c"}
    wish = ["recommend", "--user", "ana", "--say", "horror", "--catalog", films, *MODEL, *store]
    found = document(llmrec_run(*wish, "--json"))
    assert len(found["profiles"][0]["entries"]) == 2
    assert found["notes"] == ["1 event of 'ana' in the store was read as well"]
    assert "note: 1 event of 'ana' in the store was read as well" in llmrec_run(*wish).err
    stranger = llmrec_run("recommend", "--user", "bob", "--catalog", films, *MODEL, *store)
    assert stranger.code == 2
    assert "choose among ana" in stranger.error


def test_candidates_are_ids_or_items(llmrec_run: Program, tmp_path: Path, films: str) -> None:
    ids = tmp_path / "ids.txt"
    ids.write_text("c\n\na\nc\n", encoding="utf-8")
    say = ["recommend", "--say", "science fiction", *MODEL, "--json"]
    by_id = document(llmrec_run(*say, "--catalog", films, "--candidates", str(ids)))["rankings"][0]
    assert [each["item"]["id"] for each in by_id["items"]] == ["a", "c"]
    assert "10 items were asked for and 2 could be ranked" in by_id["notes"]
    by_item = document(llmrec_run(*say, "--candidates", films))["rankings"][0]
    assert by_item["candidates"] == 3
    ids.write_text("nope\n", encoding="utf-8")
    unknown = llmrec_run(*say, "--catalog", films, "--candidates", str(ids))
    assert unknown.code == 1
    assert "'nope' is not in the catalogue" in unknown.error
    ids.write_text("\n", encoding="utf-8")
    assert "no candidates" in llmrec_run(*say, "--catalog", films, "--candidates", str(ids)).error


def test_repeats_are_left_out_unless_asked_for(llmrec_run: Program, tmp_path: Path, films: str) -> None:
    events = write(tmp_path / "e.jsonl", [event("ana", "a")])
    arguments = ["recommend", events, "--catalog", films, *MODEL, "--json"]
    new = document(llmrec_run(*arguments))["rankings"][0]["items"]
    everything = document(llmrec_run(*arguments, "--repeats"))["rankings"][0]["items"]
    assert (len(new), len(everything)) == (2, 3)


def test_the_ranking_for_a_reader(llmrec_run: Program, films: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    outcome = llmrec_run("recommend", "--say", "science fiction", "--catalog", films, *MODEL)
    assert outcome.code == 0
    assert "the best 3 of 3 candidates" in outcome.out
    assert "1  " in outcome.out
    assert "shares words with “science fiction”" in " ".join(outcome.out.split())
    assert "note: you: 10 items were asked for and 3 could be ranked" in outcome.err.splitlines()


def test_events_come_from_standard_input(
    llmrec_run: Program, films: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = json.dumps(event("ana", "a")).encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(events)))
    found = document(llmrec_run("profile", "-", "--catalog", films, *MODEL, "--json"))
    assert found["profiles"][0]["user_id"] == "ana"
