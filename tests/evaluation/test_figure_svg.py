"""Figures as SVG that a page can hold."""

from __future__ import annotations

import re
import sys
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.errors import InputError
from llmrec.evaluation.figure_svg import OURS, FigureTexts, drawing, shortened, text_width, to_svg


def drawn(name: str = "bm25", label: str = "a figure") -> str:
    pytest.importorskip("matplotlib")
    texts = FigureTexts()
    with drawing(200, 100) as figure:
        axes = figure.add_axes((0.2, 0.2, 0.7, 0.7))
        axes.plot([0, 1], [0, 1], "o-", color=OURS)
        axes.set_yticks([0.5], [texts.token(name)])
        return to_svg(figure, texts, label)


@pytest.mark.parametrize(
    "name",
    ["<script>alert(1)</script>", "$\\frac{1}{0}$ & $x", "中文模型", "_hidden", "a\u202eb\nc", "name-0-"],
)
def test_names_are_text_whatever_they_hold(name: str) -> None:
    svg = drawn(name)
    texts = [element.text for element in ElementTree.fromstring(svg).iter("text")]
    assert name.replace("\u202e", "").replace("\n", " ") in texts
    assert "<script" not in svg


def test_nothing_is_left_that_a_page_would_refuse_or_that_changes() -> None:
    svg = drawn()
    assert svg == drawn()
    root = ElementTree.fromstring(svg)
    assert root.attrib == {"class": "plot", "viewBox": "0 0 200 100", "role": "img", "aria-label": "a figure"}
    for element in root.iter():
        assert element.tag in {"svg", "g", "defs", "path", "use", "text", "clipPath", "rect"}
        assert not set(element.attrib) & {"style", "font-family", "xmlns"}
    assert "DejaVu" not in svg
    assert OURS in svg


def test_two_figures_of_a_page_share_no_id() -> None:
    one, other = drawn(label="one"), drawn(label="other")
    ids = [set(re.findall(r' id="([^"]+)"', svg)) for svg in (one, other)]
    assert ids[0]
    assert not ids[0] & ids[1]
    for svg, own in zip((one, other), ids, strict=True):
        referred = set(re.findall(r'(?:href="|url\()#([^")]+)', svg))
        assert referred == own, "ids are there for what refers to them"


def test_a_user_own_matplotlib_settings_change_nothing() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    expected = drawn()
    with matplotlib.rc_context({"font.size": 30, "svg.fonttype": "path", "axes.grid": True}):
        assert drawn() == expected
        assert matplotlib.rcParams["font.size"] == 30


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match=re.escape("llmrec[evaluation]")), drawing(10, 10):
        pass


@given(st.text(max_size=60), st.floats(12, 200))
def test_a_shortened_text_fits(text: str, width: float) -> None:
    short = shortened(text, width)
    assert text_width(short) <= width
    assert "\n" not in short


def test_chinese_is_wider_and_what_fits_stays() -> None:
    assert text_width("中文") > text_width("ab")
    assert shortened("bm25", 100) == "bm25"
    assert shortened("a very long name of a system", 60).endswith("…")
