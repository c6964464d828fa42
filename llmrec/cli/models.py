"""`llmrec models`: which models there are, and whether one can serve."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from llmrec.cli.failures import FAILED, in_options, one_line
from llmrec.cli.options import JsonOption, ModelOption, StrategyOption, show_help_without_command
from llmrec.cli.progress import ProgressReport
from llmrec.cli.terminal import Terminal

if TYPE_CHECKING:
    from llmrec.cli.documents import LocalReport, ModelReport
    from llmrec.llm.local_facts import GgufFacts
    from llmrec.llm.registry import ModelKind

app = typer.Typer(
    invoke_without_command=True,
    callback=show_help_without_command,
    help="See which models there are, and check that one can serve.",
)

# Smaller numbers are shown with a digit after the point.
WHOLE_FROM = 10


@app.command("list")
def list_models(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the ways to name a model or an embedder, and whether each can be used here."""
    from llmrec.cli.documents import ModelsDocument
    from llmrec.cli.views import heading
    from llmrec.llm.registry import embedder_kinds, model_kinds

    terminal: Terminal = context.obj
    models, embedders = model_kinds(), embedder_kinds()
    if as_json:
        terminal.write_json(ModelsDocument(models=tuple(models), embedders=tuple(embedders)))
    else:
        for title, kinds in (("Language models", models), ("Embedders", embedders)):
            terminal.show(heading(title))
            for kind in kinds:
                _show_kind(terminal, kind)


def _show_kind(terminal: Terminal, kind: ModelKind) -> None:
    from llmrec.cli.model_changes import parted

    state = ("ready", "green") if kind.ready else ("not ready", "yellow")
    terminal.show(
        Text.assemble((kind.specification, "bold"), "  ", state),
        Padding(Text(kind.description), (0, 0, 0, 2)),
    )
    if kind.hint:
        hint = parted(kind.hint)
        terminal.show(Padding(Text(in_options(hint.sentence), style="yellow"), (0, 0, 0, 2)))
        if hint.command:
            terminal.write_text(hint.command)


@app.command("check")
def check(
    context: typer.Context,
    model: ModelOption = None,
    strategy: StrategyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open a model, ask it something small, measure it, and say what to change.

    Exit code 1 when llmrec cannot work with it.
    """
    from llmrec.cli.model_check import check_model
    from llmrec.cli.session import settings_from

    terminal: Terminal = context.obj
    settings = settings_from(model=model, strategy=strategy)
    with ProgressReport(terminal) as progress:
        report = check_model(settings, progress.update)
    if as_json:
        terminal.write_json(report)
    else:
        _show_report(terminal, report)
    if not report.serves:
        terminal.fail(report.advice)
        raise typer.Exit(FAILED)


def _show_report(terminal: Terminal, report: ModelReport) -> None:
    from llmrec.cli.views import facts, heading, section

    terminal.show(heading(report.name or report.specification))
    if report.capabilities is not None:
        terminal.show(facts(_model_rows(report)))
    if report.local is not None:
        terminal.show(section("Machine"), facts(_machine_rows(report.local)))
        if report.local.file is not None:
            terminal.show(section("File"), facts(_file_rows(report.local.file)))
            # In one piece, to be copied.
            terminal.write_text(one_line(report.local.file.path))
    if report.measurements:
        terminal.show(section("Speed"), facts(_speed_rows(report)))
    if report.trials:
        marks = {True: "✓", False: "✗", None: "–"}
        rows = [(f"{marks[trial.passed]} {trial.name}", trial.detail) for trial in report.trials]
        terminal.show(section("Trials"), facts(rows))
    if report.changes:
        terminal.show(section("What to change"))
        for change in report.changes:
            terminal.show(_point(in_options(change.sentence)))
            if change.command:
                terminal.write_text(change.command)
    terminal.show(Text("serves" if report.serves else "does not serve", style="bold"))


def _point(sentence: str) -> RenderableType:
    from llmrec.cli.views import prose

    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_row("•", prose(sentence))
    return grid


def _model_rows(report: ModelReport) -> list[tuple[str, str]]:
    can = report.capabilities
    if can is None:
        return []
    context = f"{can.context_length:,} tokens" if can.context_length else "unknown"
    file = report.local.file if report.local is not None else None
    if file is not None and file.trained_context:
        context += f" of {file.trained_context:,} it was trained with"
    return [
        ("fingerprint", report.fingerprint or "none"),
        ("opened in", f"{report.opening_seconds or 0:.1f} s"),
        ("context", context),
        *([("threads", "the server's")] if report.specification.startswith("openai:") else []),
        ("scores", "yes" if can.score else "no"),
        ("generates", "yes" if can.generate else "no"),
        ("schemas", can.structured),
        ("open answers", "trusted" if can.open_answers else "not trusted"),
        ("strategy", report.strategy or "none"),
    ]


def _machine_rows(local: LocalReport) -> list[tuple[str, str]]:
    repacking = {
        "at work": "yes",
        "unsafe": "no: it is not safe with this build",
        "not built in": "no: this build cannot",
        "unknown": "yes, though it could not be tried out",
    }[local.repacking]
    rows = [
        ("processor", local.processor),
        ("llama.cpp uses", ", ".join(local.instructions_used) or "unknown"),
        ("and does not use", ", ".join(local.instructions_unused)),
        ("AMX", {"at work": "at work", "idle": "idle", "none": "not in this processor"}[local.amx]),
        ("repacked weights", repacking),
        ("found", local.finding),
        ("threads", f"{local.threads} on {_cores(local.usable_cores)}"),
        ("container", f"may take the time of {local.cpu_quota:g} cores" if local.cpu_quota else ""),
    ]
    return [(name, value) for name, value in rows if value]


def _cores(count: int) -> str:
    return "1 core" if count == 1 else f"{count} cores"


def _file_rows(file: GgufFacts) -> list[tuple[str, str]]:
    return [("size", _megabytes(file.bytes)), ("weights", file.weights or "unknown")]


def _speed_rows(report: ModelReport) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = [
        (
            each.name,
            f"{each.tokens_per_second:,.{0 if each.tokens_per_second >= WHOLE_FROM else 1}f} tokens/s "
            f"({each.tokens} in {each.seconds:.1f} s)",
        )
        for each in report.measurements
    ]
    if report.peak_memory_bytes:
        rows.append(("peak memory", _megabytes(report.peak_memory_bytes)))
    return rows


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.{0 if count >= WHOLE_FROM * 1e6 else 1}f} MB"
