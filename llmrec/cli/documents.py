"""The JSON documents that commands write with --json."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from llmrec.behavior.cleaning import CleaningReport
from llmrec.interests.profile import InterestProfile
from llmrec.llm.base import Capabilities, Usage
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


class ModelTrial(BaseModel):
    """One thing that was asked of a model."""

    model_config = ConfigDict(frozen=True)

    name: str
    passed: bool | None
    """None when the model does not claim it can, so nothing was asked."""
    detail: str
    """What came of it, or what to do."""
    tokens_per_second: float | None = None


class ModelReport(BaseModel):
    """What `llmrec models check --json` writes."""

    model_config = ConfigDict(frozen=True)

    specification: str
    serves: bool
    """Whether llmrec can work with the model."""
    name: str | None = None
    fingerprint: str | None = None
    capabilities: Capabilities | None = None
    threads: int | None = None
    """Threads of a local model; None for a server's."""
    strategy: str | None = None
    """The strategy that would be chosen."""
    opening_seconds: float | None = None
    trials: tuple[ModelTrial, ...] = ()
    advice: str = ""
    """What to change when the model does not serve."""


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
