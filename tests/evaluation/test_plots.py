"""The plots of a report."""

from __future__ import annotations

import itertools
import re
from xml.etree import ElementTree

import pytest

from llmrec.evaluation import plots
from llmrec.evaluation.calibration import reliability
from llmrec.evaluation.metric_labels import metric_label
from llmrec.evaluation.plots import PricedRow, Row
from llmrec.evaluation.types import Interval

pytest.importorskip("matplotlib")
NDCG = metric_label("ndcg@10")


def interval(mean: float, width: float = 0.03) -> Interval:
    return Interval(mean=mean, low=mean - width, high=mean + width, people=100)


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter("text")]


def label_of(svg: str) -> str:
    return ElementTree.fromstring(svg).attrib["aria-label"]


def test_dots_name_every_system_and_write_its_number() -> None:
    svg = plots.dots(NDCG, [Row("llmrec", interval(0.612), False), Row("bm25", interval(0.56), True)], 0.227)
    assert {"llmrec", "61.2", "bm25", "56.0", "chance"} <= set(texts(svg))
    assert "llmrec 61.2 (58.2 to 64.2), bm25 56.0" in label_of(svg)
    assert "chance" not in texts(plots.dots(NDCG, [Row("one", interval(0.5), False)]))


@pytest.mark.parametrize("width", [plots.NARROW, 700.0])
def test_the_price_labels_every_system_even_when_all_cost_the_same(width: float) -> None:
    rows = [PricedRow(f"system {at}", interval(0.5 + at / 500), at % 2 == 0, 0.5) for at in range(12)]
    svg = plots.price(NDCG, rows, width)
    assert {row.name for row in rows} <= set(texts(svg))
    assert "system 3 50.6 in 500 ms" in label_of(svg)


def test_the_price_spans_from_nothing_to_minutes() -> None:
    rows = [PricedRow("free", interval(0.2), True, 0.0), PricedRow("dear", interval(0.7), False, 300.0)]
    ticks = [text for text in texts(plots.price(NDCG, rows)) if re.search(r"(ms|s|min)$", text)]
    assert "≤ 0.1 ms" in ticks
    assert len(ticks) == len(set(ticks)) >= 3


def test_the_front_is_what_nothing_cheaper_equals() -> None:
    assert plots._front([(1.0, 0.5), (0.1, 0.2), (2.0, 0.4), (1.0, 0.6), (3.0, 0.9)]) == [1, 3, 4]


def test_bands_label_lines_at_their_ends_and_bear_gaps() -> None:
    series = {"llmrec": [interval(0.4), None, interval(0.7)], "bm25": [None, None, interval(0.69)]}
    svg = plots.bands(NDCG, [("1–2", 10), ("3–5", 1234), ("6+", 7)], series, 0.2)
    assert {"llmrec", "bm25", "chance", "1–2", "3–5", "6+", "1,234"} <= set(texts(svg))
    ys = sorted(
        float(element.attrib["y"])
        for element in ElementTree.fromstring(svg).iter("text")
        if element.text in ("llmrec", "bm25", "chance")
    )
    assert all(later - earlier >= 13 for earlier, later in itertools.pairwise(ys))


def test_a_reliability_diagram_tells_each_bin() -> None:
    one = reliability("llmrec", [0.1] * 10 + [0.4] * 10, [False] * 8 + [True] * 2 + [True] * 5 + [False] * 5)
    svg = plots.reliability_diagram(one)
    assert "10.0 said, 20.0 taken, 40.0 said, 50.0 taken" in label_of(svg)
    assert "probability said, in percent" in texts(svg)


def test_pictures_are_the_same_every_time() -> None:
    rows = [PricedRow("llmrec", interval(0.6), False, 0.6), PricedRow("bm25", interval(0.5), True, 0.01)]
    assert plots.price(NDCG, rows) == plots.price(NDCG, rows)


def test_systems_without_any_spread_can_be_drawn() -> None:
    flat = Interval(mean=0.0, low=0.0, high=0.0, people=1)
    assert "one" in texts(plots.dots(NDCG, [Row("one", flat, True)], 0.0))
    assert "one" in texts(plots.price(NDCG, [PricedRow("one", flat, True, 0.0)]))
    assert "one" in texts(plots.bands(NDCG, [("0", 1)], {"one": [flat]}))
    assert "said" in label_of(plots.reliability_diagram(reliability("one", [0.0], [False])))
