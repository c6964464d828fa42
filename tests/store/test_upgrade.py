"""Profiles of an older llmrec: each event is read as the interests say that it was."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from llmrec.interests.extraction import EventLabel, PathStep
from llmrec.interests.profile import InterestProfile
from llmrec.store import Store
from llmrec.store.upgrade import with_readings
from tests.store.test_file import VERSION_1


def event(event_id: str, strength: float, *, text: str | None = None) -> dict[str, Any]:
    item = None if text else {"id": f"item of {event_id}", "title": "A film"}
    told = {
        "user_id": "ana",
        "action": "say" if text else "rate",
        "item_id": item["id"] if item else None,
        "text": text,
        "value": None,
        "timestamp": None,
        "id": event_id,
    }
    return {"event": told, "item": item, "strength": strength, "decay": 1.0}


def interest(interest_id: str, polarity: str, **shares: float) -> dict[str, Any]:
    return {
        "id": interest_id,
        "label": interest_id.rpartition("/")[2].capitalize(),
        "parent_id": interest_id.rpartition("/")[0] or None,
        "level": interest_id.count("/") + 1,
        "weight": 0.5,
        "confidence": 0.5,
        "polarity": polarity,
        "evidence": [{"event_id": event_id, "share": share} for event_id, share in shares.items()],
    }


# As llmrec 0.1.0 wrote one.
PROFILE: dict[str, Any] = {
    "user_id": "ana",
    "hierarchy": {
        "interests": [
            interest("films", "positive", e1=0.9, e2=0.8, e3=0.5, e4=1.0),
            interest("films/noir", "positive", e1=0.9, e2=0.4),
            interest("films/drama", "positive", e2=0.4),
            interest("films/horror", "negative", e3=0.5, e4=1.0),
        ]
    },
    "entries": [
        event("e1", 1.0),
        event("e2", 1.0),
        event("e3", 1.0, text="没有恐怖片, please"),
        event("e4", -1.0),
        event("e5", 0.2),
    ],
    "language": "en",
    "strategy": "anchored",
    "model": "m",
    "prompts": {},
    "report": {"read": 5, "kept": 5, "notes": []},
    "unlabelled": ["e5"],
    "notes": [],
    "usage": {},
    "seconds": 0.1,
    "created": "2025-06-01T12:00:00Z",
}


def label(interest_id: str, share: float, *, negative: bool = False) -> EventLabel:
    steps = interest_id.split("/")
    path = tuple(PathStep("/".join(steps[: at + 1]), step.capitalize()) for at, step in enumerate(steps))
    return EventLabel(path=path, share=share, negative=negative)


def test_an_event_is_read_as_the_narrowest_interests_it_supports() -> None:
    profile = InterestProfile.model_validate(with_readings(PROFILE))
    found = [set(reading.labels) for reading in profile.readings]
    assert found == [
        {label("films/noir", 0.9)},
        {label("films/noir", 0.4), label("films/drama", 0.4)},
        {label("films/horror", 0.5, negative=True)},
        {label("films/horror", 1.0)},
        set(),
    ]
    assert [each.id for each in profile.interests] == ["films", "films/noir", "films/drama", "films/horror"]
    assert profile.unlabelled == ("e5",)


def test_a_profile_with_readings_is_left_alone() -> None:
    assert with_readings({"readings": []}) == {"readings": []}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(VERSION_1)
        texts = [json.dumps(PROFILE, ensure_ascii=False), "{}", "no JSON", '{"hierarchy": 3}', "[]"]
        for version, text in enumerate(texts, start=1):
            connection.execute("INSERT INTO profiles VALUES (?, ?, 'h', ?)", (1, f"person {version}", text))
    return path


def test_a_file_of_version_1_is_brought_up_to_date_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Store(path)
    profile = store.profile("person 1")
    assert profile is not None
    assert profile == InterestProfile.model_validate(with_readings(PROFILE))
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warned) == 4
    assert warned[0].startswith("version 1 of the profile of 'person 2' is of no use any more")
    assert store.profile_versions("person 2") == [1]
    store.close()
    caplog.clear()
    again = Store(path)
    assert again.profile("person 1") == profile
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []
    again.close()
