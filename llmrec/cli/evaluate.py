"""`llmrec evaluate`: measure rankings on a data set, beside baselines, with the targets out of reach."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmrec.cli.failures import UsageError
from llmrec.cli.options import JsonOption, ModelOption, PromptsOption
from llmrec.cli.ranking_options import BasisChoice
from llmrec.cli.terminal import PROGRAM, Terminal

if TYPE_CHECKING:
    from llmrec.cli.progress import ProgressReport
    from llmrec.evaluation.probing import ProbeOptions
    from llmrec.evaluation.scoring import EvaluationProgress
    from llmrec.evaluation.strategies import StrategySystems
    from llmrec.evaluation.types import ProtocolOptions
    from llmrec.settings import Settings

ALL = "all"

LeastRatingOption = Annotated[
    float | None,
    typer.Option("--least-rating", metavar="N", help="Ratings from N on are likes; 4 unless said."),
]


class SplitChoice(str, Enum):
    """What is held out."""

    given = "given"
    leave_one_out = "leave-one-out"
    temporal = "temporal"


class PartChoice(str, Enum):
    """Whose figures are reported."""

    all = "all"
    learning = "learning"
    reporting = "reporting"


class ShownChoice(str, Enum):
    """Which history is shown, of a data set over two domains."""

    target = "target"
    source = "source"
    both = "both"


def evaluate(
    context: typer.Context,
    data: Annotated[str, typer.Argument(metavar="DATA", help="A folder of a data set, or a file of events.")],
    catalog: Annotated[
        str | None, typer.Option("--catalog", metavar="ITEMS", help="The file of items, beside events.")
    ] = None,
    split: Annotated[
        SplitChoice | None,
        typer.Option(
            "--split", help="What is held out; else each person's last, or as named negatives want it."
        ),
    ] = None,
    negatives: Annotated[
        str,
        typer.Option(
            "--negatives",
            metavar="NAME",
            help="random, popularity, retriever, all for the whole catalogue, given, or a list of the "
            "data set's own, as popular_negatives.",
        ),
    ] = "random",
    count: Annotated[int, typer.Option("--count", min=1, help="Negatives beside each target.")] = 19,
    users: Annotated[
        int | None, typer.Option("--users", min=1, help="So many people, drawn by the seed; else all.")
    ] = None,
    part: Annotated[
        PartChoice, typer.Option("--part", help="learning or reporting: one half of the people.")
    ] = PartChoice.all,
    history: Annotated[
        ShownChoice, typer.Option("--history", help="Of a data set over two domains.")
    ] = ShownChoice.target,
    least_rating: LeastRatingOption = None,
    history_length: Annotated[
        int | None, typer.Option("--history-length", min=0, help="Show only so many of the last events.")
    ] = None,
    cold_start: Annotated[
        bool, typer.Option("--cold-start", help="Measure with 0, 1, 2, 3, 5 and 10 events besides.")
    ] = False,
    model: ModelOption = None,
    strategy: Annotated[
        list[str] | None,
        typer.Option(
            "--strategy", "--rank-by", metavar="NAME", help="How the model is asked to rank. Repeatable."
        ),
    ] = None,
    bare: Annotated[
        bool, typer.Option("--bare", help="Each --strategy by itself too, without the other signals.")
    ] = False,
    basis: Annotated[
        BasisChoice, typer.Option("--basis", help="Rank by the interests, the events, or both.")
    ] = BasisChoice.both,
    probes: Annotated[
        str | None,
        typer.Option(
            "--probes",
            metavar="NAMES",
            help="all, or some with commas: candidate-order, target-position, history-shuffled, "
            "other-history, paraphrase, title-contamination.",
        ),
    ] = None,
    probe_people: Annotated[
        int, typer.Option("--probe-people", min=1, help="With so many people, at most.")
    ] = 200,
    prompts: PromptsOption = None,
    paraphrase: Annotated[
        Path | None,
        typer.Option("--paraphrase", metavar="FOLDER", help="Prompts in other words, for that probe."),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option("--weights", metavar="FILE", help="Weights that llmrec tune wrote.")
    ] = None,
    no_log: Annotated[
        bool, typer.Option("--no-log", help="Rank by texts alone; the baselines keep the log.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Keep scores and report; a stopped run goes on."),
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write the report as a page.")
    ] = None,
    as_json: JsonOption = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Decides every draw.")] = 0,
    baselines_only: Annotated[
        bool, typer.Option("--baselines-only", help="No model: what has to be beaten.")
    ] = False,
) -> None:
    """Measure how well people's next items are ranked, beside baselines.

    Random, popularity, BM25, co-occurrence and their fusion stand beside every run, with intervals. Who
    ranks never sees a target: a process of its own holds them, and reads the scores afterwards.

    \b
    llmrec evaluate games --negatives popular_negatives --users 500
    llmrec evaluate ratings.csv --catalog movies.csv --out run
    llmrec evaluate run.inter --baselines-only
    """
    from llmrec.cli.evaluation_view import evaluation_view
    from llmrec.cli.progress import ProgressReport
    from llmrec.cli.session import settings_from
    from llmrec.evaluation.datasets import DataSource
    from llmrec.evaluation.run import COLD_START, write_report
    from llmrec.evaluation.run import evaluate as run_evaluation

    terminal: Terminal = context.obj
    check_paths(data, catalog, weights, paraphrase)
    options = protocol_from(negatives, split, count, users, part, history_length, seed, least_rating)
    settings = settings_from(model=model, prompts=prompts, weights=weights)
    if baselines_only and (strategy or bare or model):
        raise UsageError("--baselines-only asks no model: leave out --model, --strategy and --bare")
    if baselines_only and (weights or no_log):
        raise UsageError("--baselines-only ranks by nothing else: leave out --weights and --no-log")
    source = DataSource(path=Path(data), catalog=Path(catalog) if catalog else None, history=history.value)
    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(ProgressReport(terminal))
        opened = None
        if not baselines_only:
            opened = stack.enter_context(
                _strategies(settings, strategy, bare=bare, basis=basis, use_log=not no_log)
            )
        result = run_evaluation(
            source,
            systems=opened.systems if opened is not None else (),
            options=options,
            folder=out,
            probes=_probes(probes, probe_people, paraphrase, opened, options, settings),
            history_lengths=COLD_START if cold_start else (),
            progress=Shown(progress).show,
            settings=_told_settings(settings, basis, use_log=not no_log) if opened is not None else {},
            command=_command(context),
        )
    if html is not None:
        write_report(result, html)
    if as_json:
        terminal.write_json(result)
        return
    for note in result.notes:
        terminal.note(note)
    terminal.show(*evaluation_view(result, terminal.out))


def _told_settings(settings: Settings, basis: BasisChoice, *, use_log: bool) -> dict[str, str]:
    """What the report tells of how it was ranked."""
    told = {"model": settings.model, "basis": basis.value}
    if settings.weights is not None:
        told["weights"] = str(settings.weights)
    if not use_log:
        told["interaction log"] = "for the baselines alone"
    return told


def _command(context: typer.Context) -> str:
    """The command line that does this again."""
    words = [PROGRAM, "evaluate"]
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if source is None or source.name != "COMMANDLINE":
            continue
        value = context.params[name]
        for one in value if isinstance(value, (list, tuple)) else [value]:
            if parameter.param_type_name == "option":
                words.append(parameter.opts[0])
            if not isinstance(one, bool):
                words.append(str(getattr(one, "value", one)))
    return shlex.join(words)


class Shown:
    """Shows how far an evaluation is, with its speed and the time left."""

    def __init__(self, report: ProgressReport) -> None:
        self._report = report

    def show(self, progress: EvaluationProgress) -> None:
        """Show an EvaluationProgress."""
        detail = ""
        if progress.queries_per_second is not None and progress.seconds_left is not None:
            rate = progress.queries_per_second
            detail = f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s"
            minutes, seconds = divmod(round(progress.seconds_left), 60)
            detail += f", {minutes}:{seconds:02} left"
        self._report.update(progress.stage, progress.done, progress.total, detail=detail)


def check_paths(data: str, catalog: str | None, weights: Path | None, paraphrase: Path | None) -> None:
    """Raise UsageError for a path that is not there."""
    for path, what in ((data, "data set"), (catalog, "file of items"), (weights, "file of weights")):
        if path is not None and not Path(path).expanduser().exists():
            raise UsageError(f"there is no {what} at {path}: check the path")
    if paraphrase is not None and not paraphrase.is_dir():
        raise UsageError(f"there is no folder of prompts at {paraphrase}: check the path")


def protocol_from(
    negatives: str,
    split: SplitChoice | None,
    count: int,
    users: int | None,
    part: PartChoice,
    history_length: int | None,
    seed: int,
    least_rating: float | None = None,
) -> ProtocolOptions:
    """The protocol that options ask for. Raises ValidationError for what cannot be."""
    from llmrec.evaluation.types import ProtocolOptions

    kinds = ("given", "random", "popularity", "retriever", "all")
    kind = negatives if negatives in kinds else "given"
    # The data set's own negatives are those of the data set's own targets.
    held_out = split.value if split is not None else ("given" if kind == "given" else "leave-one-out")
    return ProtocolOptions.model_validate(
        {
            "split": held_out,
            "negatives": kind,
            "negatives_name": "" if negatives in kinds else negatives,
            "count": count,
            "users": users,
            "part": part.value,
            "history_length": history_length,
            "least_rating": least_rating,
            "seed": seed,
        }
    )


@contextlib.contextmanager
def _strategies(
    settings: Settings, names: list[str] | None, *, bare: bool, basis: BasisChoice, use_log: bool
) -> Iterator[StrategySystems]:
    from llmrec.evaluation.strategies import StrategySystems, known_strategies

    known = known_strategies()
    for name in names or ():
        if name not in known:
            raise UsageError(f"there is no strategy {name!r}: choose among {', '.join(known)}")
    if bare and not names:
        raise UsageError("--bare is for strategies: name one with --strategy")
    with StrategySystems(settings, tuple(names or ()), bare, basis.value, use_log) as opened:
        yield opened


def _probes(
    names: str | None,
    people: int,
    paraphrase: Path | None,
    opened: StrategySystems | None,
    options: ProtocolOptions,
    settings: Settings,
) -> ProbeOptions:
    from llmrec.evaluation.probes import PROBES
    from llmrec.evaluation.probing import ProbeOptions
    from llmrec.prompting.templates import PromptLibrary

    if names is None:
        return ProbeOptions()
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        if name not in (*PROBES, ALL):
            raise UsageError(f"there is no probe {name!r}: choose among {', '.join(PROBES)}, or {ALL}")
    if ALL in wanted:
        # All that this run allows; those that are named are told when they cannot be.
        can = {
            "paraphrase": opened is not None and paraphrase is not None,
            "target-position": options.negatives != "all",
            "title-contamination": opened is not None and opened.model.capabilities.score,
        }
        wanted = [name for name in PROBES if can.get(name, True)]
    if "paraphrase" in wanted and (paraphrase is None or opened is None):
        raise UsageError("the probe paraphrase needs a model and --paraphrase FOLDER, prompts in other words")
    if "title-contamination" in wanted and opened is None:
        raise UsageError("the probe title-contamination needs a model: leave out --baselines-only")
    other = (
        opened.paraphrased(paraphrase)
        if opened is not None and "paraphrase" in wanted and paraphrase
        else None
    )
    return ProbeOptions(
        names=tuple(wanted),
        people=people,
        paraphrased=other.systems if other is not None else None,
        model=opened.model if opened is not None and "title-contamination" in wanted else None,
        library=PromptLibrary(settings.prompts),
    )
