"""`llmrec tune`: learn the weights of a ranking's signals from people whose choices are known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmrec.cli.evaluate import (
    LeastRatingOption,
    PartChoice,
    Shown,
    ShownChoice,
    check_paths,
    protocol_from,
)
from llmrec.cli.options import JsonOption, ModelOption, PromptsOption
from llmrec.cli.ranking_options import BasisChoice
from llmrec.cli.terminal import Terminal

if TYPE_CHECKING:
    from rich.console import RenderableType

    from llmrec.evaluation.weight_learning import LearnedFusion
    from llmrec.ranking.learned import LearnedWeights


def tune(
    context: typer.Context,
    data: Annotated[str, typer.Argument(metavar="DATA", help="A folder of a data set, or a file of events.")],
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="FILE", help="Where the learned weights go, as JSON.")
    ],
    catalog: Annotated[
        str | None, typer.Option("--catalog", metavar="ITEMS", help="The file of items, beside events.")
    ] = None,
    negatives: Annotated[
        list[str] | None,
        typer.Option(
            "--negatives", metavar="NAME", help="As for llmrec evaluate; several are learned from together."
        ),
    ] = None,
    count: Annotated[int, typer.Option("--count", min=1, help="Negatives beside each target.")] = 19,
    users: Annotated[
        int | None, typer.Option("--users", min=1, help="So many people, drawn by the seed; else all.")
    ] = None,
    part: Annotated[
        PartChoice, typer.Option("--part", help="learning leaves one half of the people for llmrec evaluate.")
    ] = PartChoice.learning,
    least_rating: LeastRatingOption = None,
    history: Annotated[
        ShownChoice, typer.Option("--history", help="Of a data set over two domains.")
    ] = ShownChoice.target,
    with_log: Annotated[
        bool, typer.Option("--with-log", help="For rankings with an interaction log; else for texts alone.")
    ] = False,
    basis: Annotated[
        BasisChoice, typer.Option("--basis", help="For rankings by the interests, the events, or both.")
    ] = BasisChoice.both,
    model: ModelOption = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            "--strategy",
            "--rank-by",
            metavar="NAME",
            help="How the model is asked to rank; none for no model.",
        ),
    ] = None,
    prompts: PromptsOption = None,
    folder: Annotated[
        Path | None,
        typer.Option("--folder", metavar="FOLDER", help="Keep what was measured; a stopped run goes on."),
    ] = None,
    even_if_worse: Annotated[
        bool, typer.Option("--even-if-worse", help="Write weights also where they are no better.")
    ] = False,
    as_json: JsonOption = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Decides every draw.")] = 0,
) -> None:
    """Learn how much each signal counts, from a few labelled people.

    Each person's last item is hidden among others, every signal is measured, and the weights are those with
    which the hidden ones stand out most, held to the shipped ones where people are few. They are judged on
    people they were not learned from, and written only where they are better there.

    \b
    llmrec tune games --negatives popular_negatives -o games.json
    llmrec tune ratings.csv --catalog movies.csv --with-log -o movies.json
    llmrec recommend events.jsonl --catalog movies.csv --weights movies.json
    """
    from llmrec.cli.failures import UsageError
    from llmrec.cli.progress import ProgressReport
    from llmrec.cli.session import settings_from
    from llmrec.evaluation.datasets import DataSource
    from llmrec.evaluation.intervals import paired
    from llmrec.evaluation.strategies import opened_for
    from llmrec.evaluation.tuning import tune as learn
    from llmrec.ranking.pipeline import EVERY_STRATEGY
    from llmrec.settings import load_settings

    terminal: Terminal = context.obj
    check_paths(data, catalog, None, None)
    if not out.expanduser().parent.is_dir():
        raise UsageError(f"there is no folder {out.parent} to write {out.name} to: make it first")
    if strategy is not None and strategy not in EVERY_STRATEGY:
        raise UsageError(f"there is no strategy {strategy!r}: choose among {', '.join(EVERY_STRATEGY)}")
    # Weights learned before are no part of what is measured, and interests are found as in llmrec evaluate.
    settings = load_settings(settings_from(model=model, prompts=prompts), weights=None, labelled_by_model=0)
    protocols = [
        protocol_from(name, None, count, users, part, None, seed, least_rating)
        for name in negatives or ["random"]
    ]
    source = DataSource(path=Path(data), catalog=Path(catalog) if catalog else None, history=history.value)
    with ProgressReport(terminal) as progress:
        learned, fusion = learn(
            source,
            protocols,
            lambda material: opened_for(settings, material),
            folder=folder,
            basis=basis.value,
            strategy=strategy,
            with_log=with_log,
            progress=Shown(progress).show,
        )
    gain = paired(fusion.after, fusion.before, fusion.people)
    if gain.mean > 0 or even_if_worse:
        out.expanduser().write_text(learned.text(), encoding="utf-8")
    if as_json:
        terminal.write_json(learned)
    else:
        terminal.show(*weights_view(learned, fusion))
    if gain.mean > 0 or even_if_worse:
        terminal.note(f"written to {out}; use it with --weights {out} or LLMREC_WEIGHTS={out}")
    else:
        terminal.note(
            "the learned weights are no better on people who were left out, so nothing was written: "
            "give more people, or --even-if-worse",
            label="warning",
        )


def weights_view(learned: LearnedWeights, fusion: LearnedFusion) -> list[RenderableType]:
    """The learned weights beside how good each signal is alone, and what they gain."""
    from rich.table import Table
    from rich.text import Text

    from llmrec.cli.views import heading, plain, prose
    from llmrec.evaluation.intervals import interval, paired

    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("signal", overflow="fold")
    table.add_column("weight", justify="right", no_wrap=True)
    table.add_column("alone", justify="right", no_wrap=True)
    weights = learned.weights.by_signal()
    known = {name: weights.get(name, weights["model"]) for name in fusion.signals_alone}
    for name in sorted(known, key=lambda name: (-known[name], name)):
        table.add_row(
            plain(name), Text(f"{known[name]:.2f}"), Text(f"{100 * fusion.signals_alone[name]:.1f}", "dim")
        )
    before, after = interval(fusion.before, fusion.people), interval(fusion.after, fusion.people)
    gain = paired(fusion.after, fusion.before, fusion.people)
    told = (
        f"NDCG@10 on people left out: {100 * after.mean:.1f} "
        f"({100 * after.low:.1f} to {100 * after.high:.1f}) with the learned weights, "
        f"{100 * before.mean:.1f} with those so far; the difference is "
        f"{100 * gain.mean:+.1f} ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})."
    )
    people = learned.learned_from.people
    return [
        heading(learned.learned_from.dataset),
        prose(f"Learned from {people:,} people; candidates: {learned.learned_from.candidates}.", "dim"),
        table,
        prose("alone: NDCG@10 of the signal by itself, times 100", "dim"),
        prose(told),
    ]
