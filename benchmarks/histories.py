"""People with their histories and the interests in them: what several benchmarks of interests share.

Items are as a catalogue has them: a film's genres are its categories and its tags the description, a product
has a title and an area. Each is labelled once by its names and categories, without a model, and a profile of
any part of a history is then computed from those readings. No event that was held out is read here, except
by `read_targets`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from llmrec.behavior.cleaning import CleaningReport
from llmrec.behavior.events import Catalog, Event, HistoryEntry, Item
from llmrec.behavior.strength import build_history
from llmrec.interests.anchored import label_history
from llmrec.interests.extraction import EventReading, ExtractionTools
from llmrec.interests.hierarchy import InterestHierarchy
from llmrec.interests.profile import InterestProfile
from llmrec.interests.revision import with_entries
from llmrec.interests.taxonomy import Vocabulary
from llmrec.llm.base import Capabilities
from llmrec.llm.priors import Priors
from llmrec.llm.scripted import ScriptedModel
from llmrec.prompting.templates import PromptLibrary
from llmrec.settings import load_settings

BOOTSTRAPS = 2000


@dataclass(frozen=True)
class Person:
    """Someone with a history, the last event held out."""

    user_id: str
    entries: tuple[HistoryEntry, ...]
    readings: tuple[EventReading, ...]
    negatives: tuple[str, ...] = ()
    """Items the person has nothing to do with."""

    @property
    def tuning(self) -> bool:
        """Whether the person is of the half that weights and thresholds may be learned from."""
        return hashlib.sha256(self.user_id.encode()).digest()[0] % 2 == 0

    def profile(self, events: int | None = None) -> InterestProfile:
        """The profile of the first events, or of all."""
        return with_entries(empty_profile(self.user_id), self.entries[:events], self.readings[:events])


def empty_profile(user_id: str) -> InterestProfile:
    """The profile of somebody of whom nothing is known."""
    return InterestProfile(
        user_id=user_id,
        hierarchy=InterestHierarchy(),
        entries=(),
        language="en",
        strategy="anchored",
        model="none",
        report=CleaningReport(),
    )


def read_films(folder: Path) -> Catalog:
    """The films of `movielens/items.jsonl`."""
    return Catalog(
        Item(
            id=record["id"],
            title=record["title"],
            categories=tuple(genre for genre in record["genres"] if not genre.startswith("(")),
            description=", ".join(record["tags"]),
            domain="films",
            language="en",
        )
        for record in _records(folder / "movielens" / "items.jsonl")
    )


def read_viewers(folder: Path, catalog: Catalog, vocabulary: Vocabulary) -> list[Person]:
    """The people of `movielens/dev.jsonl` with what they rated."""
    settings = load_settings()
    people: list[Person] = []
    for record in _records(folder / "movielens" / "dev.jsonl"):
        events = [
            Event(
                user_id=record["user"],
                action="rate",
                item_id=seen["item"],
                value=seen["rating"],
                timestamp=seen["timestamp"],
            )
            for seen in record["history"]
        ]
        entries = tuple(build_history(record["user"], events, catalog, settings))
        people.append(Person(record["user"], entries, (), tuple(record["random_negatives"])))
    return _labelled(people, vocabulary)


def read_shoppers(
    folder: Path, dataset: str, vocabulary: Vocabulary, *, least: int, most: int
) -> list[Person]:
    """The first people of `interactions.jsonl` of games or food-kitchen with at least `least` purchases.

    Those of dev.jsonl, whose targets are for ranking, are left out.
    """
    items = {record["id"]: record for record in _records(folder / dataset / "items.jsonl")}
    held_out = {record["user"] for record in _records(folder / dataset / "dev.jsonl")}
    settings = load_settings()
    people: list[Person] = []
    for record in _records(folder / dataset / "interactions.jsonl"):
        if record["user"] in held_out or len(record["items"]) < least or len(people) >= most:
            continue
        catalog = Catalog(
            Item(
                id=item_id,
                title=items[item_id]["title"] or "untitled",
                domain=items[item_id].get("domain", dataset),
                language="en",
            )
            for item_id in dict.fromkeys(record["items"])
        )
        events = [
            Event(user_id=record["user"], action="purchase", item_id=item_id, id=f"{record['user']}-{at}")
            for at, item_id in enumerate(record["items"])
        ]
        entries = tuple(build_history(record["user"], events, catalog, settings))
        people.append(Person(record["user"], entries, ()))
    return _labelled(people, vocabulary)


def _labelled(people: Sequence[Person], vocabulary: Vocabulary) -> list[Person]:
    seen = {entry.item.id: entry for person in people for entry in person.entries if entry.item is not None}
    found = label_history(list(seen.values()), vocabulary, tools_without_model(), model_budget=0)
    readings = dict(zip(seen, found.readings, strict=True))
    return [
        replace(
            person,
            readings=tuple(
                readings[entry.item.id] if entry.item else EventReading() for entry in person.entries
            ),
        )
        for person in people
    ]


def read_targets(folder: Path) -> dict[str, str]:
    """The film held out of each person's history. For the metric alone."""
    return {record["user"]: record["target"] for record in _records(folder / "movielens" / "dev.jsonl")}


def tools_without_model() -> ExtractionTools:
    """Tools for what asks no model."""
    nothing = Capabilities(score=False, generate=False, structured="none", open_answers=False)
    nobody = ScriptedModel(capabilities=nothing)
    priors = Priors(nobody, Path())
    return ExtractionTools(nobody, priors, PromptLibrary(), "en", lambda _done, _total: None)


def interval(values: Sequence[float], *, seed: int = 0) -> tuple[float, float, float]:
    """The mean, and the ends of its 95% percentile bootstrap interval over people."""
    array = np.asarray(values, dtype=np.float64)
    draws = np.random.default_rng(seed).integers(len(array), size=(BOOTSTRAPS, len(array)))
    low, high = np.percentile(array[draws].mean(axis=1), [2.5, 97.5])
    return float(array.mean()), float(low), float(high)


def by_person(values: npt.NDArray[np.float64], people: Sequence[str]) -> list[float]:
    """The mean of each person's values: people, not cases, are what is drawn."""
    grouped: dict[str, list[float]] = {}
    for person, value in zip(people, values, strict=True):
        grouped.setdefault(person, []).append(float(value))
    return [float(np.mean(own)) for own in grouped.values()]


def told(tell: Callable[[str], None], name: str, found: tuple[float, float, float]) -> None:
    """Write a figure in percent with its interval."""
    tell(f"{name:<44}{100 * found[0]:6.1f}  [{100 * found[1]:5.1f}, {100 * found[2]:5.1f}]")


def _records(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
