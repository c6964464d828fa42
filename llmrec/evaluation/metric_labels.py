"""How figures are called and written for readers: one place for reports and the command line."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from llmrec.behavior.text import clean_text
from llmrec.evaluation.types import Interval

MINUS = "−"


@dataclass(frozen=True)
class MetricLabel:
    """What a metric is called, and how its numbers are written."""

    name: str
    """As in `SystemResult.metrics`, for example `ndcg@10`."""
    label: str
    """For example `NDCG@10`."""
    meaning: str
    """One sentence without its full stop."""
    scale: float = 100.0
    """What numbers are multiplied by to be shown; 100 for shares."""
    digits: int = 1
    unit: str = ""
    better: Literal["higher", "lower", "neither"] = "higher"

    @property
    def cutoff(self) -> int | None:
        """How many places it looks at; None for all."""
        cutoff = self.name.rpartition("@")[2] if "@" in self.name else ""
        return int(cutoff) if cutoff.isdecimal() else None

    def number(self, value: float, *, signed: bool = False) -> str:
        """A value as it is shown, with a true minus sign, and with a plus where `signed`."""
        if not math.isfinite(value):
            return "–"
        text = f"{abs(value) * self.scale:,.{self.digits}f}"
        if value < 0 and text.strip("0.,"):
            return MINUS + text
        return f"+{text}" if signed and text.strip("0.,") else text

    def bounds(self, interval: Interval, *, signed: bool = False) -> str:
        """`54.1 to 58.6`; empty where the figure has no interval, or none that can be seen."""
        low, high = (self.number(value, signed=signed) for value in (interval.low, interval.high))
        return "" if low == high else f"{low} to {high}"

    def interval(self, interval: Interval, *, signed: bool = False) -> str:
        """`56.4 (54.1 to 58.6)`."""
        bounds = self.bounds(interval, signed=signed)
        number = self.number(interval.mean, signed=signed)
        return f"{number} ({bounds})" if bounds else number


_SHARE = "in percent"
_KNOWN: dict[str, tuple[str, str]] = {
    "ndcg": ("NDCG", "Gains discounted by the logarithm of the rank, against the best order"),
    "hit": ("Hit rate", "People with a target among the first"),
    "precision": ("Precision", "Targets among the first, by their number of places"),
    "recall": ("Recall", "Targets among the first, by all targets"),
    "f1": ("F1", "Harmonic mean of precision and recall"),
    "mrr": ("MRR", "Mean of 1 / rank of the first target"),
    "map": ("MAP", "Mean of the precision at each target's rank"),
    "auc": ("AUC", "Pairs of a target and another candidate in the right order"),
}
_LISTS: dict[str, MetricLabel] = {
    "coverage": MetricLabel(
        "", "Coverage", "Share of the catalogue that is recommended to somebody", unit="in percent"
    ),
    "gini": MetricLabel(
        "", "Gini", "How unevenly places fall on items: 0 evenly, 1 on one", 1.0, 3, better="lower"
    ),
    "category_diversity": MetricLabel(
        "", "Diversity (categories)", "Mean Jaccard distance of a list's items, by their categories", 1.0, 3
    ),
    "word_diversity": MetricLabel(
        "", "Diversity (words)", "Mean Jaccard distance of a list's items, by their words", 1.0, 3
    ),
    "novelty": MetricLabel(
        "",
        "Novelty",
        "How rare recommended items are: mean −log2 of the share who chose them",
        1.0,
        2,
        "bits",
    ),
    "popularity_lift": MetricLabel(
        "",
        "Popularity lift",
        "Popularity of what is recommended, by that of the histories: 1 is alike",
        1.0,
        2,
        "×",
        "neither",
    ),
}


def metric_label(name: str) -> MetricLabel:
    """The label of a metric by its name; a metric nobody has described is called by its name."""
    family, _, cutoff = name.partition("@")
    at = f"@{cutoff}" if cutoff else ""
    if family in _KNOWN:
        label, meaning = _KNOWN[family]
        return MetricLabel(name, f"{label}{at}", f"{meaning}, {_SHARE}")
    if family in _LISTS:
        known = _LISTS[family]
        return MetricLabel(
            name, f"{known.label}{at}", known.meaning, known.scale, known.digits, known.unit, known.better
        )
    return MetricLabel(name, clean_text(name), "", 1.0, 3)


def is_list_metric(name: str) -> bool:
    """Whether a metric is one of whole lists, such as coverage, rather than of places of targets."""
    return name.partition("@")[0] in _LISTS


def shown_seconds(seconds: float) -> str:
    """A time with about two digits and its unit: `under 0.1 ms`, `0.4 ms`, `31 ms`, `1.2 s`, `2.5 min`."""
    if seconds < 0.000_095:
        return "under 0.1 ms"
    if seconds < 0.995:
        return f"{_two_digits(seconds * 1000)} ms"
    return f"{_two_digits(seconds)} s" if seconds < 99.5 else f"{_two_digits(seconds / 60)} min"


def _two_digits(number: float) -> str:
    return f"{number:,.0f}" if number >= 9.95 else f"{number:.1f}".removesuffix(".0")
