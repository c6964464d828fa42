"""The protocol every strategy of ranking implements, and what goes in and comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from llmrec.behavior.events import Item
from llmrec.interests.extraction import StageProgress
from llmrec.interests.profile import InterestProfile
from llmrec.ranking.context import Basis


@dataclass(frozen=True)
class RankingRequest:
    """A person and the items to put in order for them."""

    profile: InterestProfile
    items: tuple[Item, ...]
    basis: Basis = "both"
    seed: int = 0
    """Decides every shuffle: the same request gives the same ranking."""
    first_scores: tuple[float, ...] | None = None
    """Scores of an earlier stage, in the order of the items: where a strategy that improves an order begins,
    and what stands in where it may not ask any more. Without them, the items' own order."""


class Cost(BaseModel):
    """What a ranking will cost at most, told before it runs."""

    model_config = ConfigDict(frozen=True)

    calls: int = Field(default=0, ge=0)
    """Requests to the model. One that scores many continuations of one prefix is one, but for a server, which
    gets a request for each."""
    prompt_tokens: int = Field(default=0, ge=0)
    """Tokens to read, estimated from the rendered prompts."""
    completion_tokens: int = Field(default=0, ge=0)
    """Tokens to write, at most."""

    @property
    def tokens(self) -> int:
        """All tokens."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            calls=self.calls + other.calls,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
        )


class Budget(BaseModel):
    """What a ranking may cost; None bounds nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    calls: int | None = Field(default=None, ge=0)
    """Requests to the model, counted as in `Cost`."""
    tokens: int | None = Field(default=None, ge=0)
    """Tokens read and written, by `llmrec.ranking.metering.count_tokens`."""
    seconds: float | None = Field(default=None, ge=0)
    """Looked at before each call; the last one may end later."""


class Failure(BaseModel):
    """A part of a ranking that the model did not deliver."""

    model_config = ConfigDict(frozen=True)

    what: str
    """What failed, for example `likelihood_ratio` or `comparison of a and b`."""
    reason: str
    """The error's own sentence."""
    stand_in: str
    """What took its place."""


@dataclass(frozen=True)
class ItemScores:
    """What a strategy says of the items of a request, in their order."""

    scores: tuple[float, ...]
    """Higher is better; comparable within one request only."""
    signals: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """The named parts the scores are made of, in their own units; none where the model said nothing."""
    prompts: Mapping[str, str] = field(default_factory=dict)
    """The fingerprint of each template that was used, by name and language."""
    notes: tuple[str, ...] = ()
    """What a reader should know, such as what a budget left out."""
    failures: tuple[Failure, ...] = ()
    sureness: float | None = None
    """How sure the model was, from 0 to 1, where the strategy knows it otherwise than by the scores."""


@runtime_checkable
class Ranker(Protocol):
    """A strategy of ranking. Implementations may be called from several threads at once."""

    @property
    def name(self) -> str:
        """The strategy's name, as in options and signals, for example `pairwise`."""
        ...

    def cost(self, request: RankingRequest) -> Cost:
        """What `score` will cost at most, without a budget. Asks no model."""
        ...

    def score(
        self, request: RankingRequest, *, budget: Budget | None = None, progress: StageProgress | None = None
    ) -> ItemScores:
        """Score every item of the request.

        A budget is never passed: what it does not pay for keeps the order of the stage before, and a note
        says so. A call that fails is told in `failures` with what stood in for it.
        Raises InputError for a request that cannot be ranked, and ModelError when no call succeeds.
        """
        ...


def first_order(request: RankingRequest) -> list[int]:
    """The places of the items in the order to begin with: by `first_scores`, ties as given."""
    places = range(len(request.items))
    scores: Sequence[float] | None = request.first_scores
    return sorted(places, key=lambda at: -scores[at]) if scores is not None else list(places)


def scores_of_order(order: Sequence[int]) -> tuple[float, ...]:
    """Scores that say an order and nothing else: 1 for the first place down to 1/n for the last."""
    scores = [0.0] * len(order)
    for rank, at in enumerate(order):
        scores[at] = (len(order) - rank) / len(order)
    return tuple(scores)
