"""The probes of a run: which queries they rank again, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from llmrec.errors import InputError
from llmrec.evaluation import judge
from llmrec.evaluation.contamination import NAME as CONTAMINATION
from llmrec.evaluation.contamination import title_contamination
from llmrec.evaluation.datasets import DataSource
from llmrec.evaluation.prepared import Prepared, read_queries
from llmrec.evaluation.probes import (
    CHANGES,
    TARGET_VARIANTS,
    ProbeFigures,
    checked_probes,
    probe_result,
    probed_people,
    rankings_changed,
    to_original,
)
from llmrec.evaluation.results import HEADLINE, Figures, Part, columns
from llmrec.evaluation.score_files import VARIANT, ScoreFile, check_same
from llmrec.evaluation.scoring import Job, ProgressListener, fingerprint_of
from llmrec.evaluation.systems import check_systems
from llmrec.evaluation.types import Material, ProbeResult, System
from llmrec.llm.base import LanguageModel
from llmrec.prompting.templates import PromptLibrary

PROBED_PEOPLE = 200
PARAPHRASE = "paraphrase"
TARGET_POSITION = "target-position"

SystemsOf = Callable[[Material], Sequence[System]]
"""Makes the systems from all that they may see."""


@dataclass(frozen=True)
class ProbeOptions:
    """Which probes are made, and with what."""

    names: Sequence[str] = ()
    """See `llmrec.evaluation.probes.PROBES`."""
    people: int = PROBED_PEOPLE
    """How many people, at most, each is made with."""
    paraphrased: SystemsOf | None = None
    """Makes the same systems, of the same names, with other prompts: for the probe `paraphrase`."""
    model: LanguageModel | None = None
    """For the probe `title-contamination`."""
    library: PromptLibrary | None = None
    """Its prompts; the shipped ones when absent."""

    def check(self, *, whole_catalog: bool) -> None:
        """Raise InputError for an unknown probe, and for one that lacks what it needs."""
        names = checked_probes(self.names)
        if PARAPHRASE in names and self.paraphrased is None:
            raise InputError("the probe paraphrase needs the same prompts in other words: give a folder")
        if CONTAMINATION in names and self.model is None:
            raise InputError("the probe title-contamination needs a model: give one, or leave the probe out")
        if TARGET_POSITION in names and whole_catalog:
            raise InputError("in the whole catalogue no target has a place: leave out target-position")


class Probing:
    """The probes of some systems, with some people of a run."""

    def __init__(
        self,
        probes: ProbeOptions,
        main: Part,
        systems: Sequence[System],
        material: Material,
        data: DataSource | Path | str,
    ) -> None:
        """Nothing is ranked yet; `main` is the prepared folder of the run."""
        self._probes = probes
        self._names = checked_probes(probes.names)
        self._main = main
        self._systems = tuple(systems)
        self._material = material
        self._data = data
        self._seed = main.options.seed
        self._sample = probed_people(main.queries, probes.people, self._seed)
        self._placed: dict[str, Part] = {}

    def jobs(self) -> list[Job]:
        """What must be ranked for the probes that need no target."""
        jobs = []
        for probe in self._names:
            if probe not in CHANGES:
                continue
            systems = self._systems
            if probe == PARAPHRASE and self._probes.paraphrased is not None:
                systems = _same_names(self._probes.paraphrased(self._material), systems)
                check_systems(systems, self._material)
                prints = {f"{system.name}{VARIANT}{probe}": fingerprint_of(system) for system in systems}
                check_same(self._main.folder, prints)
            queries = CHANGES[probe](self._sample, self._seed)
            restored = to_original(self._sample, self._material.catalog)
            for system in systems:
                file = ScoreFile(self._main.folder, system.name, probe)
                jobs.append(Job(system, queries, file, f"probe {probe} of {system.name}", restored))
        return jobs

    def rank_target_places(self, progress: ProgressListener | None) -> None:
        """Rank with the target in a fixed place. From here on its place is known, so this comes last."""
        if TARGET_POSITION not in self._names:
            return
        wanted = {query.id for query in self._sample}
        for variant in TARGET_VARIANTS:
            folder = self._main.folder / TARGET_POSITION / variant
            judge.prepare(self._data, self._main.options, folder, variant=variant)
            queries = [query for query in read_queries(folder) if query.id in wanted]
            self._placed[variant] = Part(folder, self._main.options, queries)
            check_same(folder, {system.name: fingerprint_of(system) for system in self._systems})
            for system in self._systems:
                stage = f"probe {variant} of {system.name}"
                Job(system, queries, ScoreFile(folder, system.name), stage).run(progress)

    def results(self, prepared: Prepared, progress: ProgressListener | None) -> list[ProbeResult]:
        """What came of all probes, when the main folder is measured."""
        for part in self._placed.values():
            part.measure(self._data)
        found = []
        for system in self._systems:
            for name, after, changed in self._changes(system.name):
                before = self._main.figures.get(system.name, {})
                tables = [columns(rows, self._sample, (HEADLINE,)) for rows in (before, after)]
                if not all(tables):
                    continue
                figures = ProbeFigures(
                    before=tables[0][HEADLINE],
                    after=tables[1][HEADLINE],
                    people=[query.user_id for query in self._sample],
                    rankings_changed=changed,
                    chance=prepared.chance.get(HEADLINE, 0.0),
                )
                found.append(probe_result(name, system.name, figures, metric=HEADLINE))
        if CONTAMINATION in self._names and self._probes.model is not None:
            found.append(
                title_contamination(
                    self._probes.model,
                    self._probes.library or PromptLibrary(),
                    self._material.catalog,
                    dataset=prepared.dataset,
                    items=self._probes.people,
                    seed=self._seed,
                    progress=progress,
                )
            )
        return found

    def _changes(self, system: str) -> list[tuple[str, Figures, int]]:
        """The name of each change, what was measured of the system with it, and how many rankings moved."""
        ids = [query.id for query in self._sample]
        changes: list[tuple[str, Figures, int]] = []
        for probe in self._names:
            if probe in CHANGES:
                file = ScoreFile(self._main.folder, system, probe)
                before, after = ScoreFile(self._main.folder, system).read(ids), file.read(ids)
                moved = rankings_changed(before, after, self._sample, self._material.catalog)
                changes.append((probe, self._main.figures.get(file.name, {}), moved))
        placed: Mapping[str, Part] = self._placed
        return changes + [(variant, part.figures.get(system, {}), 0) for variant, part in placed.items()]


def _same_names(paraphrased: Sequence[System], probed: Sequence[System]) -> tuple[System, ...]:
    names = {system.name for system in probed}
    found = tuple(system for system in paraphrased if system.name in names)
    if {system.name for system in found} != names:
        raise InputError("the systems with other prompts must have the names of those they stand for")
    return found
