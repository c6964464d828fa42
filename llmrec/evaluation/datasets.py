"""Data sets to evaluate on: the JSON lines of benchmarks, RecBole atomic files, MovieLens, any events.

A data set may hold targets, so that only the judge's process reads one; see `llmrec.evaluation.judge`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict

from llmrec.behavior.cleaning import CleaningReport, clean_events, clean_items
from llmrec.behavior.events import Catalog, Event, Item
from llmrec.behavior.readers import read_events, read_items
from llmrec.behavior.sources import Format
from llmrec.behavior.text import printable
from llmrec.candidates.log import InteractionLog
from llmrec.errors import InputError
from llmrec.settings import Settings, load_settings

DatasetFormat = Literal["auto", "json-lines", "recbole", "movielens", "events"]
"""A folder with items.jsonl, RecBole's .inter and .item, a folder with ratings.csv, or a file of events with
a file of items; `auto` looks which of them it is."""

ShownHistory = Literal["target", "source", "both"]
"""Of a data set over two domains: the history in the target's domain, in the other, or the other's first."""

LEAST_RATING = 4.0
"""A rating of at least 4 of 5 is a like, as in Liang et al., "Variational autoencoders for collaborative
filtering" (WWW 2018)."""


class DataSource(BaseModel):
    """Where a data set lies and how it is read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path
    """A folder or a file."""
    catalog: Path | None = None
    """The file of items, where the data set's own place for it is not meant."""
    format: DatasetFormat = "auto"
    domain: str | None = None
    """The domain of items that name none."""
    history: ShownHistory = "target"
    action: str | None = None
    """The action of events that have neither an action nor a rating; of RecBole's files `click`."""

    def read(self, settings: Settings | None = None) -> Dataset:
        """Read the data set. Raises InputError as `read_dataset` does."""
        return read_dataset(
            self.path,
            catalog=self.catalog,
            format=self.format,
            domain=self.domain,
            history=self.history,
            action=self.action,
            settings=settings,
        )


@dataclass(frozen=True)
class GivenCase:
    """What a data set's own file says of one person."""

    events: tuple[Event, ...]
    """The history, the oldest first."""
    targets: tuple[str, ...]
    """The ids of the items held out."""
    negatives: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Lists of ids by name, for example `random_negatives`."""


@dataclass(frozen=True)
class Dataset:
    """Items, and people with what they did."""

    name: str
    catalog: Catalog
    people: Mapping[str, tuple[Event, ...]]
    """The events of each person, the oldest first, without the targets of given cases."""
    digest: str
    """Hash of all files and of how they were read. A key for draws that must not be foreseen: never shown."""
    given: Mapping[str, GivenCase] = field(default_factory=dict)
    """The cases of the data set's own file, by person."""
    log: InteractionLog | None = None
    """What people chose, from a file of its own, without the targets of given cases; None where the
    histories of the people are all there is."""
    least_rating: float = LEAST_RATING
    """The lowest rating that says that an item was liked."""
    notes: tuple[str, ...] = ()
    """What was set aside in reading, for the report."""


def read_dataset(
    path: Path | str,
    *,
    catalog: Path | str | None = None,
    format: DatasetFormat = "auto",  # noqa: A002
    domain: str | None = None,
    history: ShownHistory = "target",
    action: str | None = None,
    settings: Settings | None = None,
) -> Dataset:
    """Read a data set; the arguments are the fields of `DataSource`.

    A folder with items.jsonl holds dev.jsonl, interactions.jsonl or both; `llmrec.evaluation.dataset_folder`
    says what stands in them. Of every other format the events and items are read by `llmrec.behavior.readers`
    and cleaned, and nothing is given: who is asked what follows from a split.
    Raises InputError when a file is not there, cannot be read, or lacks what the format demands.
    """
    from llmrec.evaluation.dataset_folder import read_folder

    settings = settings if settings is not None else load_settings()
    place, items_file = Path(path).expanduser(), Path(catalog).expanduser() if catalog else None
    found = _format_of(place, items_file) if format == "auto" else format
    if found not in get_args(DatasetFormat):
        raise InputError(
            f"the format {printable(str(format), 40)!r} of a data set is unknown: choose one of "
            f"{', '.join(get_args(DatasetFormat))}"
        )
    if found == "json-lines":
        return read_folder(place, items_file, domain, history)
    if history != "target":
        raise InputError(
            f"history={history!r} is for a folder whose dev.jsonl has a source_history: leave it out"
        )
    if found == "recbole":
        events_file, of_items = _recbole_files(place, items_file)
        return _from_files(events_file, of_items, "recbole", domain, action or "click", settings)
    if found == "movielens":
        of_items = items_file or place / "movies.csv"
        return _from_files(place / "ratings.csv", of_items, "movielens", domain, action, settings)
    if items_file is None:
        raise InputError(f"{_shown(place)} is a file of events: name the file of its items too, with catalog")
    return _from_files(place, items_file, None, domain, action, settings)


def digest_of(files: Sequence[Path], **options: object) -> str:
    """Hash of the contents of some files and of how they are read. Raises InputError for one that is not."""
    digest = hashlib.sha256(repr(sorted(options.items())).encode("utf-8", "surrogatepass"))
    for file in files:
        try:
            with file.open("rb") as opened:
                while block := opened.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise InputError(f"{_shown(file)} cannot be read: {error.strerror or error}") from None
        digest.update(b"\x00end of file\x00")
    return digest.hexdigest()


def _format_of(place: Path, items_file: Path | None) -> DatasetFormat:
    if not place.exists():
        raise InputError(f"there is no folder or file {_shown(place)}: check the path of the data set")
    if place.is_file():
        return "recbole" if place.suffix == ".inter" else "events"
    if (place / "items.jsonl").exists() or (place / "dev.jsonl").exists():
        return "json-lines"
    if any(place.glob("*.inter")):
        return "recbole"
    if (place / "ratings.csv").exists():
        return "movielens"
    if items_file is not None and (place / "interactions.jsonl").exists():
        return "json-lines"
    raise InputError(
        f"{_shown(place)} holds no data set that is known: a folder needs items.jsonl with dev.jsonl or "
        "interactions.jsonl, RecBole's .inter and .item, or MovieLens' ratings.csv and movies.csv; for other "
        "files name the file of events and that of the items"
    )


def _recbole_files(place: Path, items_file: Path | None) -> tuple[Path, Path]:
    events_file = place
    if place.is_dir():
        found = sorted(place.glob("*.inter"))
        if len(found) != 1:
            raise InputError(f"{_shown(place)} holds {len(found)} files .inter: name the one to read")
        events_file = found[0]
    items_file = items_file or events_file.with_suffix(".item")
    if not items_file.exists():
        raise InputError(
            f"there is no {_shown(items_file)}: put RecBole's .item beside the .inter, or name the file of "
            "items with catalog"
        )
    return events_file, items_file


def _from_files(
    events_file: Path,
    items_file: Path,
    format_name: Format | None,
    domain: str | None,
    action: str | None,
    settings: Settings,
) -> Dataset:
    known = format_name if items_file.suffix in (".item", "") or format_name == "movielens" else None
    items, read_report = read_items(items_file, format=known)
    items, report = clean_items(items, rows=read_report.rows, source=items_file.name)
    notes = [f"items: {read_report.then(report).summary()}"] if read_report.notes or report.notes else []
    catalog = Catalog(_with_domain(item, domain) for item in items)
    if not catalog:
        raise InputError(f"{_shown(items_file)} holds no items: a data set needs some")
    events, read_report = _read_events(events_file, format_name, action)
    events, report = clean_events(events, catalog, settings, rows=read_report.rows, source=events_file.name)
    notes += [f"events: {read_report.then(report).summary()}"] if read_report.notes or report.notes else []
    people: dict[str, list[Event]] = {}
    for event in events:
        people.setdefault(event.user_id, []).append(event)
    if not people:
        raise InputError(f"{_shown(events_file)} holds no events on the items of {_shown(items_file)}")
    folder = events_file.parent
    return Dataset(
        name=(folder.resolve().name if format_name == "movielens" else events_file.stem),
        catalog=catalog,
        people={person: tuple(own) for person, own in people.items()},
        digest=digest_of([events_file, items_file], format=format_name, domain=domain, action=action),
        notes=tuple(notes),
    )


def _read_events(
    events_file: Path, format_name: Format | None, action: str | None
) -> tuple[list[Event], CleaningReport]:
    if action is None:
        return read_events(events_file, format=format_name)
    try:
        return read_events(events_file, format=format_name)
    except InputError:
        # Whatever else is wrong with the file is wrong with the action given too, and told then.
        return read_events(events_file, format=format_name, columns={"action": f"={action}"})


def _with_domain(item: Item, domain: str | None) -> Item:
    return item if domain is None or item.domain else item.model_copy(update={"domain": domain})


def _shown(path: Path) -> str:
    return printable(str(path))
