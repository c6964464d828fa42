"""The plots of a report: dots with intervals, the price of quality, bands of histories, reliability.

Each returns one SVG element for a page. All need the extra `evaluation`, and raise InputError without it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmrec.evaluation.figure_svg import (
    BASELINE,
    FAINT,
    FONT_SIZE,
    INK,
    LINE,
    OURS,
    SERIES,
    FigureTexts,
    drawing,
    text_width,
    to_svg,
)
from llmrec.evaluation.label_places import Box, place_labels, spread
from llmrec.evaluation.metric_labels import MetricLabel, shown_seconds
from llmrec.evaluation.types import Interval, Reliability

MARKERS = ("o", "s", "^", "D", "v", "P")
NARROW = 360.0
"""The width, in units of the SVG, that is read well on a phone."""
_LONGEST_NAME = 130.0
_ROW = 22.0
_TALLEST = 1200.0
_SHORTEST = 1e-4
"""Seconds below which times are not told apart."""


@dataclass(frozen=True)
class Row:
    """One system's figure in a plot."""

    name: str
    interval: Interval
    is_baseline: bool


@dataclass(frozen=True)
class PricedRow(Row):
    """The same with what it costs."""

    seconds: float
    """The median a query."""


def dots(metric: MetricLabel, rows: Sequence[Row], chance: float | None = None) -> str:
    """One metric of all systems: a dot for the mean, a line for its interval, dashes for chance."""
    texts = FigureTexts()
    left = 12 + min(_LONGEST_NAME, max(text_width(row.name) for row in rows))
    right, top, bottom = 44.0, 20.0 if chance is not None else 8.0, 26.0
    height = top + bottom + _ROW * len(rows)
    with drawing(NARROW, height) as figure:
        axes = _axes(figure, NARROW, height, left, right, top, bottom)
        for place, row in enumerate(rows):
            color = BASELINE if row.is_baseline else OURS
            low, mean, high = (metric.scale * v for v in _bounds(row.interval))
            axes.plot([low, high], [place, place], color=color, linewidth=2.2, solid_capstyle="round")
            axes.plot([mean], [place], "o", color=color, markersize=6.5)
            axes.annotate(
                metric.number(row.interval.mean),
                (1, place),
                xycoords=("axes fraction", "data"),
                xytext=(6, 0),
                textcoords="offset points",
                va="center_baseline",
                weight="normal" if row.is_baseline else "bold",
                annotation_clip=False,
            )
        axes.set_yticks(range(len(rows)), [texts.token(row.name, _LONGEST_NAME) for row in rows])
        axes.tick_params(axis="y", length=0, labelcolor=INK, pad=6)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.tick_params(axis="x", length=0)
        axes.locator_params(axis="x", nbins=4)
        if chance is not None:
            axes.axvline(metric.scale * chance, color=FAINT, linewidth=1.0, dashes=(3, 3))
            axes.annotate(
                "chance",
                (metric.scale * chance, 1),
                xycoords=("data", "axes fraction"),
                xytext=(0, 4),
                textcoords="offset points",
                ha="center",
                va="bottom",
                color=FAINT,
                annotation_clip=False,
            )
        axes.margins(x=0.04)
        said = ", ".join(f"{row.name} {metric.interval(row.interval)}" for row in rows)
        return to_svg(figure, texts, f"{metric.label} of each system with its 95% interval: {said}")


def price(metric: MetricLabel, rows: Sequence[PricedRow], width: float = NARROW) -> str:
    """Quality against time a query, on a logarithmic scale; a line joins those that nothing cheaper beats."""
    height = 300.0
    while (drawn := _price(metric, rows, width, height)) is None:
        height *= 1.3
    return drawn


def _price(metric: MetricLabel, rows: Sequence[PricedRow], width: float, height: float) -> str | None:
    texts = FigureTexts()
    left, right, top, bottom = 40.0, 10.0, 22.0, 40.0
    shown = [max(row.seconds, _SHORTEST) for row in rows]
    with drawing(width, height) as figure:
        axes = _axes(figure, width, height, left, right, top, bottom)
        axes.set_xscale("log")
        low, high = min(shown), max(shown)
        axes.set_xlim(low / 2.5, high * 2.5)
        values = [metric.scale * v for row in rows for v in _bounds(row.interval)]
        margin = 0.08 * ((max(values) - min(values)) or 1.0)
        axes.set_ylim(min(values) - margin, max(values) + margin)
        figure.draw_without_rendering()
        front = _front([(seconds, row.interval.mean) for seconds, row in zip(shown, rows, strict=True)])
        axes.plot(
            [shown[at] for at in front],
            [metric.scale * rows[at].interval.mean for at in front],
            color=OURS,
            linewidth=1.2,
            alpha=0.45,
            drawstyle="steps-post",
            zorder=1,
        )
        points, bars = [], []
        for seconds, row in zip(shown, rows, strict=True):
            color = BASELINE if row.is_baseline else OURS
            below, mean, above = (metric.scale * v for v in _bounds(row.interval))
            axes.plot([seconds] * 2, [below, above], color=color, linewidth=1.6, alpha=0.75, zorder=2)
            axes.plot([seconds], [mean], "o", color=color, markersize=7, zorder=3)
            x, y = axes.transData.transform((seconds, mean)) * 72 / figure.dpi
            _, foot = axes.transData.transform((seconds, below)) * 72 / figure.dpi
            _, head = axes.transData.transform((seconds, above)) * 72 / figure.dpi
            points.append((float(x), float(y)))
            bars.append(Box(float(x) - 1.5, float(foot), float(x) + 1.5, float(head)))
        names = [texts.token(row.name, max(_LONGEST_NAME, width / 3)) for row in rows]
        sizes = [(text_width(texts.put_in(name)) + 2, FONT_SIZE * 1.25) for name in names]
        corners = axes.transData.transform(
            [(shown[at], metric.scale * rows[at].interval.mean) for at in front]
        )
        inside = Box(left + 3, bottom + 2, width - 2, height - top)
        steps = _steps([(float(x), float(y)) for x, y in corners * 72 / figure.dpi])
        places = place_labels(points, sizes, inside, obstacles=[*bars, *steps])
        if places is None and height < _TALLEST:
            return None
        for row, name, point, place in zip(rows, names, points, places or [], strict=bool(places)):
            on_left = place.box.right <= point[0]
            if place.leader is not None:
                xs, ys = zip(point, place.leader, strict=True)
                _line_on_page(figure, [x / width for x in xs], [y / height for y in ys])
            figure.text(
                (place.box.right - 1 if on_left else place.box.left + 1) / width,
                (place.box.bottom + 3) / height,
                name,
                ha="right" if on_left else "left",
                va="baseline",
                color=FAINT if row.is_baseline else INK,
                weight="normal" if row.is_baseline else "bold",
            )
        _seconds_axis(axes, low / 2.5, high * 2.5, width)
        axes.grid(axis="both", which="major")
        axes.set_axisbelow(True)
        axes.tick_params(length=0)
        axes.minorticks_off()
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("time a query (median, logarithmic scale)", labelpad=4)
        figure.text(4 / width, 1 - 12 / height, metric.label, color=FAINT)
        said = ", ".join(
            f"{row.name} {metric.number(row.interval.mean)} in {shown_seconds(row.seconds)}" for row in rows
        )
        return to_svg(figure, texts, f"{metric.label} against the time a query takes: {said}")


def bands(
    metric: MetricLabel,
    labels: Sequence[tuple[str, int]],
    series: Mapping[str, Sequence[Interval | None]],
    chance: float | None = None,
    width: float = NARROW,
) -> str:
    """One metric by length of history: `labels` are the bands with their people, `series` the systems'
    intervals, one a band, None where there is none. Up to six systems keep apart."""
    texts = FigureTexts()
    names = {name: texts.token(name, width * 0.3) for name in series}
    right = 22 + max(text_width(texts.put_in(token)) for token in names.values())
    left, top, bottom, height = 34.0, 22.0, 52.0, 270.0
    with drawing(width, height) as figure:
        axes = _axes(figure, width, height, left, right, top, bottom)
        ends: list[tuple[str, str, float]] = []
        for at, (name, intervals) in enumerate(series.items()):
            color, marker = SERIES[at % len(SERIES)], MARKERS[at % len(MARKERS)]
            shift = 0.09 * (at - (len(series) - 1) / 2)
            there = [(place + shift, one) for place, one in enumerate(intervals) if one is not None]
            if not there:
                continue
            for x, one in there:
                axes.plot(
                    [x, x], [metric.scale * one.low, metric.scale * one.high], color=color, lw=1.3, alpha=0.6
                )
            means = [metric.scale * one.mean for _, one in there]
            axes.plot([x for x, _ in there], means, color=color, marker=marker, markersize=5.5, linewidth=1.6)
            ends.append((names[name], color, means[-1]))
        if chance is not None:
            axes.axhline(metric.scale * chance, color=FAINT, linewidth=1.0, dashes=(3, 3))
            ends.append(("chance", FAINT, metric.scale * chance))
        axes.set_xlim(-0.5, len(labels) - 0.5)
        axes.margins(y=0.08)
        axes.set_xticks(range(len(labels)), [texts.token(label, 60) for label, _ in labels])
        for place, (_, people) in enumerate(labels):
            axes.annotate(
                f"{people:,}",
                (place, 0),
                xycoords=("data", "axes fraction"),
                xytext=(0, -18),
                textcoords="offset points",
                ha="center",
                va="top",
                color=FAINT,
                annotation_clip=False,
            )
        axes.tick_params(length=0)
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        axes.spines["left"].set_visible(False)
        figure.draw_without_rendering()
        wanted = [
            float(axes.transAxes.inverted().transform(axes.transData.transform((0, y)))[1]) for *_, y in ends
        ]
        inner = height - top - bottom
        for (token, color, _), y in zip(ends, spread(wanted, 14 / inner, 0.0, 1.0), strict=True):
            axes.annotate(
                token,
                (1, y),
                xycoords="axes fraction",
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                color=color,
                annotation_clip=False,
            )
        axes.set_xlabel("events in the history, and people", labelpad=17)
        figure.text(4 / width, 1 - 12 / height, metric.label, color=FAINT)
        said = "; ".join(
            f"{name}: "
            + ", ".join(
                f"{label} {metric.number(one.mean)}"
                for (label, _), one in zip(labels, intervals, strict=True)
                if one is not None
            )
            for name, intervals in series.items()
        )
        return to_svg(figure, texts, f"{metric.label} by length of history. {said}")


def reliability_diagram(one: Reliability) -> str:
    """The share taken against the probability said, by bin, with the diagonal of perfect calibration."""
    texts = FigureTexts()
    left, right, top, bottom, height = 40.0, 12.0, 22.0, 40.0, 300.0
    with drawing(NARROW, height) as figure:
        axes = _axes(figure, NARROW, height, left, right, top, bottom)
        highest = max(max(b.predicted, b.taken) for b in one.bins)
        end = min(1.0, max(1, math.ceil(highest * 11)) / 10)
        axes.plot([0, end * 100], [0, end * 100], color=FAINT, linewidth=1.0, dashes=(3, 3))
        for b in one.bins:
            axes.plot([100 * b.predicted] * 2, [100 * b.predicted, 100 * b.taken], color=SERIES[1], lw=1.6)
        axes.plot(
            [100 * b.predicted for b in one.bins],
            [100 * b.taken for b in one.bins],
            "o",
            color=OURS,
            markersize=6.5,
        )
        axes.set_xlim(-2 * end, 102 * end)
        axes.set_ylim(-2 * end, 102 * end)
        axes.grid(axis="both")
        axes.set_axisbelow(True)
        axes.tick_params(length=0)
        axes.spines[["left", "bottom"]].set_color(LINE)
        axes.set_xlabel("probability said, in percent", labelpad=4)
        figure.text(4 / NARROW, 1 - 12 / height, "taken, in percent", color=FAINT)
        said = ", ".join(f"{100 * b.predicted:.1f} said, {100 * b.taken:.1f} taken" for b in one.bins)
        return to_svg(figure, texts, f"Reliability of {one.system}, in percent by bin: {said}")


def _axes(
    figure: Any, width: float, height: float, left: float, right: float, top: float, bottom: float
) -> Any:
    return figure.add_axes(
        (left / width, bottom / height, (width - left - right) / width, (height - top - bottom) / height)
    )


def _bounds(interval: Interval) -> tuple[float, float, float]:
    return interval.low, interval.mean, interval.high


def _front(points: Sequence[tuple[float, float]]) -> list[int]:
    """The places of the points that no cheaper point equals or beats, by rising cost."""
    found: list[int] = []
    for at in sorted(range(len(points)), key=lambda one: (points[one][0], -points[one][1])):
        if not found or points[at][1] > points[found[-1]][1]:
            found.append(at)
    return found


def _steps(corners: Sequence[tuple[float, float]]) -> list[Box]:
    """What a line of steps through the corners covers."""
    boxes = []
    for (x, y), (next_x, next_y) in itertools.pairwise(corners):
        boxes += [Box(x, y - 0.5, next_x, y + 0.5), Box(next_x - 0.5, y, next_x + 0.5, next_y)]
    return boxes


def _seconds_axis(axes: Any, low: float, high: float, width: float) -> None:
    powers = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    every = math.ceil(len(powers) / max(2, width // 60))
    ticks = [10.0**power for power in powers][::every] or [math.sqrt(low * high)]
    axes.set_xticks(ticks, [shown_seconds(tick) if tick > _SHORTEST else "≤ 0.1 ms" for tick in ticks])


def _line_on_page(figure: Any, xs: Sequence[float], ys: Sequence[float]) -> None:
    from matplotlib.lines import Line2D

    figure.add_artist(Line2D(xs, ys, color=FAINT, linewidth=0.7, transform=figure.transFigure, zorder=0))
