"""A data set as a folder of JSON lines, as benchmarks of recommendation with language models come.

- items.jsonl: `id`, `title`, and where known `domain`, `description`, `genres`, `tags`, `categories`; other
  fields become attributes.
- dev.jsonl: `user`, `history`, `target` (an id, or a list `targets`), and lists of ids whose names end in
  `negatives`. A history is a list of ids, or of objects with `item`, `rating` and `timestamp`. Over two
  domains there are `source_history` and `target_history` in its place.
- interactions.jsonl: `user` and `items`, ids in order of time, without anything held out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from llmrec.behavior.columns import as_attribute
from llmrec.behavior.events import Catalog, Event, Item, validate_record
from llmrec.behavior.text import clean_text, printable
from llmrec.candidates.log import InteractionLog
from llmrec.errors import InputError
from llmrec.evaluation.datasets import Dataset, GivenCase, ShownHistory, digest_of

UNTITLED = "untitled"
"""The title of an item that has none."""
MOST_TAGS = 8
"""How many tags of an item become categories, after its genres: the first are the most telling."""

_ITEM_FIELDS = ("id", "title", "description", "domain", "language")
_FOLDED_FIELDS = ("genres", "tags", "categories", "attributes")


def read_folder(folder: Path, items_file: Path | None, domain: str | None, history: ShownHistory) -> Dataset:
    """Read the folder; the histories of two domains are joined as `history` says.

    An event on an item that the catalogue does not hold is left out, and a note says how many are.
    Raises InputError with the file and the line of whatever is malformed.
    """
    items_file = items_file or folder / "items.jsonl"
    dev, interactions = folder / "dev.jsonl", folder / "interactions.jsonl"
    files = [file for file in (items_file, dev, interactions) if file.exists()]
    if dev not in files and interactions not in files:
        raise InputError(
            f"{printable(str(folder))} holds neither dev.jsonl nor interactions.jsonl: nobody to evaluate on"
        )
    catalog = Catalog(_item(record, where, domain) for record, where in _records(items_file))
    if not catalog:
        raise InputError(f"{printable(str(items_file))} holds no items: a data set needs some")
    reading = _People(catalog, history)
    if dev in files:
        for record, where in _records(dev):
            reading.add(record, where)
    log = None
    if interactions in files:
        sequences = _sequences(interactions)
        if dev in files:
            log = InteractionLog(
                {
                    person: _without(items, reading.given[person].targets)
                    if person in reading.given
                    else items
                    for person, items in sequences.items()
                }
            )
        else:
            for person, items in sequences.items():
                reading.people[person] = reading.events(person, items, f"the items of {person[:60]!r}")
    if not any(reading.people.values()) and not reading.given:
        raise InputError(f"{printable(str(folder))} holds no events on items of its items.jsonl")
    return Dataset(
        name=folder.resolve().name,
        catalog=catalog,
        people=reading.people,
        digest=digest_of(files, domain=domain, history=history),
        given=reading.given,
        log=log,
        notes=reading.notes(),
    )


class _People:
    """The people gathered line by line."""

    def __init__(self, catalog: Catalog, history: ShownHistory) -> None:
        self.catalog = catalog
        self.history = history
        self.people: dict[str, tuple[Event, ...]] = {}
        self.given: dict[str, GivenCase] = {}
        self._unknown = 0

    def add(self, record: Mapping[str, Any], where: str) -> None:
        person = _person(record, where)
        if person in self.people:
            raise InputError(f"{where}: {person[:60]!r} stands there twice: give each person one line")
        events = self.events(person, self._history(record, where), where)
        targets = _ids(record.get("targets", record.get("target", [])), where, "target")
        self.people[person] = events
        if not targets:
            return
        negatives = {
            name: tuple(_ids(found, where, name))
            for name, found in record.items()
            if name.endswith("negatives")
        }
        for name, ids in (("target", targets), *negatives.items()):
            if any(item_id not in self.catalog for item_id in ids):
                # Which one is not said: the sentence may be read by whoever is to find the target.
                raise InputError(f"{where}: an item of its {name} is not in items.jsonl: add it there")
        self.given[person] = GivenCase(events, tuple(dict.fromkeys(targets)), negatives)

    def _history(self, record: Mapping[str, Any], where: str) -> list[Any]:
        names = {"target": ["target_history"], "source": ["source_history"]}.get(
            self.history, ["source_history", "target_history"]
        )
        if "history" in record and self.history == "target":
            names = ["history"]
        found: list[Any] = []
        for name in names:
            if not isinstance(record.get(name), list):
                shown = "history" if self.history == "target" and "target_history" not in record else name
                raise InputError(f"{where}: it has no list {shown}: give one, empty where there is nothing")
            found += record[name]
        return found

    def events(self, person: str, history: Sequence[Any], where: str) -> tuple[Event, ...]:
        found = []
        for at, seen in enumerate(history):
            # Made from the place: a person may buy the same thing twice.
            fields: dict[str, Any] = {"user_id": person, "id": f"{person}-{at}"}
            if isinstance(seen, Mapping):
                rating = seen.get("rating", seen.get("value"))
                action = seen.get("action") or ("purchase" if rating is None else "rate")
                fields |= {"action": action, "value": rating, "timestamp": seen.get("timestamp")}
                fields["item_id"] = seen.get("item", seen.get("item_id"))
                fields["text"] = seen.get("text")
            else:
                fields |= {"action": "purchase", "item_id": seen}
            event: Event = validate_record(Event, fields, f"{where}, event {at + 1}")
            if event.item_id is not None and event.item_id not in self.catalog:
                self._unknown += 1
            else:
                found.append(event)
        return tuple(found)

    def notes(self) -> tuple[str, ...]:
        if not self._unknown:
            return ()
        return (f"events on items that are not in the catalogue were left out: {self._unknown}",)


def _item(record: Mapping[str, Any], where: str, domain: str | None) -> Item:
    fields: dict[str, Any] = {
        name: clean_text(value) if isinstance(value := record[name], str) else value
        for name in _ITEM_FIELDS
        if record.get(name) is not None
    }
    if "id" not in fields:
        raise InputError(f"{where}: it has no id: give each item one")
    if not str(fields.get("title", "")).strip():
        fields["title"] = UNTITLED
    fields["domain"] = fields.get("domain") or domain
    names = _names(record.get("genres"), where, "genres")
    # MovieLens writes "(no genres listed)" as a genre.
    names = [name for name in names if not name.startswith("(")]
    names += _names(record.get("tags"), where, "tags")[:MOST_TAGS]
    names += _names(record.get("categories"), where, "categories")
    fields["categories"] = tuple(dict.fromkeys(names))
    attributes = record.get("attributes") or {}
    if not isinstance(attributes, Mapping):
        raise InputError(f"{where}: its attributes are not an object with names and values")
    others = {name: value for name, value in record.items() if name not in (*_ITEM_FIELDS, *_FOLDED_FIELDS)}
    fields["attributes"] = {
        clean_text(name): clean_text(as_attribute(value, []))
        for name, value in {**attributes, **others}.items()
        if value is not None
    }
    item: Item = validate_record(Item, fields, where)
    return item


def _names(value: Any, where: str, name: str) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        value = value.split("|")
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
        raise InputError(f"{where}: its {name} are not a list of texts")
    return [clean_text(part) for part in value if part.strip()]


def _sequences(path: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for record, where in _records(path):
        person = _person(record, where)
        if person in found:
            raise InputError(f"{where}: {person[:60]!r} stands there twice: give each person one line")
        found[person] = _ids(record.get("items"), where, "items")
    return found


def _without(items: Sequence[str], held_out: Sequence[str]) -> list[str]:
    return [item for item in items if item not in held_out]


def _person(record: Mapping[str, Any], where: str) -> str:
    person = record.get("user", record.get("user_id"))
    if isinstance(person, int) and not isinstance(person, bool):
        person = str(person)
    if not isinstance(person, str) or not person:
        raise InputError(f"{where}: it names no user: give the person's id as user")
    return person.encode("utf-8", "replace").decode("utf-8")


def _ids(value: Any, where: str, name: str) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    found = [str(part) if isinstance(part, int) and not isinstance(part, bool) else part for part in listed]
    if not all(isinstance(part, str) and part for part in found):
        raise InputError(f"{where}: its {name} is not an id, or a list of ids")
    return [part.encode("utf-8", "replace").decode("utf-8") for part in found]


def _records(path: Path) -> Iterator[tuple[Mapping[str, Any], str]]:
    """The objects of a file with the place of each; an empty line is none."""
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                where = f"{printable(str(path))}, line {number}"
                try:
                    record = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
                except UnicodeDecodeError:
                    raise InputError(f"{where} is not UTF-8 text: save the file as UTF-8") from None
                except (ValueError, RecursionError):
                    raise InputError(f"{where} is not JSON: write one object a line") from None
                if not isinstance(record, dict):
                    raise InputError(f"{where} is JSON, but not an object with names and values")
                yield record, where
    except FileNotFoundError:
        raise InputError(f"there is no file {printable(str(path))}: check the path") from None
    except OSError as error:
        raise InputError(f"{printable(str(path))} cannot be read: {error.strerror or error}") from None
