"""From events to interests: which strategy, and what every strategy gives back (兴趣识别)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from llmrec.behavior.events import HistoryEntry
from llmrec.errors import ModelError
from llmrec.llm.base import LanguageModel
from llmrec.llm.embedder import Embedder
from llmrec.llm.priors import Priors
from llmrec.prompting.templates import PromptLibrary
from llmrec.settings import Strategy

StageProgress = Callable[[int, int], None]
"""Called with how many steps are done and how many there are."""


@dataclass(frozen=True)
class PathStep:
    """One interest on the way down from the most general."""

    id: str
    label: str


@dataclass(frozen=True)
class EventLabel:
    """That an event shows an interest, named by its whole path."""

    path: tuple[PathStep, ...]
    share: float
    """How likely the event is about the interest, 0 to 1."""
    negative: bool = False
    """Whether the event's own words turn the interest away."""
    proposed: bool = False
    """Whether the last step is a value found on items, not an interest of the vocabulary."""
    minor: bool = False
    """Whether the last step is never an interest of its own, as the decade of a film: it stays a hint."""


class ClaimCount(BaseModel):
    """How the claims of an open answer fared when each was checked against the events it cites.

    A claim is one pair of an interest and an event cited for it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    made: int = Field(default=0, ge=0)
    dropped: int = Field(default=0, ge=0)
    """Not supported by the event, and taken out."""
    mended: int = Field(default=0, ge=0)
    """Kept under a broader or another interest that the event does support."""

    @property
    def unsupported_share(self) -> float:
        """The part of the claims that did not hold as they were made, 0 to 1; 0 when none was made."""
        return (self.dropped + self.mended) / self.made if self.made else 0.0

    def __add__(self, other: ClaimCount) -> ClaimCount:
        return ClaimCount(
            made=self.made + other.made,
            dropped=self.dropped + other.dropped,
            mended=self.mended + other.mended,
        )


class EventReading(BaseModel):
    """What was found in one event. Kept with the profile, so that no event is read twice."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    labels: tuple[EventLabel, ...] = ()
    by_model: bool = False
    """Whether the model was asked; otherwise names, categories and similarity alone spoke."""
    fixed: bool = False
    """Whether the person said so: it stays as it is, whatever else is read."""


@dataclass
class Extraction:
    """What an extraction found: the reading of each event, in the events' order."""

    readings: list[EventReading]
    strategy: Literal["anchored", "open"]
    notes: list[str] = field(default_factory=list)
    prompts: dict[str, str] = field(default_factory=dict)
    """The fingerprint of each template that was used, by name."""
    claims: ClaimCount = field(default_factory=ClaimCount)
    """How many claims the model made and how many of them its own second reading took back."""
    broader: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Further broader interests by the id of the narrower, besides those the paths name."""


@dataclass(frozen=True)
class ExtractionTools:
    """What an extraction works with."""

    model: LanguageModel
    priors: Priors
    """The same model, for what it expects of nobody in particular."""
    library: PromptLibrary
    language: str
    progress: StageProgress
    embedder: Embedder | None = None
    """What tells how close texts are in meaning; without one, words, metadata and the model decide alone."""


def choose_strategy(strategy: Strategy, model: LanguageModel) -> Literal["anchored", "open"]:
    """Pick the strategy that the model's capabilities allow.

    Raises ModelError when the one asked for is not among them, or when the model can do neither.
    """
    can = model.capabilities
    if strategy == "auto":
        strategy = "open" if can.open_answers and can.generate and can.structured != "none" else "anchored"
        if strategy == "anchored" and not can.score:
            raise ModelError(
                f"the model {model.name} neither gives log-probabilities nor writes structured answers that "
                "can be trusted: use a larger model, a server with log-probabilities, or the embedded one"
            )
    if strategy == "anchored" and not can.score:
        raise ModelError(
            f"the anchored strategy needs log-probabilities, which {model.name} does not give: "
            "use strategy='open' or another model"
        )
    if strategy == "open" and not can.generate:
        raise ModelError(f"the open strategy needs a model that generates, which {model.name} does not")
    return strategy


def signed_strength(entry: HistoryEntry, label: EventLabel) -> float:
    """How much an event says for (or, below zero, against) a label, before time is considered."""
    strength = entry.strength * label.share
    return -abs(strength) if label.negative else strength
