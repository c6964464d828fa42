"""The JSON documents that commands write with --json."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from llmrec.behavior.cleaning import CleaningReport
from llmrec.interests.profile import InterestProfile
from llmrec.llm.base import Capabilities, Usage
from llmrec.llm.local_facts import GgufFacts
from llmrec.llm.registry import ModelKind
from llmrec.prompting.templates import PromptInfo
from llmrec.ranking.types import Ranking


class ProfilesDocument(BaseModel):
    """What `llmrec profile --json` writes, and `llmrec recommend --profile` reads."""

    model_config = ConfigDict(frozen=True)

    profiles: tuple[InterestProfile, ...]
    events_report: CleaningReport
    """What reading the events found, for all people of the file together."""
    catalog_report: CleaningReport
    usage: Usage


class RankingsDocument(BaseModel):
    """What `llmrec recommend --json` writes; `--profile` reads it too."""

    model_config = ConfigDict(frozen=True)

    rankings: tuple[Ranking, ...]
    profiles: tuple[InterestProfile, ...]
    """The profiles the rankings were made from, in the same order: their evidence is named by id."""
    events_report: CleaningReport
    """What reading the events found; empty when a profile was given."""
    catalog_report: CleaningReport
    notes: tuple[str, ...] = ()


class ModelsDocument(BaseModel):
    """What `llmrec models list --json` writes."""

    model_config = ConfigDict(frozen=True)

    models: tuple[ModelKind, ...]
    embedders: tuple[ModelKind, ...]


class ModelTrial(BaseModel):
    """One thing that was asked of a model."""

    model_config = ConfigDict(frozen=True)

    name: str
    passed: bool | None
    """None when it was not found out: the model does not claim it can, or was too slow to wait for."""
    detail: str
    """What came of it, or what to do."""


class ModelMeasurement(BaseModel):
    """How fast one kind of work went."""

    model_config = ConfigDict(frozen=True)

    name: Literal["prefill", "scoring", "generation", "constrained generation"]
    """`prefill` reads a text that is new; `scoring` reads short continuations of one that was just read."""
    tokens: int
    """How many tokens it was measured with."""
    seconds: float
    """How long they took; with a server, its network and its waiting line are counted in."""
    tokens_per_second: float


class LocalReport(BaseModel):
    """The machine, the build of llama.cpp and the file of a local model."""

    model_config = ConfigDict(frozen=True)

    processor: str
    """What the processor is called."""
    instructions_used: tuple[str, ...] = ()
    """What llama.cpp was built for, in its own words, for example `AVX2`; empty when that is unknown."""
    instructions_unused: tuple[str, ...] = ()
    """What the processor could do besides, in Linux's words, for example `avx512f`."""
    amx: Literal["at work", "idle", "none"]
    """Whether quantised weights are multiplied by AMX, or could be by another build."""
    repacking: Literal["at work", "unsafe", "not built in", "unknown"]
    """Whether quantised weights are laid out anew for this processor; `unsafe` ones are left as they are."""
    finding: str = ""
    """What went wrong when the build was tried out."""
    threads: int
    """Threads that compute."""
    usable_cores: int
    """Cores this process may run on."""
    cpu_quota: float | None = None
    """How many cores' time its container may take; None where nothing bounds it."""
    file: GgufFacts | None = None
    """None when there is none that llama.cpp can read."""
    prepared: bool | None = None
    """Whether the embedded model is in the form that runs best here; None for other models."""


class ModelChange(BaseModel):
    """Something a user can change."""

    model_config = ConfigDict(frozen=True)

    sentence: str
    command: str = ""
    """A line for a shell that the sentence ends with, if any."""


class ModelReport(BaseModel):
    """What `llmrec models check --json` writes."""

    model_config = ConfigDict(frozen=True)

    specification: str
    serves: bool
    """Whether llmrec can work with the model."""
    name: str | None = None
    fingerprint: str | None = None
    capabilities: Capabilities | None = None
    strategy: str | None = None
    """The strategy that would be chosen."""
    opening_seconds: float | None = None
    local: LocalReport | None = None
    """None for a model on a server."""
    measurements: tuple[ModelMeasurement, ...] = ()
    peak_memory_bytes: int | None = None
    """The most memory this process had, the model's mapped file included; None for a model on a server."""
    trials: tuple[ModelTrial, ...] = ()
    advice: str = ""
    """What to change when the model does not serve."""
    changes: tuple[ModelChange, ...] = ()
    """What to change for a model that works, works better or works faster."""

    def speed(self, name: str) -> float | None:
        """Tokens a second of a measurement; None when it was not made."""
        return next((each.tokens_per_second for each in self.measurements if each.name == name), None)


class PromptsDocument(BaseModel):
    """What `llmrec prompts list --json` writes."""

    model_config = ConfigDict(frozen=True)

    prompts: tuple[PromptInfo, ...]


class PromptSource(BaseModel):
    """What `llmrec prompts show --json` writes."""

    model_config = ConfigDict(frozen=True)

    name: str
    language: str
    """English where the prompt has none in the language that was asked for."""
    source: str
