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
    """A paragraph of one style."""

    def __init__(self, text: str, style: str = "") -> None:
        self._text = text
        self._style = style

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in wrap(self._text, options.max_width):
            yield Text(line, style=self._style, no_wrap=True, overflow="ignore")

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        widest_unit = max((cell_len(unit.rstrip()) for unit in _units(self._text)), default=0)
        most = options.max_width
        return Measurement(min(widest_unit, most), min(cell_len(self._text), most))
