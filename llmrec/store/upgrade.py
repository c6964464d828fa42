"""What a store of an older llmrec holds, brought into the form of this one."""

from __future__ import annotations

import json
import logging
import sqlite3
from typing import Any

from pydantic import ValidationError

from llmrec.interests.profile import InterestProfile

logger = logging.getLogger(__name__)

COUNT_VERSIONS = "INSERT OR IGNORE INTO people SELECT user_id, max(version), 0 FROM profiles GROUP BY user_id"


def upgrade_from_1(connection: sqlite3.Connection) -> None:
    """Bring the records of schema version 1 up to version 2, in the caller's transaction.

    A profile that this llmrec cannot read even so stays as it was, with a warning. Raises sqlite3.Error.
    """
    connection.execute(COUNT_VERSIONS)
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'model_calls'").fetchone():
        # Nothing tells whose they are, so they could not be forgotten; asked again, they come back.
        connection.execute("DELETE FROM model_calls")
    for person, version in connection.execute("SELECT user_id, version FROM profiles").fetchall():
        place = (person, version)
        query = "SELECT profile FROM profiles WHERE user_id = ? AND version = ?"
        text = connection.execute(query, place).fetchone()[0]
        try:
            upgraded = with_readings(json.loads(text))
            InterestProfile.model_validate(upgraded)
        except (ValidationError, ValueError, KeyError, TypeError) as error:
            logger.warning(
                "version %d of the profile of %r is of no use any more: %s", version, person, error
            )
            continue
        connection.execute(
            "UPDATE profiles SET profile = ? WHERE user_id = ? AND version = ?",
            (json.dumps(upgraded, ensure_ascii=False, separators=(",", ":")), *place),
        )


def with_readings(profile: dict[str, Any]) -> dict[str, Any]:
    """A profile of version 1 (JSON) with the reading of each event, as its interests tell it.

    An event is read as the narrowest interests that it supports. A sentence whose strength speaks for an
    interest, and that supports a negative one, turned that away by its words.
    """
    if "readings" in profile:
        return profile
    interests = {interest["id"]: interest for interest in profile["hierarchy"]["interests"]}
    labels: dict[str, list[dict[str, Any]]] = {}
    broader: dict[str, set[str]] = {}
    # The narrower ones first: who supports one supports all above it, which tell nothing more.
    for interest in sorted(interests.values(), key=lambda interest: -interest["level"]):
        path = _path(interests, interest)
        for evidence in interest["evidence"]:
            event_id = evidence["event_id"]
            told = broader.setdefault(event_id, set())
            if interest["id"] not in told:
                negative = interest["polarity"] == "negative"
                label = {"path": path, "share": evidence["share"], "negative": negative, "proposed": False}
                labels.setdefault(event_id, []).append(label)
            told |= {step["id"] for step in path}
    return {**profile, "readings": [_reading(entry, labels) for entry in profile["entries"]]}


def _path(interests: dict[str, dict[str, Any]], interest: dict[str, Any]) -> list[dict[str, str]]:
    above = interest.get("parent_id")
    before = _path(interests, interests[above]) if above is not None else []
    return [*before, {"id": interest["id"], "label": interest["label"]}]


def _reading(entry: dict[str, Any], labels: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    in_words = bool(entry["event"].get("text")) and entry["strength"] > 0
    found = labels.get(entry["event"]["id"], [])
    return {
        "labels": [{**label, "negative": label["negative"] and in_words} for label in found],
        "by_model": False,
    }
