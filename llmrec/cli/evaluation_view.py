"""What an evaluation looks like in a terminal: a table of systems, what is beaten, and what was probed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from llmrec.cli.prose import Prose
from llmrec.cli.views import heading, plain, plural, prose, section

if TYPE_CHECKING:
    from llmrec.evaluation.types import EvaluationResult, HistoryBand, Interval, SystemResult

WIDE = 76
"""Columns from which on a table has room for more than the headline."""
FURTHER_METRICS = ("hit@10", "mrr")
MOST_SYSTEMS_IN_BANDS = 3


def evaluation_view(result: EvaluationResult, console: Console) -> list[RenderableType]:
    """All parts of a result, for a terminal of any width."""
    from llmrec.behavior.text import clean_text
    from llmrec.evaluation.report_text import headline_sentence, protocol_sentence

    people = f"{result.people:,} {'person' if result.people == 1 else 'people'}"
    asked = f"{people}, {plural(result.items, 'item')}, {result.candidates_per_query:.1f} candidates each."
    parts: list[RenderableType] = [
        heading(result.dataset),
        prose(f"{protocol_sentence(result.protocol)} {asked}", "dim"),
        prose(headline_sentence(result)),
        Text(),
        systems_table(result, console),
        prose(_chance(result), "dim"),
        *(prose(sentence) for sentence in beaten(result)),
    ]
    for title, found in (("By length of history", result.bands), ("Cold start", result.cold_start)):
        if len(found) > 1:
            parts += [Text(), section(title), bands_table(result, found, console)]
    if result.probes:
        parts += [Text(), section("Probes")]
        for system in dict.fromkeys(probe.system for probe in result.probes):
            parts.append(plain(system, "bold"))
            for probe in result.probes:
                if probe.system == system:
                    line = Prose(clean_text(f"{probe.name}: {probe.verdict}"), indents=("  ", "    "))
                    parts.append(line)
    return parts


def systems_table(result: EvaluationResult, console: Console) -> RenderableType:
    """The systems, best first, with the interval of the headline metric; more where there is room."""
    from llmrec.evaluation.metric_labels import metric_label, shown_seconds
    from llmrec.evaluation.report_text import by_headline

    wide = console.width >= WIDE
    headline = metric_label(result.headline)
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("system", overflow="fold")
    table.add_column(headline.label, justify="right", no_wrap=True)
    table.add_column("95%", no_wrap=True)
    further = [metric_label(name) for name in FURTHER_METRICS] if wide else []
    for metric in further:
        table.add_column(metric.label, justify="right", no_wrap=True)
    if wide:
        table.add_column("a query", justify="right", no_wrap=True)
    for system in by_headline(result):
        style = "dim" if system.is_baseline else "bold"
        found = system.metrics.get(result.headline)
        table.add_row(
            plain(system.name if wide else _breakable(system.name), style),
            Text(headline.number(found.mean) if found else "–", style=style),
            Text(headline.bounds(found).replace(" to ", "–") if found else "", style="dim"),
            *(Text(_number(system, metric.name), style=style) for metric in further),
            *([Text(shown_seconds(system.seconds_per_query), style=style)] if wide else []),
        )
    return table


def beaten(result: EvaluationResult) -> list[str]:
    """One sentence for each system that is no baseline: which baselines it beats, and which it does not."""
    from llmrec.evaluation.report_text import by_headline, comparisons_of, verdict_of

    pairs = comparisons_of(result)
    sentences = []
    for system in by_headline(result):
        if system.is_baseline:
            continue
        by_verdict: dict[str, list[str]] = {"better": [], "even": [], "worse": []}
        for (name, baseline), comparison in pairs.items():
            if name == system.name:
                by_verdict[verdict_of(comparison.difference)].append(baseline)
        told = [
            f"{verb} {', '.join(by_verdict[verdict])}"
            for verdict, verb in (
                ("better", "beats"),
                ("even", "cannot be told apart from"),
                ("worse", "is beaten by"),
            )
            if by_verdict[verdict]
        ]
        if told:
            sentences.append(f"{system.name} {'; '.join(told)}.")
    return sentences


def bands_table(result: EvaluationResult, bands: tuple[HistoryBand, ...], console: Console) -> RenderableType:
    """The headline metric by the number of events shown, of the best systems and the best baseline.

    A random order, which is no better after any number of events, is not among them.
    """
    from llmrec.evaluation.baselines import RANDOM
    from llmrec.evaluation.metric_labels import metric_label
    from llmrec.evaluation.report_text import by_headline

    headline = metric_label(result.headline)
    ordered = by_headline(result)
    own = [system.name for system in ordered if not system.is_baseline]
    lines = [system.name for system in ordered if system.is_baseline and system.name != RANDOM]
    shown = [*own[: MOST_SYSTEMS_IN_BANDS - 1], *lines][
        : MOST_SYSTEMS_IN_BANDS if console.width >= WIDE else 1
    ]
    if console.width < WIDE and own and lines:
        shown = [own[0], lines[0]]
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("events", justify="right", no_wrap=True)
    table.add_column("people", justify="right", no_wrap=True)
    for name in shown:
        table.add_column(plain(_breakable(name)), justify="right", overflow="fold")
    for band in bands:
        cells = [band.metrics.get(name, {}).get(result.headline) for name in shown]
        table.add_row(
            band.label,
            Text(f"{band.people:,}", style="dim"),
            *(_with_bounds(cell, headline.interval(cell) if cell else "–", console) for cell in cells),
        )
    return Group(Text(f"{headline.label}, 95% in brackets", style="dim"), table)


def _breakable(name: str) -> str:
    """The name of a fusion with places where a line may end."""
    return name.replace("+", " + ")


def _with_bounds(cell: Interval | None, text: str, console: Console) -> Text:
    """The figure, on narrow terminals without its interval."""
    if cell is not None and console.width < WIDE:
        text = text.partition(" (")[0]
    return Text(text)


def _number(system: SystemResult, metric: str) -> str:
    from llmrec.evaluation.metric_labels import metric_label

    found = system.metrics.get(metric)
    return metric_label(metric).number(found.mean) if found else "–"


def _chance(result: EvaluationResult) -> str:
    from llmrec.evaluation.metric_labels import metric_label

    told = [
        f"{metric_label(name).label} {metric_label(name).number(result.chance[name])}"
        for name in (result.headline, *FURTHER_METRICS)
        if name in result.chance
    ]
    return f"Chance: {', '.join(told)}." if told else ""
