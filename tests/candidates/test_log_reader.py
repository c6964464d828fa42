"""Reading interaction logs: events, and records with all the items of a person."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.candidates.log_reader import read_log
from llmrec.errors import InputError
from llmrec.settings import Settings

SETTINGS = Settings()
TWO_PEOPLE = '{"user": "ana", "items": ["a", "b"]}\n{"user_id": 7, "items": [3, "手机"]}\n'


def stream(text: str) -> io.BytesIO:
    return io.BytesIO(text.encode("utf-8"))


def read(text: str, **options):
    return read_log(stream(text), settings=SETTINGS, **options)


def test_all_the_items_of_a_person_in_one_record() -> None:
    log, report = read(TWO_PEOPLE)
    assert dict(log.sequences) == {"ana": ("a", "b"), "7": ("3", "手机")}
    assert (report.read, report.kept, report.notes, report.rows) == (2, 2, [], [1, 2])


@pytest.mark.parametrize("given_as", ["path", "bytes", "text", "array", "standard input", "indented array"])
def test_every_kind_of_source(given_as: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source: object = stream(TWO_PEOPLE)
    records = [json.loads(line) for line in TWO_PEOPLE.splitlines()]
    if given_as == "path":
        source = tmp_path / "log.jsonl"
        source.write_text("\ufeff\n" + TWO_PEOPLE, "utf-8")
    elif given_as == "text":
        source = io.StringIO(TWO_PEOPLE)
    elif given_as == "array":
        source = io.StringIO(json.dumps(records))
    elif given_as == "indented array":
        source = io.StringIO(json.dumps(records, indent=1))
    elif given_as == "standard input":
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stream(TWO_PEOPLE), "utf-8"))
        source = "-"
    log, _ = read_log(source, settings=SETTINGS)
    assert dict(log.sequences) == {"ana": ("a", "b"), "7": ("3", "手机")}


def test_records_of_one_person_are_joined_in_order() -> None:
    text = (
        '{"user": "u", "items": ["a"]}\n{"user": "v", "items": ["x"]}\n{"user": "u", "items": ["b", "a"]}\n'
    )
    assert dict(read(text)[0].sequences) == {"u": ("a", "b", "a"), "v": ("x",)}


def test_nothing_is_lost_without_a_note() -> None:
    log, report = read(
        '{"user": "ana", "items": ["a", null, ["b"], "c", true, ""]}\n'
        "{not json}\n"
        '{"items": ["a"]}\n'
        '{"user": "leo", "items": "abc"}\n'
        '{"user": "kim", "items": []}\n'
    )
    assert dict(log.sequences) == {"ana": ("a", "c")}
    assert (report.read, report.kept) == (5, 2)
    assert [(note.row, note.kind) for note in report.notes] == [
        (1, "repaired"),
        (2, "set_aside"),
        (3, "set_aside"),
        (4, "set_aside"),
    ]
    assert report.notes[0].reason == "4 of its items are no id"
    assert report.notes[2].reason.startswith("it has no user_id")
    assert report.notes[3].reason == "it has no list of items"


def test_events_are_read_cleaned_and_taken_where_they_speak_for_an_item() -> None:
    log, report = read(
        '{"user": "ana", "item": "b", "rating": 5, "ts": 1719835300}\n'
        '{"user": "ana", "item": "a", "rating": 4, "ts": 1719835200}\n'
        '{"user": "ana", "item": "c", "rating": 1, "ts": 1719835400}\n'
        '{"user": "ana", "item": "d", "action": "ponder"}\n'
        '{"user": "ana", "item": "e", "rating": 90}\n'
    )
    assert dict(log.sequences) == {"ana": ("a", "b")}
    assert [(note.row, note.kind) for note in report.notes] == [(4, "set_aside"), (5, "set_aside")]


def test_other_formats_hold_events(tmp_path: Path) -> None:
    table = tmp_path / "log.csv"
    table.write_text("who,sku\nana,a\nana,b\n", "utf-8")
    columns = {"user_id": "who", "item_id": "sku", "action": "=purchase"}
    log, report = read_log(table, columns=columns, settings=SETTINGS)
    assert dict(log.sequences) == {"ana": ("a", "b")}
    assert report.kept == 2
    with table.open("rb") as opened:
        assert read_log(opened, format="csv", columns=columns, settings=SETTINGS)[0].counts == {
            "a": 1,
            "b": 1,
        }


def test_an_empty_source_is_an_empty_log() -> None:
    log, report = read("")
    assert not log
    assert (report.read, report.kept) == (0, 0)


@pytest.mark.parametrize(
    ("text", "options", "says"),
    [
        ('{"items": ["a"]}\n', {}, r"not one of its records \(1\) could be read.*row 1: it has no user_id"),
        (TWO_PEOPLE, {"columns": {"user_id": "user"}}, "columns= is for events"),
        (TWO_PEOPLE, {"format": "yaml"}, "format 'yaml' is unknown"),
        ("garbage\n", {}, "not one of its records"),
    ],
)
def test_what_cannot_be_read_is_told_in_a_sentence(text: str, options: dict, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read(text, **options)


def test_a_missing_file_and_what_is_no_source(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file"):
        read_log(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match="cannot be read: give a path"):
        read_log(5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="is not UTF-8"):
        read_log(io.BytesIO(b'{"user": "\xff", "items": ["a"]}\n'))
    closed = stream(TWO_PEOPLE)
    closed.close()
    with pytest.raises(InputError, match="cannot be read"):
        read_log(closed)


ids = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=5)


@given(st.dictionaries(ids, st.lists(ids, min_size=1, max_size=4), min_size=1, max_size=5))
def test_what_is_written_is_read_back(sequences: dict[str, list[str]]) -> None:
    text = "".join(json.dumps({"user_id": who, "items": items}) + "\n" for who, items in sequences.items())
    log, report = read(text)
    assert {who: list(items) for who, items in log.sequences.items()} == sequences
    assert report.kept == len(sequences)
