"""From events to interests: which strategy, and what every strategy gives back (兴趣识别)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from llmrec.behavior.events import HistoryEntry
from llmrec.errors import ModelError
from llmrec.llm.base import LanguageModel
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


@dataclass
class Extraction:
    """What an extraction found: the labels of each event, in the events' order."""

    labels: list[list[EventLabel]]
    strategy: Literal["anchored", "open"]
    notes: list[str] = field(default_factory=list)
    prompts: dict[str, str] = field(default_factory=dict)
    """The fingerprint of each template that was used, by name."""


@dataclass(frozen=True)
class ExtractionTools:
    """What an extraction works with."""

    model: LanguageModel
    priors: Priors
    """The same model, for what it expects of nobody in particular."""
    library: PromptLibrary
    language: str
    progress: StageProgress


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


def signed_weight(entry: HistoryEntry, label: EventLabel) -> float:
    """How much an event says for (or, below zero, against) a label."""
    weight = entry.weight * label.share
    return -abs(weight) if label.negative else weight
