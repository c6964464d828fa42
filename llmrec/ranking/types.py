"""What a ranking is made of."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from llmrec.behavior.events import Item
from llmrec.llm.base import Usage
from llmrec.ranking.base import Failure
from llmrec.ranking.reorder.types import Placement, Reordering


class Signal(BaseModel):
    """A named part of an item's score."""

    model_config = ConfigDict(frozen=True)

    value: float
    """As measured, in the signal's own unit: nats for `likelihood_ratio`, BM25's sum for `bm25`, a cosine for
    `embedding`, summed weights for `interests`, and so on (`docs/ranking.md`)."""
    contribution: float
    """What it adds to the score: its weight times its z-score among the candidates."""


class Contribution(BaseModel):
    """Something that carried an item, with how much of a signal's value it is."""

    model_config = ConfigDict(frozen=True)

    id: str
    """The id of an interest or of an event."""
    amount: float


class RankingEvidence(BaseModel):
    """What carried an item: all taken from the numbers of the ranking."""

    model_config = ConfigDict(frozen=True)

    interests: tuple[Contribution, ...] = ()
    """The person's interests that the item belongs to, with their part of the `interests` signal."""
    events: tuple[Contribution, ...] = ()
    """The three events whose words the item shares most, with their part of the `bm25` signal."""


class RankedItem(BaseModel):
    """An item at its place."""

    model_config = ConfigDict(frozen=True)

    rank: int = Field(ge=1)
    item: Item
    score: float
    """The sum of the signals' contributions; comparable within one ranking only."""
    probability: float | None = Field(default=None, ge=0, le=1)
    """How probable it is that the person chooses this one, if one of those ranked: they sum to 1 over all."""
    signals: dict[str, Signal]
    evidence: RankingEvidence = RankingEvidence()
    placement: Placement | None = None
    """What diversity, calibration and novelty credited and charged, where any was asked for."""
    why: str = ""
    """One line that says what carried the item."""


class Ranking(BaseModel):
    """Items in order, best first: a sequence of RankedItem."""

    model_config = ConfigDict(frozen=True)

    user_id: str
    items: tuple[RankedItem, ...]
    candidates: int = Field(ge=0)
    """How many items were ranked."""
    model: str
    """The fingerprint of the language model."""
    prompts: dict[str, str] = Field(default_factory=dict)
    """The fingerprint of each prompt template that was used, by name."""
    notes: tuple[str, ...] = ()
    """What a reader should know about how the ranking was made."""
    failures: tuple[Failure, ...] = ()
    """What the model did not deliver, and what stood in for it."""
    reordering: Reordering | None = None
    """What was weighed beside relevance."""
    usage: Usage = Usage()
    """What the language model cost meanwhile; work that overlaps in other threads is counted in."""
    seconds: dict[str, float] = Field(default_factory=dict)
    """How long each stage took."""
    created: datetime = Field(default_factory=lambda: datetime.now(tz=timezone.utc))

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: Any) -> Any:
        return self.items[index]

    def __iter__(self) -> Iterator[RankedItem]:  # type: ignore[override]
        return iter(self.items)
