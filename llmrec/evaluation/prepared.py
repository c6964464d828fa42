"""The folder of an evaluation, as ranking code sees it: queries, items and the log, and where scores go."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from llmrec.behavior.events import Catalog, describe_validation_error
from llmrec.behavior.text import printable
from llmrec.candidates.log import InteractionLog
from llmrec.errors import InputError
from llmrec.evaluation.types import Material, ProtocolOptions, Query, Variant

PREPARED, QUERIES, ITEMS, LOG = "prepared.json", "queries.jsonl", "items.jsonl", "log.jsonl"
FIGURES = "figures.jsonl"
SCORES = "scores"


class Prepared(BaseModel):
    """What lies in the folder of an evaluation."""

    model_config = ConfigDict(frozen=True)

    dataset: str
    """The data set's name."""
    fingerprint: str
    """Of the data, the options and the version of the protocols: equal ones ask the same questions."""
    options: ProtocolOptions
    variant: Variant | None = None
    people: int = Field(ge=0)
    """How many are asked about, one query each."""
    items: int = Field(ge=0)
    """How many the catalogue holds."""
    log_people: int = Field(ge=0)
    """How many people's choices the log holds; 0 for no log."""
    candidates_per_query: float
    """The mean."""
    chance: dict[str, float]
    """What a random order gives, in expectation, by metric."""
    notes: tuple[str, ...] = ()
    """What was left out of the data."""


class QueryFigures(BaseModel):
    """What the judge found of one query and one system."""

    model_config = ConfigDict(frozen=True)

    query: str
    user_id: str
    system: str
    history_length: int = Field(ge=0)
    """Events shown."""
    figures: dict[str, float]
    """By metric, as in `ndcg@10`; all 0 when the ranking failed."""
    top: tuple[str, ...] = ()
    """The ids of the best items, the best first."""
    target_probability: float | None = None
    """What the system gave the targets, in sum, where it says probabilities."""
    probabilities: tuple[float, ...] = ()
    """Of all candidates; empty where there are none, and for the whole catalogue."""
    taken: tuple[bool, ...] = ()
    """Whether each of those candidates was a target."""
    failed: str = ""
    """Why there is no ranking, in a sentence; empty when there is one."""


class Measured(BaseModel):
    """What the judge measured, in counts."""

    model_config = ConfigDict(frozen=True)

    queries: int = Field(ge=0)
    """How many were asked."""
    systems: dict[str, int] = Field(default_factory=dict)
    """How many of them each system has answered."""
    failed: dict[str, int] = Field(default_factory=dict)
    """How many of its answers were no ranking, for systems with any."""
    notes: tuple[str, ...] = ()


def read_prepared(folder: Path) -> Prepared | None:
    """What was prepared in a folder; None when nothing was, or it was not finished.

    Raises InputError when the file is there and is not what it should be.
    """
    path = folder / PREPARED
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeError) as error:
        raise InputError(f"{_shown(path)} cannot be read: {getattr(error, 'strerror', error)}") from None
    if not all((folder / name).is_file() for name in (QUERIES, ITEMS, LOG)):
        return None
    try:
        return Prepared.model_validate_json(text)
    except ValidationError:
        raise InputError(f"{_shown(path)} is damaged: remove the folder and prepare it again") from None


def read_queries(folder: Path) -> list[Query]:
    """The queries of a prepared folder. Raises InputError when they are missing or damaged."""
    return [_validated(Query, record, where) for record, where in _lines(folder / QUERIES)]


def read_material(folder: Path) -> Material:
    """The catalogue and the log of a prepared folder. Raises InputError as `read_queries` does."""
    log = {record["user_id"]: record["items"] for record, _ in _lines(folder / LOG)}
    return Material(Catalog(record for record, _ in _lines(folder / ITEMS)), InteractionLog(log))


def read_figures(folder: Path) -> list[QueryFigures]:
    """What the judge measured. Raises InputError as `read_queries` does."""
    return [_validated(QueryFigures, record, where) for record, where in _lines(folder / FIGURES)]


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write a file of lines as a whole or not at all. Raises InputError where it cannot be written."""
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace", newline="\n") as file:
            file.writelines(f"{line}\n" for line in lines)
        Path(temporary).replace(path)
        temporary = None
    except OSError as error:
        raise InputError(f"{_shown(path)} cannot be written: {error.strerror or error}") from None
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()


def remove_file(path: Path) -> None:
    """Delete a file, if it is there. Raises InputError where it cannot be."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{_shown(path)} cannot be removed: {error.strerror or error}") from None


def _lines(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                yield json.loads(line), f"{_shown(path)}, line {number}"
    except FileNotFoundError:
        raise InputError(f"there is no file {_shown(path)}: prepare the folder first") from None
    except OSError as error:
        raise InputError(f"{_shown(path)} cannot be read: {error.strerror or error}") from None
    except ValueError:
        raise InputError(f"{_shown(path)} is damaged: remove the folder and prepare it again") from None


def _validated(model: type[Any], record: Any, where: str) -> Any:
    try:
        return model.model_validate(record)
    except ValidationError as error:
        raise InputError(f"{where}: {describe_validation_error(error)}") from None


def _shown(path: Path) -> str:
    return printable(str(path))
