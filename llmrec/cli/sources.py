"""Reading the files that a command names: events, items, candidates and saved profiles."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmrec.cli.failures import UsageError
from llmrec.cli.options import FormatChoice, columns_from
from llmrec.cli.terminal import Terminal
from llmrec.errors import InputError

if TYPE_CHECKING:
    from llmrec.behavior.cleaning import CleaningNote, CleaningReport
    from llmrec.behavior.events import Catalog, Event, Item
    from llmrec.candidates.log import InteractionLog
    from llmrec.interests.profile import InterestProfile
    from llmrec.settings import Settings

STANDARD_INPUT = "-"
TABLES = (".csv", ".tsv", ".parquet", ".pq", ".item")


@dataclass(frozen=True)
class FileOptions:
    """A file as the options name it."""

    path: str
    format: FormatChoice | None = None
    columns: Sequence[str] = ()


@dataclass(frozen=True)
class PersonEvents:
    """One person's events, with the report on reading them."""

    user_id: str
    events: list[Event]
    report: CleaningReport


def check_files(*paths: str | None) -> None:
    """Raise UsageError for a file that is not there, and when two are standard input."""
    if sum(path == STANDARD_INPUT for path in paths) > 1:
        raise UsageError("only one file can be standard input: name a path for the others")
    for path in paths:
        if path is not None and path != STANDARD_INPUT and not _exists(path):
            raise UsageError(f"there is no file {path}: check the path")


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False


def read_people(
    terminal: Terminal, source: FileOptions, user_id: str | None
) -> tuple[list[PersonEvents], CleaningReport]:
    """Read the events of a file, person by person in the order of their first events; of one if named.

    The second report is that of the whole file; a person's own holds what was noted of their events.
    Raises UsageError when the named person has none, InputError when the file cannot be used.
    """
    from llmrec.behavior.cleaning import CleaningReport
    from llmrec.behavior.columns import EVENT_COLUMNS
    from llmrec.behavior.readers import read_events

    columns = columns_from(source.columns, EVENT_COLUMNS, "--column")
    _tell_what_is_awaited(terminal, source.path, "events")
    events, report = read_events(source.path, format=_format(source), columns=columns)
    if not events:
        raise InputError(f"there are no events in {_name(source.path)}: give at least one")
    by_person: dict[str, list[int]] = {}
    for place, event in enumerate(events):
        by_person.setdefault(event.user_id, []).append(place)
    if user_id is not None:
        if user_id not in by_person:
            raise UsageError(
                f"{_name(source.path)} has no events of {user_id!r}: choose among {some(list(by_person))}"
            )
        by_person = {user_id: by_person[user_id]}
    if len(by_person) == 1 and all(len(places) == len(events) for places in by_person.values()):
        return [PersonEvents(person, events, report) for person in by_person], report
    # A record that was set aside is nobody's: only the file's report tells of it.
    notes_of_row: dict[int | None, list[CleaningNote]] = {}
    for note in report.notes:
        notes_of_row.setdefault(note.row, []).append(note)
    people = []
    for person, places in by_person.items():
        rows = [report.rows[place] for place in places]
        notes = [note for row in rows for note in notes_of_row.get(row, ())]
        own = CleaningReport(read=len(places), kept=len(places), notes=notes, rows=rows)
        people.append(PersonEvents(person, [events[place] for place in places], own))
    return people, report


def in_parts(people: Sequence[PersonEvents], reading: CleaningReport) -> bool:
    """Whether nobody's report is that of the whole file, which then has to be told besides."""
    return all(len(person.events) < reading.kept for person in people)


def read_catalog(terminal: Terminal, source: FileOptions | None) -> tuple[Catalog, CleaningReport]:
    """Read and clean the items of a file; an empty catalogue when none is named. Raises InputError."""
    from llmrec.behavior.cleaning import CleaningReport, clean_items
    from llmrec.behavior.columns import ITEM_COLUMNS
    from llmrec.behavior.events import Catalog
    from llmrec.behavior.readers import read_items

    if source is None:
        return Catalog(), CleaningReport()
    columns = columns_from(source.columns, ITEM_COLUMNS, "--catalog-column")
    _tell_what_is_awaited(terminal, source.path, "items")
    try:
        items, report = read_items(source.path, format=_format(source), columns=columns)
    except InputError as error:
        raise InputError(
            str(error).replace("columns=", "catalog-columns=").replace("format= ", "catalog-format= ")
        ) from error
    kept, cleaning = clean_items(items, rows=report.rows, source=source.path)
    return Catalog(kept), report.then(cleaning)


def read_interaction_log(
    terminal: Terminal, source: FileOptions, catalog: Catalog, settings: Settings
) -> tuple[InteractionLog, CleaningReport]:
    """Read what many people chose, and tell where none of it is in the catalogue.

    Raises UsageError for a column that cannot be, InputError when the file cannot be used or says nothing.
    """
    from llmrec.behavior.columns import EVENT_COLUMNS
    from llmrec.candidates.log_reader import read_log

    columns = columns_from(source.columns, EVENT_COLUMNS, "--log-column")
    _tell_what_is_awaited(terminal, source.path, "an interaction log")
    try:
        log, report = read_log(source.path, format=_format(source), columns=columns, settings=settings)
    except InputError as error:
        raise InputError(
            str(error).replace("columns=", "log-columns=").replace("format= ", "log-format= ")
        ) from error
    if not log:
        raise InputError(
            f"nobody chose anything in the log {_name(source.path)}: give events that speak for items, or "
            "lines with user_id and items"
        )
    if catalog and not any(item_id in catalog for item_id in log.counts):
        terminal.note(
            f"none of the {len(log.counts):,} items of the log {_name(source.path)} is in the catalogue, so "
            "it counts for nothing: check that both have the same ids",
            label="warning",
        )
    return log, report


def read_candidates(terminal: Terminal, path: str) -> list[Item | str]:
    """Read candidates: items in any format, or ids, one a line. Raises InputError when there are none."""
    from llmrec.behavior.cleaning import clean_items
    from llmrec.behavior.readers import read_items

    source: str | io.StringIO = path
    if Path(path).suffix.lower() not in TABLES:
        text = read_text(terminal, path, "candidates")
        if not text.lstrip().startswith(("{", "[")):
            ids = list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
            if not ids:
                raise InputError(f"there are no candidates in {_name(path)}: give at least one id or item")
            return list(ids)
        source = io.StringIO(text)
    items, report = read_items(source, format="jsonl" if isinstance(source, io.StringIO) else None)
    kept, cleaning = clean_items(items, rows=report.rows, source=path)
    tell_report(terminal, _name(path), report.then(cleaning))
    if not kept:
        raise InputError(f"there are no candidates in {_name(path)}: give at least one id or item")
    return list(kept)


def read_profiles(terminal: Terminal, path: str, user_id: str | None) -> list[InterestProfile]:
    """Read what `llmrec profile --json` wrote, or one profile alone.

    Raises UsageError when the named person is not in it, InputError when it is something else.
    """
    import json

    from pydantic import ValidationError

    from llmrec.behavior.events import describe_validation_error
    from llmrec.interests.profile import InterestProfile

    try:
        content: Any = json.loads(read_text(terminal, path, "a profile"))
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{_name(path)} is not JSON ({error}): give what llmrec profile --json wrote"
        ) from error
    documents = content.get("profiles", [content]) if isinstance(content, dict) else content
    if not isinstance(documents, list) or not documents:
        raise InputError(f"{_name(path)} holds no profile: give what llmrec profile --json wrote")
    try:
        profiles = [InterestProfile.model_validate(document) for document in documents]
    except ValidationError as error:
        raise InputError(
            f"{_name(path)} holds no profile that this llmrec can read "
            f"({describe_validation_error(error)[:200]}): give what llmrec profile --json wrote"
        ) from error
    if user_id is None:
        return profiles
    own = [profile for profile in profiles if profile.user_id == user_id]
    if not own:
        known = some([profile.user_id for profile in profiles])
        raise UsageError(f"{_name(path)} has no profile of {user_id!r}: choose among {known}")
    return own


def read_text(terminal: Terminal, path: str, what: str) -> str:
    """Read a file or standard input as UTF-8. Raises InputError when it cannot be."""
    _tell_what_is_awaited(terminal, path, what)
    try:
        if path != STANDARD_INPUT:
            return Path(path).read_text(encoding="utf-8-sig")
        stream = getattr(sys.stdin, "buffer", None)
        return stream.read().decode("utf-8-sig") if stream is not None else sys.stdin.read()
    except UnicodeDecodeError as error:
        raise InputError(f"{_name(path)} is not UTF-8 text: save it as UTF-8 and read it again") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{_name(path)} cannot be read: {reason}") from error


def tell_report(terminal: Terminal, name: str, report: CleaningReport) -> None:
    """Tell what was merged, repaired or set aside on the way, if anything was."""
    if report.notes:
        terminal.note(f"{name}: {report.summary()}")


def _tell_what_is_awaited(terminal: Terminal, path: str, what: str) -> None:
    if path == STANDARD_INPUT and sys.stdin is not None and sys.stdin.isatty():
        terminal.stage(f"waiting for {what} on standard input (end it with Ctrl-D)")


def _format(source: FileOptions) -> Any:
    return source.format.value if source.format is not None else None


def _name(path: str) -> str:
    return "standard input" if path == STANDARD_INPUT else path


def some(names: Sequence[str], most: int = 8) -> str:
    """The first names of a list in one line, with how many more there are."""
    from llmrec.behavior.text import printable

    shown = ", ".join(printable(name, 40) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
