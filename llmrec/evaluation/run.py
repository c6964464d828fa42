"""An evaluation from data to report: prepared by the judge, ranked here, measured by the judge."""

from __future__ import annotations

import contextlib
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import llmrec
from llmrec.errors import InputError
from llmrec.evaluation import judge
from llmrec.evaluation.baselines import RANDOM, baselines
from llmrec.evaluation.datasets import DataSource
from llmrec.evaluation.prepared import FIGURES, read_material, read_queries, write_lines
from llmrec.evaluation.probing import TARGET_POSITION, ProbeOptions, Probing, SystemsOf
from llmrec.evaluation.results import (
    HEADLINE,
    Part,
    SystemFigures,
    band,
    bands,
    comparisons,
    reliabilities,
    system_result,
)
from llmrec.evaluation.score_files import Price, ScoreFile, check_names, check_same
from llmrec.evaluation.scoring import EvaluationProgress, Job, ProgressListener, fingerprint_of
from llmrec.evaluation.systems import RecommenderSystem, check_systems
from llmrec.evaluation.types import EvaluationResult, ProtocolOptions, System

RESULT, REPORT = "result.json", "report.html"
COLD_START_FOLDER = "cold-start"
COLD_START = (0, 1, 2, 3, 5, 10)
"""The lengths of histories that a cold start is usually looked at with, in events."""


def evaluate(
    data: DataSource | Path | str,
    *,
    systems: Sequence[System] | SystemsOf = (),
    options: ProtocolOptions | None = None,
    folder: Path | None = None,
    probes: ProbeOptions | None = None,
    history_lengths: Sequence[int] = (),
    progress: ProgressListener | None = None,
    settings: Mapping[str, str] | None = None,
    command: str = "",
) -> EvaluationResult:
    """Measure systems on a data set, beside the baselines.

    `systems` are given, or made from the material of the run: the catalogue and the log, without anything
    that is held out. In `folder` everything is kept: scores as they come, result.json and report.html at the
    end. A run that stopped goes on there where it was, and one whose systems, data or options have changed is
    refused. Without a folder nothing is kept. `history_lengths` measures a cold start besides, with only so
    many of each person's last events shown. `settings` and `command` tell the report how the run was made.

    Targets are known to the judge's process alone until the last ranking is done; the two probes of the
    target's place, which tell it, come after all other rankings, and are made anew by every run.
    Raises InputError when data, options, probes or folder cannot be used, when a recommender has another
    interaction log than the run's, which may hold targets, and when a system fails at five
    queries in a row; ModelError when a probe asks of a model what it cannot do.
    """
    options, probes = options or ProtocolOptions(), probes or ProbeOptions()
    probes.check(whole_catalog=options.negatives == "all")
    lengths = tuple(dict.fromkeys(history_lengths))
    if any(length < 0 for length in lengths):
        raise InputError(f"a history of {min(lengths)} events cannot be: give lengths from 0 up")
    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="llmrec-evaluation-")))
        run = _Run(data, options, folder, progress)
        result = run.result(systems, probes, lengths)
        result = result.model_copy(
            update={"settings": {**(settings or {}), **_machine()}, "command": command}
        )
        write_lines(folder / RESULT, [result.model_dump_json(indent=2)])
        write_report(result, folder / REPORT)
        return result


def write_report(result: EvaluationResult, path: Path) -> None:
    """Write a result as a page. Raises InputError when it cannot be written."""
    from llmrec.evaluation.report import html_report

    write_lines(path, [html_report(result)])


class _Run:
    """The steps of one evaluation, in the order that keeps targets away from systems."""

    def __init__(
        self,
        data: DataSource | Path | str,
        options: ProtocolOptions,
        folder: Path,
        progress: ProgressListener | None,
    ) -> None:
        self.data = data
        self.options = options
        self.folder = folder
        self.progress = progress

    def result(
        self, systems: Sequence[System] | SystemsOf, probes: ProbeOptions, lengths: Sequence[int]
    ) -> EvaluationResult:
        self.tell("reading the data")
        prepared = judge.prepare(self.data, self.options, self.folder)
        main = Part(self.folder, self.options, read_queries(self.folder))
        cold = {length: self.cold_start_part(length) for length in lengths}
        parts = (main, *cold.values())
        material = read_material(self.folder)
        lines, notes = baselines(material, seed=self.options.seed)
        self.forget_targets()
        own = tuple(systems(material) if callable(systems) else systems)
        check_systems(own, material)
        everyone = (*own, *lines)
        check_names([system.name for system in everyone])
        for part in parts:
            check_same(part.folder, {system.name: fingerprint_of(system) for system in everyone})
        probed = own or tuple(line for line in lines if line.name != RANDOM)
        probing = Probing(probes, main, probed, material, self.data)

        prices = self.rank(everyone, main, cold, probing)
        self.tell("measuring")
        for part in parts:
            part.measure(self.data)
        seed, line_names = self.options.seed, {line.name for line in lines}
        figures_of = partial(_system_figures, systems=everyone, baselines=line_names, prices=prices)
        measured = figures_of(main)
        return EvaluationResult(
            dataset=prepared.dataset,
            fingerprint=f"{prepared.fingerprint} llmrec {llmrec.__version__}",
            protocol=self.options,
            people=prepared.people,
            items=prepared.items,
            candidates_per_query=prepared.candidates_per_query,
            chance=prepared.chance,
            systems=tuple(system_result(system, main.queries, material, seed=seed) for system in measured),
            comparisons=comparisons(measured, main.queries, seed=seed),
            headline=HEADLINE,
            bands=bands(measured, main.queries, seed=seed),
            cold_start=tuple(
                band(str(length), figures_of(part), part.queries, seed=seed) for length, part in cold.items()
            ),
            probes=tuple(probing.results(prepared, self.progress)),
            reliability=reliabilities(measured),
            notes=(
                *prepared.notes,
                *notes,
                *_notes_on(own, prepared.dataset, self.options),
                *_told(measured),
                *_failures(measured, len(main.queries)),
            ),
        )

    def rank(
        self, systems: Sequence[System], main: Part, cold: Mapping[int, Part], probing: Probing
    ) -> dict[Path, dict[str, Price]]:
        """Put all queries through all systems; the targets' places are told after everything else."""
        jobs = [
            Job(system, part.queries, ScoreFile(part.folder, system.name), f"ranking by {system.name}{when}")
            for part, when in [(main, ""), *((part, f" after {n} events") for n, part in cold.items())]
            for system in systems
        ]
        changed = probing.jobs()
        if not all(job.is_done() for job in (*jobs, *changed)):
            self.forget_reports((main, *cold.values()))
        prices = {job.file.path: job.run(self.progress) for job in jobs}
        for job in changed:
            job.run(self.progress)
        probing.rank_target_places(self.progress)
        return prices

    def forget_targets(self) -> None:
        """Delete what tells the targets of an earlier run: no system may find it, from its making on."""
        with _plain_errors(self.folder):
            for folder in (self.folder, *(self.folder / COLD_START_FOLDER).glob("*")):
                (folder / FIGURES).unlink(missing_ok=True)
            if (self.folder / TARGET_POSITION).exists():
                shutil.rmtree(self.folder / TARGET_POSITION)

    def forget_reports(self, parts: Sequence[Part]) -> None:
        """Delete the reports of an earlier run, which are of other scores."""
        with _plain_errors(self.folder):
            for part in parts:
                for name in (RESULT, REPORT):
                    (part.folder / name).unlink(missing_ok=True)

    def cold_start_part(self, length: int) -> Part:
        folder = self.folder / COLD_START_FOLDER / str(length)
        options = self.options.model_copy(update={"history_length": length})
        judge.prepare(self.data, options, folder)
        return Part(folder, options, read_queries(folder))

    def tell(self, stage: str) -> None:
        if self.progress is not None:
            self.progress(EvaluationProgress(stage))


def _system_figures(
    part: Part,
    *,
    systems: Sequence[System],
    baselines: set[str],
    prices: Mapping[Path, Mapping[str, Price]],
) -> list[SystemFigures]:
    return [
        SystemFigures(
            name=system.name,
            figures=part.figures.get(system.name, {}),
            prices=prices[ScoreFile(part.folder, system.name).path],
            is_baseline=system.name in baselines,
        )
        for system in systems
    ]


def _notes_on(systems: Sequence[System], dataset: str, options: ProtocolOptions) -> list[str]:
    """What recommenders tell of their weights, each once."""
    own = [system for system in systems if isinstance(system, RecommenderSystem)]
    return list(dict.fromkeys(note for system in own for note in system.notes(dataset, options)))


def _told(systems: Sequence[SystemFigures]) -> list[str]:
    """What came with the scores of each system, each once."""
    return [
        f"{system.name}: {note}"
        for system in systems
        for note in dict.fromkeys(note for price in system.prices.values() for note in price.notes)
    ]


def _failures(systems: Sequence[SystemFigures], queries: int) -> list[str]:
    notes = []
    for system in systems:
        reasons = [row.failed for row in system.figures.values() if row.failed]
        if reasons:
            notes.append(
                f"{system.name} failed at {len(reasons)} of {queries} queries, which count 0: {reasons[0]}"
            )
    return notes


def _machine() -> dict[str, str]:
    return {
        "llmrec": llmrec.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
    }


@contextlib.contextmanager
def _plain_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{folder} cannot be used ({error.strerror or error}): choose another") from error
