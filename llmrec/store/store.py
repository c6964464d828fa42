"""What is kept between runs, in one SQLite file: events, profile versions, rankings and model calls."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from llmrec.behavior.events import Event
from llmrec.errors import InputError, StoreError
from llmrec.interests.profile import InterestProfile
from llmrec.llm.model_calls import ModelCallCache
from llmrec.ranking.types import Ranking
from llmrec.store.file import StoreFile
from llmrec.store.forgetting import Forgotten, forget_events, forget_person
from llmrec.store.traces import texts_in_files, traces_of

logger = logging.getLogger(__name__)

StoredT = TypeVar("StoredT", bound=BaseModel)

KEPT_PROFILES = 20
MOST_PEOPLE = 200
UNSAID = {"created", "seconds", "usage", "report"}
"""What tells how a profile was made, and not what it says."""


class UnreadableRecordError(StoreError):
    """A record of the store was written by another llmrec, or damaged."""


class PersonSummary(BaseModel):
    """What is kept of one person, in numbers."""

    model_config = ConfigDict(frozen=True)

    user_id: str
    events: int
    profiles: int
    rankings: int


class Store:
    """The SQLite file, or a store in memory. Threads and processes may share one.

    What is deleted is overwritten in the file.
    """

    def __init__(self, path: Path | None = None, *, keep_profiles: int = KEPT_PROFILES) -> None:
        """Open or create the file, for its owner alone to read; None keeps everything in memory until closed.

        Of each person's profile the last `keep_profiles` versions are kept, at least 1. A file of an older
        llmrec is brought up to date. Raises StoreError when the file cannot be used or was written by a newer
        llmrec, InputError when no version would be kept.
        """
        if keep_profiles < 1:
            raise InputError(f"keep_profiles is {keep_profiles}: keep at least one version of a profile")
        self._keep_profiles = keep_profiles
        self._file = StoreFile(path)

    @property
    def model_calls(self) -> ModelCallCache:
        """The answers of models, by the hash of the request."""
        return self._file.model_calls

    def save_events(self, events: Iterable[Event]) -> list[str]:
        """Keep events in their order.

        An event that differs from a kept one of the same person and id takes its place. Returns the ids of
        those. Raises StoreError.
        """
        displaced: list[str] = []
        with self._file.transaction() as connection:
            start = connection.execute("SELECT coalesce(max(position), 0) FROM events").fetchone()[0]
            for position, event in enumerate(events, start=start + 1):
                text = event.model_dump_json()
                kept = connection.execute(
                    "SELECT event FROM events WHERE user_id = ? AND event_id = ?", (event.user_id, event.id)
                ).fetchone()
                if kept is None:
                    connection.execute(
                        "INSERT INTO events VALUES (?, ?, ?, ?)", (event.user_id, event.id, position, text)
                    )
                elif kept[0] != text:
                    displaced.append(event.id)
                    connection.execute(
                        "UPDATE events SET event = ? WHERE user_id = ? AND event_id = ?",
                        (text, event.user_id, event.id),
                    )
        return displaced

    def events(self, user_id: str) -> list[Event]:
        """The kept events of a person, in the order they were saved. Raises StoreError."""
        rows = self._rows("SELECT event FROM events WHERE user_id = ? ORDER BY position", user_id)
        return [self._read(Event, text) for (text,) in rows]

    def save_profile(self, profile: InterestProfile) -> int:
        """Keep a profile and return its version, from 1 up.

        A profile that says the same as the last one is not kept again, and the oldest versions go when there
        are too many; no number is given twice. Raises StoreError.
        """
        person = profile.user_id
        said = _said(profile)
        content = _hash(said)
        text = f"{profile.model_dump_json(include=UNSAID)[:-1]},{said[1:]}"
        with self._file.transaction() as connection:
            last = connection.execute(
                "SELECT version, content FROM profiles WHERE user_id = ? ORDER BY version DESC LIMIT 1",
                (person,),
            ).fetchone()
            if last and last[1] == content:
                return int(last[0])
            counted = connection.execute(
                "SELECT last_version FROM people WHERE user_id = ?", (person,)
            ).fetchone()
            version = int(counted[0] if counted else 0) + 1
            # First, so that the new version takes the pages of the one that goes.
            connection.execute(
                "DELETE FROM profiles WHERE user_id = ? AND version <= (SELECT version FROM profiles"
                " WHERE user_id = ? ORDER BY version DESC LIMIT 1 OFFSET ?)",
                (person, person, self._keep_profiles - 1),
            )
            connection.execute("INSERT INTO profiles VALUES (?, ?, ?, ?)", (version, person, content, text))
            connection.execute(
                "INSERT OR REPLACE INTO people VALUES (?, ?, ?)", (person, version, time.time())
            )
            return version

    def profile(self, user_id: str, version: int | None = None) -> InterestProfile | None:
        """One version of a person's profile, the last one unless named; None when there is none."""
        if version is None:
            rows = self._rows(
                "SELECT profile FROM profiles WHERE user_id = ? ORDER BY version DESC LIMIT 1", user_id
            )
        else:
            rows = self._rows(
                "SELECT profile FROM profiles WHERE user_id = ? AND version = ?", user_id, version
            )
        return self._read(InterestProfile, rows[0][0]) if rows else None

    def version_of(self, profile: InterestProfile) -> int | None:
        """The last kept version that says what this profile says; None when there is none."""
        rows = self._rows(
            "SELECT max(version) FROM profiles WHERE user_id = ? AND content = ?",
            profile.user_id,
            content_hash(profile),
        )
        return rows[0][0] if rows else None

    def profile_versions(self, user_id: str) -> list[int]:
        """The versions of a person's profile that are kept, oldest first."""
        rows = self._rows("SELECT version FROM profiles WHERE user_id = ? ORDER BY version", user_id)
        return [row[0] for row in rows]

    def last_profiles(self, but: str | None = None, most: int = MOST_PEOPLE) -> Iterator[InterestProfile]:
        """The last profile of each person but one, those saved last first, at most so many.

        A profile that this llmrec cannot read is passed over with a warning. Raises StoreError.
        """
        rows = self._rows(
            "SELECT user_id FROM people WHERE user_id IS NOT ? AND EXISTS"
            " (SELECT 1 FROM profiles WHERE profiles.user_id = people.user_id)"
            " ORDER BY saved DESC, user_id LIMIT ?",
            but,
            most,
        )
        for (user_id,) in rows:
            try:
                profile = self.profile(user_id)
            except UnreadableRecordError as error:
                logger.warning("the profile of %r is passed over: %s", user_id, error)
                continue
            if profile is not None:
                yield profile

    def save_ranking(self, ranking: Ranking, version: int) -> int:
        """Keep a ranking made from a version of the profile, and return its number. Raises StoreError."""
        with self._file.transaction() as connection:
            cursor = connection.execute(
                "INSERT INTO rankings (user_id, version, ranking) VALUES (?, ?, ?)",
                (ranking.user_id, version, ranking.model_dump_json()),
            )
            return int(cursor.lastrowid or 0)

    def rankings(self, user_id: str) -> list[Ranking]:
        """All rankings of a person, oldest first."""
        rows = self._rows("SELECT ranking FROM rankings WHERE user_id = ? ORDER BY number", user_id)
        return [self._read(Ranking, text) for (text,) in rows]

    def people(self) -> list[PersonSummary]:
        """Everyone something is kept of, by id."""
        rows = self._rows(
            "SELECT user_id, sum(e), sum(p), sum(r) FROM ("
            " SELECT user_id, count(*) e, 0 p, 0 r FROM events GROUP BY user_id"
            " UNION ALL SELECT user_id, 0, count(*), 0 FROM profiles GROUP BY user_id"
            " UNION ALL SELECT user_id, 0, 0, count(*) FROM rankings GROUP BY user_id"
            ") GROUP BY user_id ORDER BY user_id"
        )
        return [PersonSummary(user_id=u, events=e, profiles=p, rankings=r) for u, e, p, r in rows]

    def forget_events(self, user_id: str, event_ids: Iterable[str]) -> Forgotten:
        """Delete events of a person, and all that was made of them.

        Every version of the profile goes that holds one of them, every ranking that does or that was made
        from such a version or from one that is no longer there, and every answer of a model that was noted
        as this person's and is nobody else's. All of it goes or nothing. Then the file is written anew where
        nobody is at work on it, and searched for what is left. Raises StoreError.
        """
        return forget_events(self._file, user_id, frozenset(event_ids))

    def forget_person(self, user_id: str, *, unattributed: bool = False) -> Forgotten:
        """Delete everything of a person, as `forget_events` does.

        With `unattributed`, those answers of models go too that are noted as nobody's: a file of an older
        llmrec does not tell whose they are. Raises StoreError.
        """
        return forget_person(self._file, user_id, unattributed=unattributed)

    def clear_shared_predictions(self, *, but: str) -> int:
        """Empty the predictions of others that rest on people with like interests; returns how many profiles.

        Those people are not named in them, so all go when one of them is forgotten. Raises StoreError.
        """
        marks = '"people":'
        with self._file.transaction() as connection:
            rows = connection.execute(
                "SELECT user_id, version, profile FROM profiles WHERE user_id <> ? AND instr(profile, ?) > 0",
                (but, marks),
            ).fetchall()
            cleared = 0
            for user_id, version, text in rows:
                try:
                    profile = self._read(InterestProfile, text)
                except UnreadableRecordError:
                    continue
                if not any(predicted.sources.get("people") for predicted in profile.predicted):
                    continue
                without = profile.model_copy(update={"predicted": ()})
                said = _said(without)
                connection.execute(
                    "UPDATE profiles SET content = ?, profile = ? WHERE user_id = ? AND version = ?",
                    (
                        _hash(said),
                        f"{without.model_dump_json(include=UNSAID)[:-1]},{said[1:]}",
                        user_id,
                        version,
                    ),
                )
                cleared += 1
        return cleared

    def traces(self, user_id: str, texts: Sequence[str]) -> list[str]:
        """The tables in which one of the texts still occurs in what is kept of a person.

        A text is an id, or something the person said. It occurs where it is a whole string of a record, or,
        from 8 characters on, a part of one. Raises StoreError.
        """
        return traces_of(self._file, user_id, texts)

    def file_traces(self, texts: Sequence[str]) -> list[str]:
        """The names of the store's files whose bytes hold one of the texts, of anybody, deleted or not.

        The files are the database and its write-ahead log. Texts of fewer than 8 characters are not searched
        for. Raises StoreError when the files cannot be searched.
        """
        return sorted({name for names in texts_in_files(self._file, texts).values() for name in names})

    def close(self) -> None:
        """Close the file. Closing twice is allowed."""
        self._file.close()

    def _rows(self, query: str, *values: object) -> list[Any]:
        with self._file.reading() as connection:
            return connection.execute(query, values).fetchall()

    def _read(self, kind: type[StoredT], text: str) -> StoredT:
        try:
            return kind.model_validate_json(text)
        except ValidationError as error:
            raise UnreadableRecordError(
                f"the store at {self._file.path or 'memory'} holds a record ({kind.__name__}) that this "
                "llmrec cannot read: use the llmrec that wrote it, or another file"
            ) from error


def content_hash(profile: InterestProfile) -> str:
    """A hash of what a profile says, whenever and however fast it was made."""
    return _hash(_said(profile))


def _said(profile: InterestProfile) -> str:
    return profile.model_dump_json(exclude=UNSAID)


def _hash(said: str) -> str:
    return hashlib.sha256(said.encode()).hexdigest()
