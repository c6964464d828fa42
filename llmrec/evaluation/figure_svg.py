"""matplotlib figures as SVG inside a page: the same every time, in the page's own colours and fonts."""

from __future__ import annotations

import hashlib
import io
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree

from llmrec.behavior.text import clean_text
from llmrec.errors import InputError

INK = "#1b2024"
FAINT = "#59636b"
LINE = "#d9dee2"
OURS = "#0072b2"
BASELINE = "#7c868d"
SERIES = ("#0173b3", "#be4e01", "#01875f", "#9b4f8e", "#7a6a00", "#404a52")
"""Colours of a page's style sheet, which sets others in their place for dark screens and for print."""

FONT_SIZE = 10.5
POINTS_PER_INCH = 72.0
_TOKEN = re.compile(r"name-(\d+)-")
_FONT_PROPERTIES = {"font", "font-family", "font-style", "font-variant", "font-stretch"}


class FigureTexts:
    """Stands in for names of people's own while matplotlib draws, and puts them in afterwards.

    matplotlib would read `$` as mathematics and warn of letters its font lacks; the page's fonts have them.
    """

    def __init__(self) -> None:
        self._texts: list[str] = []

    def token(self, text: str, width: float | None = None) -> str:
        """What to let matplotlib draw for a text, cut to a width in units of the figure."""
        self._texts.append(shortened(text, width) if width is not None else clean_text(text))
        return f"name-{len(self._texts) - 1}-"

    def put_in(self, drawn: str) -> str:
        """The drawn text with names for tokens."""
        return _TOKEN.sub(lambda found: self._texts[int(found[1])], drawn)


def text_width(text: str, size: float = FONT_SIZE) -> float:
    """About how wide a text is in the widest fonts of pages; rather more than less."""
    return size * sum(_sign_width(sign) for sign in text)


def _sign_width(sign: str) -> float:
    if unicodedata.east_asian_width(sign) in "WF":
        return 1.02
    if sign in "mwMW@%—…":
        return 0.98
    if sign in "iljtfrI.,:;'|!()[] -":
        return 0.4
    return 0.72 if sign.isupper() else 0.63


def shortened(text: str, width: float, size: float = FONT_SIZE) -> str:
    """The text on one line, cut with an ellipsis to fit a width."""
    text = clean_text(text)
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + "…", size) > width:
        text = text[:-1]
    return text.rstrip() + "…"


@contextmanager
def drawing(width: float, height: float) -> Iterator[Any]:
    """A matplotlib figure of a size in units of the SVG, with settings that no user's own file changes.

    Raises InputError when matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError('plots need matplotlib: pip install "llmrec[evaluation]"') from error
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {
                "svg.fonttype": "none",
                "svg.hashsalt": "llmrec",
                "font.size": FONT_SIZE,
                "text.color": INK,
                "axes.edgecolor": LINE,
                "axes.labelcolor": FAINT,
                "axes.labelsize": FONT_SIZE,
                "axes.spines.top": False,
                "axes.spines.right": False,
                "axes.linewidth": 1.0,
                "xtick.color": LINE,
                "ytick.color": LINE,
                "xtick.labelcolor": FAINT,
                "ytick.labelcolor": FAINT,
                "xtick.labelsize": FONT_SIZE,
                "ytick.labelsize": FONT_SIZE,
                "grid.color": LINE,
                "grid.linewidth": 0.8,
            }
        )
        yield Figure(figsize=(width / POINTS_PER_INCH, height / POINTS_PER_INCH))


def to_svg(figure: Any, texts: FigureTexts, label: str) -> str:
    """The figure as one SVG element to stand in HTML; call it inside `drawing`.

    Colours are attributes, so that a style sheet can set others, and no style attribute is left, so that a
    Content-Security-Policy may forbid them. Names take the page's fonts. `label` is read to those who do
    not see the picture. Equal figures give equal texts.
    """
    written = io.StringIO()
    figure.savefig(written, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    drawn = written.getvalue()
    # Drawn by matplotlib of numbers and tokens alone: nobody's text is parsed here.
    root = ElementTree.fromstring(drawn)  # noqa: S314
    prefix = "f" + hashlib.sha256((label + drawn).encode("utf-8", "replace")).hexdigest()[:8]
    used = set(re.findall(r'(?:href="|url\()#([\w.-]+)', drawn))
    _clean(root, prefix, used, texts)
    width, height = root.get("viewBox", "").split()[2:]
    root.attrib = {
        "class": "plot",
        "viewBox": f"0 0 {width} {height}",
        "role": "img",
        "aria-label": clean_text(label),
    }
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=True)


def _clean(element: ElementTree.Element, prefix: str, used: set[str], texts: FigureTexts) -> None:
    element.tag = _bare(element.tag)
    for name, value in list(element.attrib.items()):
        del element.attrib[name]
        name = _bare(name)
        if name == "style":
            element.attrib.update(_presentation(value))
        elif name == "id":
            if value in used:
                element.set("id", prefix + value)
        elif name == "href":
            element.set("href", value.replace("#", f"#{prefix}", 1))
        elif name == "clip-path":
            element.set(name, value.replace("#", f"#{prefix}", 1))
        elif not (name == "transform" and value.startswith("rotate(-0 ")):
            element.set(name, " ".join(value.split()))
    if element.tag == "text":
        element.text = texts.put_in(element.text or "")
    else:
        element.text = None
    element.tail = "\n" if element.tag in ("g", "defs") else None
    for child in list(element):
        if _bare(child.tag) in ("metadata", "style"):
            element.remove(child)
            continue
        _clean(child, prefix, used, texts)
        if child.tag in ("g", "defs") and not len(child):
            element.remove(child)


def _bare(name: str) -> str:
    return name.rpartition("}")[2]


def _presentation(style: str) -> dict[str, str]:
    """A style attribute as SVG's presentation attributes, without the family of its font."""
    found: dict[str, str] = {}
    # Names of font families hold commas and quotes, but no semicolon.
    for declaration in style.split(";"):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        if name == "font":
            # The shorthand of older versions: "bold 10px 'DejaVu Sans', …".
            size = re.search(r"([\d.]+)px", value)
            found["font-size"] = size[1] if size else str(FONT_SIZE)
            if "bold" in value.split("'")[0]:
                found["font-weight"] = "bold"
        elif name == "font-size":
            found[name] = value.removesuffix("px")
        elif name == "font-weight":
            found[name] = "bold" if value in ("bold", "700") else value
        elif name and name not in _FONT_PROPERTIES:
            found[name] = value
    return found
