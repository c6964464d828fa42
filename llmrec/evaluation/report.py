"""An evaluation as one HTML page that needs nothing else: no network, no script, no other file."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import re
from collections.abc import Callable, Sequence
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from llmrec.behavior.text import clean_text
from llmrec.evaluation import plots
from llmrec.evaluation.metric_labels import (
    MetricLabel,
    is_list_metric,
    metric_label,
    shown_seconds,
)
from llmrec.evaluation.report_text import (
    by_headline,
    cautions,
    comparisons_of,
    headline_sentence,
    protocol_sentence,
    verdict_of,
)
from llmrec.evaluation.types import EvaluationResult, HistoryBand, Interval, SystemResult

PLOTTED = 6
"""How many metrics, and how many systems by length of history, are drawn; the tables hold all."""
WIDE = 700.0
_FAMILIES = ("ndcg", "hit", "mrr", "map", "auc", "recall")
_MARKS = {"better": "▲", "worse": "▼", "even": "○"}
_SAID = {"better": "better", "worse": "worse", "even": "cannot be told apart"}


def html_report(result: EvaluationResult) -> str:
    """Write a result as one self-contained HTML page, for light and dark screens, phones and print.

    The page loads nothing, runs no script, and its Content-Security-Policy allows no style but its own.
    Every plot has a table with the same numbers; without matplotlib (the extra `evaluation`) the tables
    stand alone. Equal results give equal pages.
    """
    style = _file("report.css")
    page: str = _template().render(
        style=Markup(style),  # noqa: S704 - our own file, not anybody's text
        style_hash=_csp_hash(style),
        **_View(result).page(),
    )
    return page


class _View:
    """What the template shows of one result."""

    def __init__(self, result: EvaluationResult) -> None:
        self._result = result
        self._headline = metric_label(result.headline)
        self._systems = by_headline(result)
        self._comparisons = comparisons_of(result)

    def page(self) -> dict[str, Any]:
        result = self._result
        return {
            "dataset": clean_text(result.dataset),
            "protocol": protocol_sentence(result.protocol),
            "verdict": headline_sentence(result),
            "totals": self._totals(),
            "headline": self._headline.label,
            "further": [metric.label for metric in self._further()],
            "systems": [self._system(system) for system in self._systems],
            "has_comparisons": bool(self._comparisons),
            "has_tokens": any(system.tokens_per_query for system in result.systems),
            "has_failures": any(system.failures for system in result.systems),
            "comparisons": self._matrix(),
            "metric_tables": self._metric_tables(),
            "plots": self._plots(),
            "bands": self._bands(self._result.bands),
            "cold_start": self._bands(self._result.cold_start),
            "probes": self._probes(),
            "reliability": self._reliability(),
            "lists": self._lists(),
            "command": clean_text(result.command),
            "settings": self._settings(),
            "notes": [clean_text(note) for note in (*cautions(result), *result.notes)],
        }

    def _totals(self) -> list[dict[str, Any]]:
        result, metric = self._result, self._headline
        found: list[dict[str, Any]] = []
        for label, wanted in (("", False), ("best baseline: ", True)):
            best = next(
                (s for s in self._systems if s.is_baseline == wanted and metric.name in s.metrics), None
            )
            if best is not None:
                number = metric.number(best.metrics[metric.name].mean)
                name = clean_text(best.name)
                found.append(
                    {"number": number, "label": f"{label}{name}, {metric.label}", "ours": not wanted}
                )
        if metric.name in result.chance:
            found.append(
                {"number": metric.number(result.chance[metric.name]), "label": f"chance, {metric.label}"}
            )
        candidates = f"{result.candidates_per_query:,.1f}".removesuffix(".0")
        found += [
            {"number": f"{result.people:,}", "label": "person" if result.people == 1 else "people"},
            {"number": candidates, "label": "candidates a query"},
            {"number": f"{result.items:,}", "label": "items in the catalogue"},
        ]
        return [{"ours": False, **total} for total in found]

    def _further(self) -> list[MetricLabel]:
        """Up to three metrics beside the headline: one of each family, at its cutoff."""
        return [metric for metric in self._drawn_metrics() if metric.name != self._headline.name][:3]

    def _drawn_metrics(self) -> list[MetricLabel]:
        """The headline, then one metric of each family at its cutoff; with one target a query some are the
        same number, and told once."""
        cutoff = self._headline.cutoff
        found: dict[str, list[float | None]] = {}
        for family in (self._headline.name, *_FAMILIES):
            for name in (f"{family}@{cutoff}" if cutoff else family, family):
                if any(one.partition("@")[0] == family for one in found):
                    break
                means = [s.metrics[name].mean if name in s.metrics else None for s in self._systems]
                rounded = [mean if mean is None else round(mean, 9) for mean in means]
                if any(mean is not None for mean in means):
                    if rounded not in found.values():
                        found[name] = rounded
                    break
        return [metric_label(name) for name in found][:PLOTTED]

    def _system(self, system: SystemResult) -> dict[str, Any]:
        verdicts = {
            baseline: verdict_of(one.difference)
            for (name, baseline), one in self._comparisons.items()
            if name == system.name
        }
        beaten = [name for name, verdict in verdicts.items() if verdict == "better"]
        others = [clean_text(name) for name, verdict in verdicts.items() if verdict != "better"]
        count = f"{len(beaten)} of {len(verdicts)}" if verdicts else "–"
        return {
            "name": clean_text(system.name),
            "is_baseline": system.is_baseline,
            "headline": _figure(self._headline, system.metrics.get(self._headline.name)),
            "further": [
                {"label": metric.label, **_figure(metric, system.metrics.get(metric.name))}
                for metric in self._further()
            ],
            "beaten": f"all {len(verdicts)}" if verdicts and not others else count,
            "not_beaten": "not " + ", ".join(others) if beaten and others else "",
            "seconds": shown_seconds(system.seconds_per_query),
            "tokens": f"{system.tokens_per_query:,.0f}",
            "failures": f"{system.failures:,}",
        }

    def _matrix(self) -> dict[str, Any]:
        baselines = [s.name for s in self._systems if any(b == s.name for _, b in self._comparisons)]
        rows = []
        for system in self._systems:
            figures: list[dict[str, str] | None] = []
            for baseline in baselines:
                found = self._comparisons.get((system.name, baseline))
                if found is None:
                    figures.append(None)
                    continue
                verdict = verdict_of(found.difference)
                shown = _figure(self._headline, found.difference, signed=True)
                figures.append({**shown, "verdict": verdict, "mark": _MARKS[verdict], "said": _SAID[verdict]})
            if any(figures):
                rows.append({**_named(system), "figures": figures})
        return {"baselines": [clean_text(name) for name in baselines], "rows": rows}

    def _metric_tables(self) -> list[dict[str, Any]]:
        names = dict.fromkeys(n for s in self._systems for n in s.metrics if not is_list_metric(n))
        by_cutoff: dict[int | None, list[MetricLabel]] = {}
        for metric in map(metric_label, names):
            by_cutoff.setdefault(metric.cutoff, []).append(metric)
        order = sorted(by_cutoff, key=lambda at: (at != self._headline.cutoff, at is None, at or 0))
        return [
            {
                "title": f"All figures of the first {at}" if at else "All figures of the whole order",
                **self._table(by_cutoff[at]),
            }
            for at in order
        ]

    def _table(self, metrics: Sequence[MetricLabel]) -> dict[str, Any]:
        chance = self._result.chance
        return {
            "labels": [metric.label for metric in metrics],
            "metrics": metrics,
            "rows": [
                {**_named(system), "figures": [_figure(m, system.metrics.get(m.name)) for m in metrics]}
                for system in self._systems
            ],
            "chance": [m.number(chance[m.name]) if m.name in chance else "–" for m in metrics]
            if any(m.name in chance for m in metrics)
            else [],
        }

    def _lists(self) -> dict[str, Any] | None:
        names = dict.fromkeys(n for s in self._systems for n in s.metrics if is_list_metric(n))
        table = self._table([metric_label(name) for name in names])
        table["rows"] = [
            row for row in table["rows"] if any(figure["number"] != "–" for figure in row["figures"])
        ]
        return table if names else None

    def _bands(self, bands: Sequence[HistoryBand]) -> dict[str, Any] | None:
        """The table of bands; None without any."""
        if not bands:
            return None
        metric = self._headline
        rows = []
        for system in self._systems:
            found = [band.metrics.get(system.name, {}).get(metric.name) for band in bands]
            if any(found):
                rows.append({**_named(system), "figures": [_figure(metric, one) for one in found]})
        labels = [
            {
                "label": clean_text(band.label),
                "people": f"{band.people:,} people" if band.people != 1 else "1 person",
            }
            for band in bands
        ]
        return {"labels": labels, "rows": rows}

    def _probes(self) -> list[dict[str, Any]]:
        metric = self._headline
        return [
            {
                "name": clean_text(probe.name).replace("-", " ").capitalize(),
                "question": clean_text(probe.question),
                "system": clean_text(probe.system),
                "verdict": clean_text(probe.verdict),
                "before": _figure(metric, probe.before),
                "after": _figure(metric, probe.after),
                "difference": _figure(metric, probe.difference, signed=True),
            }
            for probe in self._result.probes
        ]

    def _reliability(self) -> list[dict[str, str]]:
        return [
            {
                "system": clean_text(one.system),
                "error": f"{one.calibration_error:.4f}",
                "brier": f"{one.brier:.4f}",
                "constant": f"{one.brier_constant:.4f}",
                "count": f"{one.count:,}",
                "verdict": "better" if one.brier < one.brier_constant else "worse",
            }
            for one in self._result.reliability
        ]

    def _settings(self) -> list[dict[str, str]]:
        found = {**self._result.settings, "fingerprint": self._result.fingerprint}
        return [{"name": clean_text(name), "value": clean_text(value)} for name, value in found.items()]

    def _plots(self) -> dict[str, Any] | None:
        if importlib.util.find_spec("matplotlib") is None:
            return None
        return {
            "dots": [
                {"label": metric.label, "meaning": metric.meaning, "svg": drawn}
                for metric in self._drawn_metrics()
                if (drawn := self._dots(metric))
            ],
            "price": self._price(),
            "bands": self._bands_plot(),
            "reliability": [
                {"label": clean_text(one.system), "svg": _markup(plots.reliability_diagram(one))}
                for one in self._result.reliability
            ],
        }

    def _dots(self, metric: MetricLabel) -> Markup | None:
        rows = [
            plots.Row(system.name, system.metrics[metric.name], system.is_baseline)
            for system in self._systems
            if metric.name in system.metrics
        ]
        return _markup(plots.dots(metric, rows, self._result.chance.get(metric.name))) if rows else None

    def _price(self) -> dict[str, Markup] | None:
        metric = self._headline
        rows = [
            plots.PricedRow(s.name, s.metrics[metric.name], s.is_baseline, s.seconds_per_query)
            for s in self._systems
            if metric.name in s.metrics
        ]
        return _two_widths(lambda width: plots.price(metric, rows, width)) if len(rows) > 1 else None

    def _bands_plot(self) -> dict[str, Markup] | None:
        bands, metric = self._result.bands, self._headline
        baselines = [system for system in self._systems if system.is_baseline]
        ours = [system for system in self._systems if not system.is_baseline]
        drawn = [*ours[: PLOTTED - min(2, len(baselines))], *baselines]
        series = {
            system.name: [band.metrics.get(system.name, {}).get(metric.name) for band in bands]
            for system in drawn[:PLOTTED]
        }
        series = {name: found for name, found in series.items() if any(found)}
        if len(bands) < 2 or not series:
            return None
        labels = [(band.label, band.people) for band in bands]
        chance = self._result.chance.get(metric.name)
        return _two_widths(lambda width: plots.bands(metric, labels, series, chance, width))


def _named(system: SystemResult) -> dict[str, Any]:
    return {"name": clean_text(system.name), "is_baseline": system.is_baseline}


def _figure(metric: MetricLabel, found: Interval | None, *, signed: bool = False) -> dict[str, str]:
    if found is None:
        return {"number": "–", "bounds": ""}
    return {"number": metric.number(found.mean, signed=signed), "bounds": metric.bounds(found, signed=signed)}


def _two_widths(draw: Callable[[float], str]) -> dict[str, Markup]:
    return {"wide": _markup(draw(WIDE)), "narrow": _markup(draw(plots.NARROW))}


def _markup(svg: str) -> Markup:
    return Markup(svg)  # noqa: S704 - drawn from numbers; names in it are escaped by ElementTree


def _breakable(text: str) -> Markup:
    """The text, escaped, with places where a long name may be broken."""
    return Markup(re.sub(r"(?<=[+_/])", "<wbr>", str(escape(text))))  # noqa: S704 - escaped


def _csp_hash(text: str) -> str:
    """How a Content-Security-Policy names an inline text that is allowed (CSP level 3, 2.3.1)."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode()}"


@cache
def _file(name: str) -> str:
    return resources.files("llmrec.evaluation").joinpath(name).read_text("utf-8")


@cache
def _template() -> Any:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=False)
    environment.filters["breakable"] = _breakable
    return environment.from_string(_file("report.html.jinja"))
