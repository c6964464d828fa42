"""The program `llmrec`: its commands, and what becomes of everything they raise."""

from __future__ import annotations

import errno
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

import llmrec
from llmrec.cli import models, prompts
from llmrec.cli.anticipate import anticipate
from llmrec.cli.demo import demo
from llmrec.cli.diff import diff
from llmrec.cli.edit import edit, edits, undo
from llmrec.cli.evaluate import evaluate
from llmrec.cli.failures import DONE, FAILED, INTERRUPTED, WRONG_USAGE, ReaderGoneError, UsageError
from llmrec.cli.forget import forget
from llmrec.cli.graph import graph
from llmrec.cli.interrupts import no_interrupt_lost
from llmrec.cli.interview import interview
from llmrec.cli.options import show_help_without_command
from llmrec.cli.panels import PanelCommand
from llmrec.cli.profile import profile
from llmrec.cli.recommend import recommend
from llmrec.cli.terminal import PROGRAM, Terminal, silence_output
from llmrec.cli.tune import tune
from llmrec.errors import LlmrecError

DEBUG_VARIABLE = "LLMREC_DEBUG"
DEBUG_OPTION = "--debug"

# Older typers raise click's own exceptions and newer ones a copy of them: this is the one in use.
_TyperUsageError: type[Exception] = typer.BadParameter.__bases__[0]

app = typer.Typer(
    name=PROGRAM,
    # The panels of the other modes cut the names of options short on narrow terminals.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=(
        "Every setting can be given as a variable: LLMREC_MODEL, LLMREC_STORE, LLMREC_THREADS and so on. "
        "Results go to standard output; progress, notes and errors to standard error.\n\n"
        "Exit codes: 0 done; 1 failed: the data, the model or the store; 2 wrong usage: an option, an id or "
        "a file that cannot be; 130 stopped with Ctrl-C."
    ),
)
app.command(short_help="See it work on six people.")(demo)
app.command(short_help="Find interests in events.")(profile)
app.command(short_help="Rank items, and say why.", cls=PanelCommand)(recommend)
app.command(short_help="Get to know somebody by questions.")(interview)
app.command(short_help="Predict interests not shown yet.")(anticipate)
app.command(short_help="Change a profile.")(edit)
app.command(short_help="Take back the last edit.")(undo)
app.command(short_help="List the edits of a profile.")(edits)
app.command(short_help="Show what changed in a profile.")(diff)
app.command(short_help="Delete what a person did.")(forget)
app.command(short_help="Write a profile as a page or a graph.")(graph)
app.command(short_help="Measure rankings beside baselines.")(evaluate)
app.command(short_help="Learn the weights of signals.")(tune)
app.add_typer(models.app, name="models", short_help="List models, and check one.")
app.add_typer(prompts.app, name="prompts", short_help="Read and render the prompts.")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{PROGRAM} {llmrec.__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _llmrec(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[  # noqa: ARG001
        bool, typer.Option(DEBUG_OPTION, help=f"Log everything and show tracebacks (or {DEBUG_VARIABLE}=1).")
    ] = False,
) -> None:
    """Recommend with a language model: from a person's events to explained recommendations."""
    show_help_without_command(context)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug, given = _take_debug(given)
    _replace_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        # A letter that the terminal cannot show is no reason to fail.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    terminal = Terminal(debug=debug)
    with warnings.catch_warnings(), terminal.showing_warnings(), no_interrupt_lost():
        if not debug and not sys.warnoptions:
            warnings.simplefilter("ignore")
        code = _run(terminal, given)
    return _flushed(terminal, code)


def _run(terminal: Terminal, arguments: list[str]) -> int:
    try:
        result: Any = typer.main.get_command(app).main(
            arguments, prog_name=PROGRAM, standalone_mode=False, obj=terminal
        )
    except BaseException as error:
        return _ended_by(terminal, error)
    code = result if isinstance(result, int) else DONE
    if code == INTERRUPTED:
        terminal.fail("stopped")
    return code


def _ended_by(terminal: Terminal, error: BaseException) -> int:
    """Say in one sentence why the program ends; returns the exit code."""
    if isinstance(error, ReaderGoneError):
        silence_output()
        return DONE
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else FAILED
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        terminal.fail("stopped")
        return INTERRUPTED
    if terminal.debug and not isinstance(error, _TyperUsageError):
        traceback.print_exception(error)
    if isinstance(error, _TyperUsageError):
        terminal.fail(_usage_sentence(error))
        return WRONG_USAGE
    if isinstance(error, LlmrecError):
        terminal.fail(str(error))
        return WRONG_USAGE if isinstance(error, UsageError) else FAILED
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        terminal.fail(f"the result cannot be written ({error.strerror}): make room, or write elsewhere")
        silence_output()
        return FAILED
    terminal.fail(
        f"something in llmrec itself went wrong ({type(error).__name__}: {str(error)[:200]}): "
        f"run it again with {DEBUG_OPTION} and report what that prints"
    )
    return FAILED


def _usage_sentence(error: Any) -> str:
    """What typer found wrong, and where to read about it."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else PROGRAM
    message = str(error.format_message()).replace("Value error, ", "").strip().rstrip(".")
    return f"{message[:1].lower()}{message[1:]}: {path} --help shows how to call it"


def _take_debug(arguments: list[str]) -> tuple[bool, list[str]]:
    """Whether debugging is asked for, before or after the command, and the arguments without that."""
    asked = os.environ.get(DEBUG_VARIABLE, "").strip().lower() not in ("", "0", "false", "no", "off")
    end = arguments.index("--") if "--" in arguments else len(arguments)
    left = [argument for argument in arguments[:end] if argument != DEBUG_OPTION]
    return asked or len(left) < end, left + arguments[end:]


def _replace_closed_streams() -> None:
    """Give Python the streams it lacks where the shell closed them (`>&-`)."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the process ends
            setattr(sys, name, nowhere)


def _flushed(terminal: Terminal, code: int) -> int:
    """Write out what is left in the buffer, so that Python finds nothing to fail at when it exits."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        silence_output()
    except OSError as error:
        silence_output()
        terminal.fail(f"the result cannot be written ({error.strerror}): make room, or write elsewhere")
        return FAILED
    return code


if __name__ == "__main__":
    sys.exit(main())
