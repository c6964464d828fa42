"""How far the work is: a bar on standard error when that is a terminal, else one line a stage."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from llmrec.cli.terminal import Terminal

BAR_WIDTH = 24
NARROW = 60


class ProgressReport:
    """Shows the stage that is going on; use it as a context manager around the work."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._current = ""
        self._bar = _bar(terminal.err) if terminal.err.is_terminal else None
        self._task = self._bar.add_task("starting", total=None, count="") if self._bar is not None else None

    def __enter__(self) -> ProgressReport:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the terminal to somebody who is asked something."""
        if self._bar is None:
            yield
            return
        self._bar.stop()
        try:
            yield
        finally:
            self._bar.start()

    def update(self, stage: str, done: int = 0, total: int | None = None, *, detail: str = "") -> None:
        """Say that a stage has `done` of `total` steps behind it; None for a total nobody knows.

        `detail` stands behind the count on a terminal that is wide enough, for example a speed.
        """
        if self._bar is None or self._task is None:
            if stage != self._current:
                self._terminal.stage(stage)
        else:
            if stage != self._current:
                self._bar.reset(self._task, description=stage)
            count = "" if total is None else f"{done}/{total}"
            if detail and self._terminal.err.width >= NARROW:
                count = f"{count} {detail}"
            self._bar.update(self._task, completed=done, total=total, count=count)
        self._current = stage


def _bar(console: Console) -> Progress:
    columns: list[ProgressColumn] = [SpinnerColumn(), TextColumn("{task.description}", markup=False)]
    count = TextColumn("{task.fields[count]}", markup=False)
    if console.width >= NARROW:
        columns += [BarColumn(bar_width=BAR_WIDTH), count, TimeElapsedColumn()]
    else:
        columns.append(count)
    return Progress(*columns, console=console, transient=True)
