"""The systems that stand beside every run, asked for or not: what a ranking must beat to be worth it."""

from __future__ import annotations

import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from llmrec.behavior.events import Catalog, Event
from llmrec.behavior.strength import event_strength
from llmrec.candidates.bm25 import Bm25Index
from llmrec.candidates.co_occurrence import CoOccurrence
from llmrec.candidates.popularity import Popularity
from llmrec.errors import InputError
from llmrec.evaluation.types import Material, Query, Scored
from llmrec.ranking.fusion import z_scores
from llmrec.settings import Settings

RANDOM = "random"
POPULARITY = "popularity"
BM25 = "bm25"
CO_OCCURRENCE = "co-occurrence"
FUSED = (BM25, POPULARITY, CO_OCCURRENCE)
VERSION = "1"
"""Changes with what a baseline computes, so that old scores are not mixed with new ones."""

LAST_TITLES = 10
"""How many titles of a history BM25 searches with."""
LAST_ITEMS = 30
"""How many items of a history co-occurrence reads."""
RECENCY = 0.9
"""What an item counts for co-occurrence, against the one after it."""

Values: TypeAlias = npt.NDArray[np.float64]
SignalOf: TypeAlias = Callable[[Query, Sequence[str]], Values]
"""One number an item, for a query and the ids of its candidates."""


def candidate_ids(query: Query, catalog: Catalog) -> tuple[str, ...]:
    """The items that a query's scores are about, in their order.

    The query's candidates; where it names none, the whole catalogue in its order, less the history.
    """
    if query.candidates:
        return query.candidates
    seen = {event.item_id for event in query.events}
    return tuple(item_id for item_id in catalog if item_id not in seen)


@dataclass(frozen=True)
class Baseline:
    """A system of plain arithmetic: the sum of z-scores of its signals, or one signal as it is."""

    name: str
    catalog: Catalog
    signals: Mapping[str, SignalOf]

    @property
    def fingerprint(self) -> str:
        """What decides its scores, besides the data."""
        return f"{self.name} {VERSION}"

    def scores(self, query: Query) -> Scored:
        """Score the candidates of a query; several signals are kept beside the score."""
        started = time.perf_counter()
        ids = candidate_ids(query, self.catalog)
        values = {name: measure(query, ids) for name, measure in self.signals.items()}
        if len(values) == 1:
            scores, parts = next(iter(values.values())), {}
        else:
            scores = np.sum([z_scores(list(found)) for found in values.values()], axis=0)
            # The parts of a whole catalogue would fill disks, and no weight is learned from them.
            parts = {name: _numbers(found) for name, found in values.items()} if query.candidates else {}
        return Scored(scores=_numbers(scores), signals=parts, seconds=time.perf_counter() - started)


def baselines(
    material: Material, *, seed: int = 0, settings: Settings | None = None
) -> tuple[tuple[Baseline, ...], tuple[str, ...]]:
    """The baselines that the material allows, and notes on those it does not.

    - `random`: an order drawn anew for each query, from the seed and the query's id.
    - `popularity`: how many people of the log chose the item.
    - `bm25`: the words of the last ten titles of the history as one query (Robertson & Zaragoza 2009).
    - `co-occurrence`: how often the log has the item beside those of the history (Deshpande & Karypis 2004).
    - `bm25+popularity+co-occurrence`: the sum of their z-scores among the candidates.

    Popularity and co-occurrence need an interaction log; without one they and the fusion, which would be
    `bm25` once more, are left out.
    """
    catalog, options = material.catalog, settings or Settings()
    notes: list[str] = []
    signals: dict[str, SignalOf] = {BM25: _LastTitles(catalog, options).values}
    if not material.log:
        notes.append(
            "there is no interaction log, so the baselines popularity and co-occurrence are left out, and "
            "the fusion of baselines is bm25 alone"
        )
    else:
        signals[POPULARITY] = _Popular(material).values
        try:
            signals[CO_OCCURRENCE] = _ChosenTogether(material, options).values
        except InputError as error:
            notes.append(f"the baseline co-occurrence is left out: {error}")
    found = [Baseline(RANDOM, catalog, {RANDOM: _Drawn(seed).values})]
    found += [
        Baseline(name, catalog, {name: signals[name]})
        for name in (POPULARITY, BM25, CO_OCCURRENCE)
        if name in signals
    ]
    fused = [name for name in FUSED if name in signals]
    if len(fused) > 1:
        found.append(Baseline("+".join(fused), catalog, {name: signals[name] for name in fused}))
    return tuple(found), tuple(notes)


@dataclass(frozen=True)
class _Drawn:
    seed: int

    def values(self, query: Query, ids: Sequence[str]) -> Values:
        digest = hashlib.sha256(f"{self.seed}\x00{query.id}".encode("utf-8", "surrogatepass")).digest()
        return np.random.default_rng(int.from_bytes(digest[:8], "big")).random(len(ids))


class _OverCatalog(ABC):
    """Scores of the whole catalogue, of which those of the candidates are taken."""

    def __init__(self, catalog: Catalog) -> None:
        self._places = {item_id: at for at, item_id in enumerate(catalog)}

    def values(self, query: Query, ids: Sequence[str]) -> Values:
        return np.asarray(self.over_catalog(query)[[self._places[item_id] for item_id in ids]], dtype=float)

    @abstractmethod
    def over_catalog(self, query: Query) -> npt.NDArray[np.float32]: ...


class _LastTitles(_OverCatalog):
    def __init__(self, catalog: Catalog, settings: Settings) -> None:
        super().__init__(catalog)
        self._catalog = catalog
        self._settings = settings
        self._index = Bm25Index(catalog.items_in_order)

    def over_catalog(self, query: Query) -> npt.NDArray[np.float32]:
        last = [event for event in query.events if _speaks_for(event, self._settings)][-LAST_TITLES:]
        return self._index.scores(" ".join(_title(event, self._catalog) for event in last))


class _Popular(_OverCatalog):
    def __init__(self, material: Material) -> None:
        super().__init__(material.catalog)
        self._scores = Popularity(material.log, list(material.catalog)).scores()

    def over_catalog(self, query: Query) -> npt.NDArray[np.float32]:  # noqa: ARG002
        return self._scores


class _ChosenTogether(_OverCatalog):
    def __init__(self, material: Material, settings: Settings) -> None:
        super().__init__(material.catalog)
        self._settings = settings
        self._counts = CoOccurrence(material.log, list(material.catalog))

    def over_catalog(self, query: Query) -> npt.NDArray[np.float32]:
        items = [e.item_id for e in query.events if e.item_id and _speaks_for(e, self._settings)]
        last = items[: -LAST_ITEMS - 1 : -1]
        return self._counts.scores([(item_id, RECENCY**age) for age, item_id in enumerate(last)])


def _speaks_for(event: Event, settings: Settings) -> bool:
    """Whether an event says yes; an action that nobody gave a strength does, as far as a baseline knows."""
    try:
        return event_strength(event, settings) > 0
    except InputError:
        return True


def _title(event: Event, catalog: Catalog) -> str:
    item = catalog.get(event.item_id) if event.item_id else None
    return item.title if item is not None else (event.text or "")


def _numbers(values: Values) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
