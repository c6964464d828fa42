"""From what the judge measured to the figures of a report."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from llmrec.errors import InputError
from llmrec.evaluation import judge
from llmrec.evaluation.calibration import reliability
from llmrec.evaluation.datasets import DataSource
from llmrec.evaluation.intervals import intervals, paired_intervals
from llmrec.evaluation.lists import list_figures
from llmrec.evaluation.prepared import QueryFigures, read_figures
from llmrec.evaluation.score_files import Price
from llmrec.evaluation.types import (
    Comparison,
    HistoryBand,
    Interval,
    Material,
    ProtocolOptions,
    Query,
    Reliability,
    SystemResult,
)

HEADLINE = "ndcg@10"
COMPARED = (HEADLINE, "hit@10", "mrr")
"""The metrics of which systems are compared, and bands of histories are shown."""
LIST_LENGTH = 10
BANDS: tuple[tuple[str, int, float], ...] = (
    ("0", 0, 0),
    ("1", 1, 1),
    ("2", 2, 2),
    ("3-5", 3, 5),
    ("6-10", 6, 10),
    ("11+", 11, math.inf),
)
"""Lengths of histories in events: a label, and the least and the greatest."""

Figures = Mapping[str, QueryFigures]
"""What was measured of one system, by query."""


@dataclass(frozen=True)
class SystemFigures:
    """One system, with what was measured and what it cost."""

    name: str
    figures: Figures
    prices: Mapping[str, Price]
    """What the queries cost that did not fail."""
    is_baseline: bool


@dataclass
class Part:
    """A prepared folder: that of a run, or one of a cold start or of a fixed place of the target."""

    folder: Path
    options: ProtocolOptions
    queries: Sequence[Query]
    figures: dict[str, dict[str, QueryFigures]] = field(default_factory=dict)
    """By system, then by query; empty until `measure`."""

    def measure(self, data: DataSource | Path | str) -> None:
        """Have the judge measure all scores in the folder."""
        judge.measure(self.folder, data, self.options)
        self.figures = by_system(read_figures(self.folder))


def by_system(rows: Sequence[QueryFigures]) -> dict[str, dict[str, QueryFigures]]:
    """The judge's rows by system, then by query."""
    found: dict[str, dict[str, QueryFigures]] = {}
    for row in rows:
        found.setdefault(row.system, {})[row.query] = row
    return found


def columns(
    figures: Figures, queries: Sequence[Query], metrics: Collection[str] | None = None
) -> dict[str, list[float]]:
    """Each metric as one number a query, NaN where there is none; metrics without any number are left out."""
    names = dict.fromkeys(name for row in figures.values() for name in row.figures)
    table = {
        name: [
            figures[query.id].figures.get(name, math.nan) if query.id in figures else math.nan
            for query in queries
        ]
        for name in names
        if metrics is None or name in metrics
    }
    return {name: values for name, values in table.items() if not all(map(math.isnan, values))}


def system_result(
    system: SystemFigures, queries: Sequence[Query], material: Material, *, seed: int = 0
) -> SystemResult:
    """All figures of one system. Raises InputError when no query was measured."""
    people = [query.user_id for query in queries]
    table = columns(system.figures, queries)
    if not table:
        raise InputError(f"nothing was measured of {system.name}: run the evaluation again")
    metrics = intervals(table, people, seed=seed)
    ranked = [query for query in queries if query.id in system.figures and system.figures[query.id].top]
    if ranked:
        metrics |= list_figures(
            [system.figures[query.id].top for query in ranked],
            [[event.item_id for event in query.events if event.item_id] for query in ranked],
            [query.user_id for query in ranked],
            material,
            LIST_LENGTH,
            seed=seed,
        )
    prices = list(system.prices.values())
    return SystemResult(
        name=system.name,
        metrics=metrics,
        seconds_per_query=statistics.median(price.seconds for price in prices) if prices else 0.0,
        tokens_per_query=statistics.median(price.tokens for price in prices) if prices else 0.0,
        failures=sum(bool(row.failed) for row in system.figures.values()) + sum(p.failures for p in prices),
        is_baseline=system.is_baseline,
    )


def comparisons(
    systems: Sequence[SystemFigures], queries: Sequence[Query], *, seed: int = 0
) -> tuple[Comparison, ...]:
    """Each system against every baseline but itself, on the same people."""
    people = [query.user_id for query in queries]
    found: list[Comparison] = []
    for metric in COMPARED:
        tables = {system.name: columns(system.figures, queries, (metric,)) for system in systems}
        measured = {name: table[metric] for name, table in tables.items() if metric in table}
        lines = {s.name: measured[s.name] for s in systems if s.is_baseline and s.name in measured}
        pairs = paired_intervals(measured, lines, people, seed=seed)
        found += [
            Comparison(metric=metric, system=name, baseline=baseline, difference=difference)
            for (name, baseline), difference in pairs.items()
        ]
    return tuple(found)


def bands(
    systems: Sequence[SystemFigures], queries: Sequence[Query], *, seed: int = 0
) -> tuple[HistoryBand, ...]:
    """The figures by the length of the history shown; bands without people are left out."""
    found = []
    for label, least, greatest in BANDS:
        within = [query for query in queries if least <= len(query.events) <= greatest]
        if within:
            found.append(band(label, systems, within, seed=seed))
    return tuple(found)


def band(
    label: str, systems: Sequence[SystemFigures], queries: Sequence[Query], *, seed: int = 0
) -> HistoryBand:
    """The figures of all systems over some queries."""
    people = [query.user_id for query in queries]
    metrics: dict[str, dict[str, Interval]] = {}
    for system in systems:
        if table := columns(system.figures, queries, COMPARED):
            metrics[system.name] = intervals(table, people, seed=seed)
    return HistoryBand(label=label, people=len(set(people)), metrics=metrics)


def reliabilities(systems: Sequence[SystemFigures]) -> tuple[Reliability, ...]:
    """How well the probabilities of those systems are calibrated that say some."""
    found = []
    for system in systems:
        said = [row for row in system.figures.values() if row.probabilities]
        if said:
            probabilities = [value for row in said for value in row.probabilities]
            found.append(reliability(system.name, probabilities, [t for row in said for t in row.taken]))
    return tuple(found)
