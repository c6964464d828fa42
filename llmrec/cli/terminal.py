"""Where a command writes: results to standard output, everything else to standard error."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, NoReturn

from rich.console import Console, RenderableType
from rich.text import Text

from llmrec.cli.failures import ReaderGoneError, in_options, one_line

if TYPE_CHECKING:
    from pydantic import BaseModel

PROGRAM = "llmrec"


class OutputConsole(Console):
    """A console that says when its reader has gone, instead of ending the process itself."""

    def on_broken_pipe(self) -> NoReturn:
        """Called by rich when a write found the pipe closed."""
        raise ReaderGoneError from None


def _console(file: IO[str]) -> OutputConsole:
    # Titles and ids are data: nothing in them is markup, an emoji code or worth colouring.
    return OutputConsole(file=file, markup=False, emoji=False, highlight=False)


@dataclass
class Terminal:
    """The two streams of one run of the program."""

    debug: bool = False
    """Whether errors show their traceback and logs everything."""
    out: Console = field(default_factory=lambda: _console(sys.stdout))
    err: Console = field(default_factory=lambda: _console(sys.stderr))

    def show(self, *parts: RenderableType) -> None:
        """Write a result for a reader. Raises ReaderGoneError when nobody reads any more."""
        self.tell(self.out, *parts)

    def tell(self, console: Console, *parts: RenderableType) -> None:
        """Write parts to one of the two streams, one below the other, as `show` does."""
        with _reader_may_leave():
            if console.is_terminal:
                console.print(*parts, sep="\n")
            else:
                with console.capture() as capture:
                    console.print(*parts, sep="\n")
                # rich fills its columns with spaces, which nobody wants in a file.
                console.file.write("".join(f"{line.rstrip()}\n" for line in capture.get().splitlines()))
            console.file.flush()

    def write_json(self, document: BaseModel) -> None:
        """Write a result as one JSON document in UTF-8, whatever the terminal's own encoding."""
        self.write_text(document.model_dump_json(indent=2))

    def write_text(self, text: str) -> None:
        """Write a text as it is, with a line end after it, in UTF-8."""
        data = text.encode("utf-8", "replace") + b"\n"
        with _reader_may_leave():
            stream = self.out.file
            buffer = getattr(stream, "buffer", None)
            if buffer is None:
                stream.write(data.decode("utf-8"))
            else:
                stream.flush()
                buffer.write(data)
            stream.flush()

    def note(self, text: str, *, label: str = "note") -> None:
        """Tell something that belongs beside the result, as one line on standard error."""
        # Where standard error is gone, there is nobody left to tell.
        with contextlib.suppress(OSError, ReaderGoneError):
            self._tell(Text.assemble((f"{label}: ", "yellow"), one_line(in_options(text))))

    def stage(self, text: str) -> None:
        """Tell what is being done, as one line on standard error."""
        with contextlib.suppress(OSError, ReaderGoneError):
            self._tell(Text(one_line(text), style="dim"))

    def fail(self, text: str) -> None:
        """Say in one line on standard error why the command ends here."""
        with contextlib.suppress(OSError, ReaderGoneError):
            self._tell(Text.assemble((f"{PROGRAM}: ", "bold red"), one_line(in_options(text))))

    def _tell(self, line: Text) -> None:
        # A terminal breaks long lines anywhere; a file keeps each in one piece.
        self.err.print(line, soft_wrap=not self.err.is_terminal)

    @contextlib.contextmanager
    def showing_warnings(self) -> Iterator[None]:
        """Pass what llmrec's loggers report to standard error: warnings, or everything when debugging."""
        logger = logging.getLogger(PROGRAM)
        handler = _NoteHandler(self)
        level = logger.level
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG if self.debug else logging.WARNING)
        try:
            yield
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)


class _NoteHandler(logging.Handler):
    def __init__(self, terminal: Terminal) -> None:
        super().__init__()
        self._terminal = terminal

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._terminal.note(record.getMessage(), label=record.levelname.lower())
        except Exception:  # as logging does for its own handlers: a log line never ends the program
            self.handleError(record)


@contextlib.contextmanager
def _reader_may_leave() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise ReaderGoneError from None


def silence_output() -> None:
    """Point standard output nowhere, so that what is left in its buffer cannot fail when Python exits."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
