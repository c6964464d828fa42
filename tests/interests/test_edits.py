"""Edits read from mappings, and said in words."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from llmrec.interests.edits import EDIT, Add, Rename, added_entry, describe


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"kind": "rename", "interest": "films", "label": "Cinema"}, "rename films to 'Cinema'"),
        ({"kind": "merge", "interest": "a", "into": "b"}, "merge a into b"),
        ({"kind": "move", "interest": "a", "under": "b"}, "move a under b"),
        ({"kind": "move", "interest": "a"}, "move a to the top"),
        ({"kind": "pin", "interest": "a"}, "pin a"),
        ({"kind": "unpin", "interest": "a"}, "unpin a"),
        ({"kind": "raise", "interest": "a"}, "raise a"),
        ({"kind": "lower", "interest": "a"}, "lower a"),
        ({"kind": "remove", "interest": "a"}, "remove a"),
        ({"kind": "add", "label": "Jazz", "under": "music"}, "add 'Jazz' under music"),
    ],
)
def test_every_edit_is_read_and_said(record: dict[str, str], words: str) -> None:
    edit = EDIT.validate_python(record)
    assert describe(edit) == words
    assert EDIT.validate_json(EDIT.dump_json(edit)) == edit


@pytest.mark.parametrize(
    "record",
    [
        {"kind": "explode", "interest": "a"},
        {"kind": "rename", "interest": "a", "label": ""},
        {"kind": "rename", "interest": "a", "label": "x" * 81},
        {"kind": "pin"},
        {"kind": "pin", "interest": ""},
        {"kind": "pin", "interest": "a", "weight": 1},
    ],
)
def test_what_is_no_edit_is_refused(record: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        EDIT.validate_python(record)


def test_an_interest_to_add_has_no_event_before_it_is_added() -> None:
    with pytest.raises(ValueError, match="not made yet"):
        added_entry(Add(label="Jazz"))


def test_a_name_is_one_line_without_what_cannot_be_seen() -> None:
    record = {"kind": "rename", "interest": "a", "label": " Sci\x1b[2J\nfi\u202e 科幻 "}
    edit = EDIT.validate_python(record)
    assert isinstance(edit, Rename)
    assert edit.label == "Sci[2J fi 科幻"
    for empty in ("\x1b\x07", "  ", "\u202e"):
        with pytest.raises(ValidationError, match="the name is empty"):
            EDIT.validate_python({**record, "label": empty})
