"""Text that is broken into lines as its script is: English between words, Chinese between characters."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich.cells import cell_len, chop_cells
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.text import Text

_WIDE = "\u2e80-\u303f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uff60"
_OPENING = "「『（《〈【“‘"
_CLOSING = "」』）》〉】”’，。；：、！？…"
# No line begins with a closing mark or ends with an opening one, so these stay with their neighbours.
_UNIT = re.compile(
    rf"\s+|[{_OPENING}]*(?:[^\s{_WIDE}{_OPENING}{_CLOSING}][^\s{_WIDE}{_OPENING}]*|[{_WIDE}])?[{_CLOSING}]*"
)


def wrap(text: str, width: int) -> list[str]:
    """Break a text into lines of at most `width` columns; a unit that is longer is cut."""
    lines: list[str] = [""]
    for unit in _units(text):
        if cell_len(lines[-1] + unit.rstrip()) <= width:
            lines[-1] += unit
        elif cell_len(unit.rstrip()) <= width:
            lines.append(unit.lstrip())
        else:
            lines += [*chop_cells(unit, max(width, 2))]
    return [line.rstrip() for line in lines if line.strip()] or [""]


def _units(text: str) -> Iterator[str]:
    return (unit for unit in _UNIT.findall(text) if unit)


class Prose:
    """A paragraph of one style, its first line and the further ones behind indents of their own."""

    def __init__(self, text: str, style: str = "", *, indents: tuple[str, str] = ("", "")) -> None:
        self._text = text
        self._style = style
        self._indents = indents
        self._indented = max(map(cell_len, indents))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = wrap(self._text, max(options.max_width - self._indented, 1))
        for number, line in enumerate(lines):
            indent = self._indents[number > 0]
            text = Text.assemble((indent, "dim"), (line, self._style))
            text.no_wrap, text.overflow = True, "ignore"
            yield text

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        widest_unit = max((cell_len(unit.rstrip()) for unit in _units(self._text)), default=0)
        least, most = widest_unit + self._indented, cell_len(self._text) + self._indented
        return Measurement(min(least, options.max_width), min(most, options.max_width))
