"""What to change so that a model works, works better or works faster: only what applies."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from llmrec.cli.documents import LocalReport, ModelChange, ModelReport

if TYPE_CHECKING:
    from llmrec.llm.llama_build import BuildReport
    from llmrec.settings import Settings

SLOW_WRITING = 10.0
"""Tokens a second below which a written profile takes minutes."""
SLOW_READING = 50.0
"""Tokens a second below which ranking 50 items takes half a minute and more."""


def changes_for(
    report: ModelReport, settings: Settings, build: BuildReport | None
) -> tuple[ModelChange, ...]:
    """What to change, the weightiest first."""
    changes = []
    if build is not None and build.advice:
        changes.append(parted(build.advice))
    if report.local is not None:
        changes += [ModelChange(sentence=text) for text in _of_machine(report, report.local, settings)]
    changes += [ModelChange(sentence=text) for text in _of_model(report, settings)]
    changes += [
        ModelChange(sentence=f"{trial.name}: {trial.detail}")
        for trial in report.trials
        if trial.passed is False and trial.detail not in report.advice
    ]
    return tuple(changes)


def parted(advice: str) -> ModelChange:
    """Part an advice from the line for the shell that it ends with."""
    from llmrec.llm.llama_build import rebuild_line

    for line in (rebuild_line(with_tile_header=True), rebuild_line(with_tile_header=False)):
        if advice.endswith(line):
            return ModelChange(sentence=advice.removesuffix(line).rstrip(), command=line)
    return ModelChange(sentence=advice)


def _of_machine(report: ModelReport, local: LocalReport, settings: Settings) -> Iterator[str]:
    given, cores = settings.threads, local.usable_cores
    if given is not None and given > cores:
        yield (
            f"LLMREC_THREADS is {given}, but this process may run on {cores} "
            f"{'core' if cores == 1 else 'cores'}: threads that wait for one another make everything slower, "
            f"so set it to {cores} or leave it unset"
        )
    elif local.cpu_quota is not None and local.threads > max(1, math.ceil(local.cpu_quota)):
        yield (
            f"{local.threads} threads compute, and this container may take the time of {local.cpu_quota:g} "
            "cores, so that they wait for one another: set LLMREC_THREADS to "
            f"{max(1, math.floor(local.cpu_quota))}"
        )
    elif given is not None and 2 * given < min(cores, local.cpu_quota or cores):
        yield (
            f"LLMREC_THREADS is {given}, and this process may run on {cores} cores: leave it unset to use "
            "them all"
        )
    file = local.file
    if file is not None and file.quantised and local.repacking in {"unsafe", "not built in"}:
        yield (
            f"the weights are {file.weights}, and weights of few bits are read fastest when they are "
            "repacked, which this build of llama.cpp does not do: build it anew, or use a file of the same "
            "model with F16 weights"
        )
    if local.prepared is False:
        yield (
            "the embedded model is used as it came, which is slower, because it could not be prepared in "
            f"{settings.cache_dir}: set LLMREC_CACHE_DIR to a folder with 300 MB free"
        )
    context = report.capabilities.context_length if report.capabilities is not None else None
    trained = file.trained_context if file is not None else None
    if context is not None and trained is not None and context < trained:
        yield (
            f"texts may have {context:,} tokens, and the model was trained with up to {trained:,}: if long "
            "histories do not fit, raise LLMREC_CONTEXT_LENGTH; memory grows with it"
        )


def _of_model(report: ModelReport, settings: Settings) -> Iterator[str]:
    can = report.capabilities
    if can is None:
        return
    if settings.strategy == "auto" and report.strategy == "anchored":
        reason = "the model is not trusted with open answers, which takes about 3 billion parameters"
        if not can.generate or can.structured == "none":
            reason = "the model does not write answers held to a schema"
        yield (
            f"interests are chosen among known labels (the anchored strategy), because {reason}: for "
            "interests in the model's own words use a larger model"
            + (", or try strategy='open'" if can.generate and can.structured != "none" else "")
        )
    elif settings.strategy == "open" and not can.open_answers:
        yield (
            "strategy='open' was asked for, but this model is not trusted with open answers: use "
            "strategy='auto' unless its interests read well"
        )
    if not can.score:
        yield (
            "the model gives no log-probabilities, so items are ranked by grades that it writes, which costs "
            "more tokens and tells less apart: a server that returns log-probabilities for an echoed prompt, "
            "or a local model, ranks by likelihood"
        )
    reading = report.speed("prefill")
    if reading is not None and reading < SLOW_READING:
        yield (
            f"texts are read at {reading:,.0f} tokens/s, so ranking takes long: use a smaller model, fewer "
            f"candidates (LLMREC_CANDIDATES), or a faster {'server' if report.local is None else 'machine'}"
        )
    writing = report.speed("generation")
    if writing is not None and writing < SLOW_WRITING and (report.strategy == "open" or not can.score):
        cure = "or a faster server"
        if can.score:
            cure = "one with fewer bits a weight (Q4_K_M), or strategy='anchored'"
        yield (
            f"answers are written at {writing:,.1f} tokens/s, so a profile takes minutes: use a smaller "
            f"model, {cure}"
        )
