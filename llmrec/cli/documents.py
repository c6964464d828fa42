"""The JSON documents that commands write with --json."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from llmrec.behavior.cleaning import CleaningReport
from llmrec.interests.edits import Edit
from llmrec.interests.export import GraphFormat
from llmrec.interests.profile import InterestProfile
from llmrec.interests.revision import ProfileDiff
from llmrec.llm.base import Capabilities, Usage
from llmrec.llm.local_facts import GgufFacts
from llmrec.llm.registry import ModelKind
from llmrec.prompting.templates import PromptInfo
from llmrec.ranking.base import Budget, Cost
from llmrec.ranking.interview import Question
from llmrec.ranking.types import Ranking


class ProfilesDocument(BaseModel):
    """What `llmrec profile --json` writes, and `llmrec recommend --profile` reads."""

    model_config = ConfigDict(frozen=True)

    profiles: tuple[InterestProfile, ...]
    events_report: CleaningReport
    """What reading the events found, for all people of the file together."""
    catalog_report: CleaningReport
    usage: Usage
    notes: tuple[str, ...] = ()


class RankingsDocument(BaseModel):
    """What `llmrec recommend --json` writes; `--profile` reads it too."""

    model_config = ConfigDict(frozen=True)

    rankings: tuple[Ranking, ...]
    profiles: tuple[InterestProfile, ...]
    """The profiles the rankings were made from, in the same order: their evidence is named by id."""
    events_report: CleaningReport
    """What reading the events found; empty when a profile was given."""
    catalog_report: CleaningReport
    log_report: CleaningReport | None = None
    """What reading the interaction log found; None without one."""
    notes: tuple[str, ...] = ()


class PersonCost(BaseModel):
    """What ranking for one person would ask of the model."""

    model_config = ConfigDict(frozen=True)

    user_id: str
    cost: Cost


class CostsDocument(BaseModel):
    """What `llmrec recommend --cost --json` writes."""

    model_config = ConfigDict(frozen=True)

    strategy: str
    """How the model would be asked to rank."""
    costs: tuple[PersonCost, ...]
    """At most and without a budget, in the order of the people."""
    budget: Budget | None = None
    """What was allowed for each person, where anything was bounded."""
    events_report: CleaningReport
    catalog_report: CleaningReport
    log_report: CleaningReport | None = None
    notes: tuple[str, ...] = ()


class EditDocument(BaseModel):
    """What `llmrec edit --json` and `llmrec undo --json` write."""

    model_config = ConfigDict(frozen=True)

    user_id: str
    edit: Edit
    undone: bool = False
    version: int | None
    """The version of the profile that was kept; None with --dry-run."""
    changes: ProfileDiff


class EditsDocument(BaseModel):
    """What `llmrec edits --json` writes."""

    model_config = ConfigDict(frozen=True)

    user_id: str
    edits: tuple[Edit, ...]
    """The first one first."""


class DiffDocument(BaseModel):
    """What `llmrec diff --json` writes."""

    model_config = ConfigDict(frozen=True)

    user_id: str
    before: str
    """Which profile was the earlier one: `version 3`, or a time in UTC."""
    after: str
    changes: ProfileDiff


class PredictionsDocument(BaseModel):
    """What `llmrec anticipate --json` writes."""

    model_config = ConfigDict(frozen=True)

    profiles: tuple[InterestProfile, ...]
    """Each with what was predicted in `predicted`."""
    events_report: CleaningReport
    catalog_report: CleaningReport


InterviewEnd = Literal["as many as were asked for", "no more questions pay", "the person stopped"]


class GivenAnswer(BaseModel):
    """A question of an interview with what was answered."""

    model_config = ConfigDict(frozen=True)

    question: Question
    answer: str
    """The id of an answer that was offered, or the person's own words."""


class InterviewDocument(BaseModel):
    """What `llmrec interview --json` writes."""

    model_config = ConfigDict(frozen=True)

    answers: tuple[GivenAnswer, ...]
    """Skipped questions are left out."""
    ended: InterviewEnd
    profile: InterestProfile
    ranking: Ranking
    catalog_report: CleaningReport


class GraphDocument(BaseModel):
    """What `llmrec graph --output FILE --json` writes; without a file it writes the graph itself."""

    model_config = ConfigDict(frozen=True)

    user_id: str
    path: str
    format: GraphFormat
    nodes: int
    edges: int


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
