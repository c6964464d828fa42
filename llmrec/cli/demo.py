"""`llmrec demo`: the whole pipeline on six people of the sample data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from llmrec.cli.failures import UsageError
from llmrec.cli.options import JsonOption, LimitOption, ModelOption, StoreOption, StrategyOption
from llmrec.cli.progress import ProgressReport
from llmrec.cli.terminal import Terminal

if TYPE_CHECKING:
    from llmrec.demo import DemoProgress, DemoResult

TREE_LINES = 16


def demo(
    context: typer.Context,
    person: Annotated[
        list[str] | None,
        typer.Option("--person", metavar="ID", help="Only this person of the sample. Repeatable."),
    ] = None,
    k: LimitOption = 10,
    model: ModelOption = None,
    strategy: StrategyOption = None,
    store: StoreOption = ":memory:",
    as_json: JsonOption = False,
) -> None:
    """Show the whole pipeline at work on six people of the sample data.

    For each person: the hierarchy of interests with the events behind it, and the ten best items with the
    reason for each; then how long every stage took. Needs no network and under a minute on two cores.
    """
    from llmrec.cli.session import opened_store, settings_from
    from llmrec.demo import run_demo, sample_people

    terminal: Terminal = context.obj
    known = [each.id for each in sample_people()]
    for asked in person or ():
        if asked not in known:
            raise UsageError(f"there is no person {asked!r} in the sample: choose among {', '.join(known)}")
    settings = settings_from(model=model, strategy=strategy)
    with opened_store(terminal, store, settings) as kept, ProgressReport(terminal) as progress:
        result = run_demo(
            person or (),
            settings=settings,
            store=kept,
            k=k,
            progress=lambda report: _show_progress(progress, report),
        )
    if as_json:
        terminal.write_json(result)
    else:
        show_result(terminal, result)


def show_result(terminal: Terminal, result: DemoResult) -> None:
    """Write the demo's result for a reader, and its notes beside it."""
    from llmrec.cli.people import demo_person_view, tell_profile, tell_ranking
    from llmrec.cli.views import commands, facts, heading, plural, section

    for each in result.people:
        tell_profile(terminal, each.profile)
    terminal.show(
        Text(
            f"{plural(len(result.people), 'person').replace('persons', 'people')}, "
            f"{result.items} items; the model is {result.model}, the strategy {result.strategy}. "
            "A weight is the part of what a person did, faded by time, that is about an interest; "
            "− marks what they turned away from. An item's score compares it with the other candidates."
        ),
        Text(),
    )
    for each in result.people:
        title = f"{each.person.name} ({each.person.id})"
        terminal.show(
            *demo_person_view(
                terminal, title, each.person.summary, each.profile, each.ranking, most=TREE_LINES
            )
        )
        tell_ranking(terminal, each.ranking)
    terminal.show(
        heading("How long it took"),
        facts([(name, f"{value:6.1f} s") for name, value in _stages(result)]),
        facts(_costs(result)),
        Text(),
        section("What to try next"),
        commands([(step.command, step.purpose) for step in result.next_steps]),
    )


def _stages(result: DemoResult) -> list[tuple[str, float]]:
    seconds = result.seconds
    return [
        ("opening the model", seconds.opening_the_model),
        ("reading", seconds.reading),
        ("finding interests", seconds.finding_interests),
        ("ranking", seconds.ranking),
        ("explanation", seconds.explanation),
        ("total", seconds.total),
    ]


def _costs(result: DemoResult) -> list[tuple[str, str]]:
    usage = result.usage
    costs = [
        ("model calls", f"{usage.calls:,}, and {usage.cached_calls:,} answered from the cache"),
        ("tokens", f"{usage.prompt_tokens:,} read, {usage.completion_tokens:,} written"),
    ]
    if result.peak_memory_bytes is not None:
        costs.append(("peak memory", f"{result.peak_memory_bytes / 1e6:,.0f} MB"))
    return costs


def _show_progress(progress: ProgressReport, report: DemoProgress) -> None:
    stage = report.stage
    if report.person is not None:
        stage = f"{report.person.name} ({report.number} of {report.people}): {stage}"
    progress.update(stage, report.done, report.total)
