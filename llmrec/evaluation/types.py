"""What an evaluation is made of. Nothing here holds a target: those stay with the judge's process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from llmrec.behavior.events import Catalog, Event
from llmrec.candidates.log import InteractionLog

Negatives = Literal["given", "random", "popularity", "retriever", "all"]
"""The items that stand beside a target: those of the data set's own file, drawn evenly, drawn by popularity,
the best matches of BM25 for the history, or the whole catalogue."""

Split = Literal["given", "leave-one-out", "temporal"]
"""What is held out: what the data set's own file says, each person's last liked item, or everything liked
after one moment for all."""


class ProtocolOptions(BaseModel):
    """How people, targets and candidates are chosen from a data set."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    split: Split = "leave-one-out"
    negatives: Negatives = "random"
    negatives_name: str = ""
    """Which of several lists of the data set's own file, for example `popular_negatives`."""
    count: int = Field(default=19, ge=1)
    """Negatives a target; the data set's own file says how many `given` ones, and `all` has no number."""
    users: int | None = Field(default=None, ge=1)
    """How many people, drawn by the seed; None takes all."""
    part: Literal["all", "learning", "reporting"] = "all"
    """Everyone, or one half by a hash of the id: weights are learned on one and reported on the other."""
    history_length: int | None = Field(default=None, ge=0)
    """Cold start: only so many of the last events are shown; None shows all."""
    temporal_share: float = Field(default=0.1, gt=0, lt=1)
    """The share of events that lie behind the moment of a temporal split."""
    least_rating: float | None = None
    """A rating below it makes no target; None takes what the data set's reader says."""
    seed: int = 0


Variant = Literal["target-first", "target-last"]
"""Where a probe puts the target among the candidates, which else stand in an order that says nothing."""


class Query(BaseModel):
    """One person's history and the candidates to rank, in an order that says nothing."""

    model_config = ConfigDict(frozen=True)

    id: str
    """The query's own; one person may have several."""
    user_id: str
    events: tuple[Event, ...]
    """The history, the oldest first, without anything held out."""
    candidates: tuple[str, ...]
    """Ids of catalogue items, shuffled by the seed; empty for the whole catalogue less the history."""


@dataclass(frozen=True)
class Material:
    """All that ranking code gets to see."""

    catalog: Catalog
    log: InteractionLog
    """What all people did, without anything held out; may be empty."""


class System(Protocol):
    """Something that ranks, under evaluation."""

    @property
    def name(self) -> str:
        """What the report calls it."""
        ...

    def scores(self, query: Query) -> Scored:
        """Score the candidates of a query."""
        ...


class Scored(BaseModel):
    """The scores of a query's candidates, in their order."""

    model_config = ConfigDict(frozen=True)

    scores: tuple[float, ...]
    probabilities: tuple[float, ...] | None = None
    """How probable each candidate is the one taken, where the system says so."""
    signals: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    """The parts of the scores, where the system tells them; kept, for learning weights and for reports."""
    seconds: float = Field(default=0.0, ge=0)
    tokens: int = Field(default=0, ge=0)
    failures: int = Field(default=0, ge=0)
    notes: tuple[str, ...] = ()
    """What a reader of the figures should know of how these scores came about."""


class Interval(BaseModel):
    """A mean over people with its 95% bootstrap interval."""

    model_config = ConfigDict(frozen=True)

    mean: float
    low: float
    high: float
    people: int = Field(ge=0)


class Comparison(BaseModel):
    """One system against another on the same people: the mean of the differences."""

    model_config = ConfigDict(frozen=True)

    metric: str
    system: str
    baseline: str
    difference: Interval


class SystemResult(BaseModel):
    """The figures of one system."""

    model_config = ConfigDict(frozen=True)

    name: str
    metrics: dict[str, Interval]
    """By name as in `ndcg@10`; also `auc`, `mrr`, `map`, and those of lists, `coverage@10`, `gini@10`,
    `category_diversity@10` or `word_diversity@10`, `novelty@10`, `popularity_lift@10`. A figure of all
    people together, as coverage, has its own value for both bounds."""
    seconds_per_query: float
    """The median."""
    tokens_per_query: float
    """The median."""
    failures: int
    is_baseline: bool = False


class ProbeResult(BaseModel):
    """One probe: a figure with something changed that should, or should not, matter."""

    model_config = ConfigDict(frozen=True)

    name: str
    question: str
    """What is asked, in one sentence."""
    system: str
    before: Interval
    after: Interval
    difference: Interval
    verdict: str
    """One sentence that says what the figures mean."""


class ReliabilityBin(BaseModel):
    """Candidates of about the same probability: what was said of them, and what came of it."""

    model_config = ConfigDict(frozen=True)

    predicted: float = Field(ge=0, le=1)
    """The mean of their probabilities."""
    taken: float = Field(ge=0, le=1)
    """The share of them that was taken."""
    count: int = Field(ge=1)


class Reliability(BaseModel):
    """How well a system's probabilities are calibrated; `llmrec.evaluation.calibration` makes it."""

    model_config = ConfigDict(frozen=True)

    system: str
    calibration_error: float = Field(ge=0, le=1)
    """Expected calibration error over the bins: 0 is best."""
    brier: float = Field(ge=0, le=1)
    """Mean squared error of the probabilities: 0 is best."""
    brier_constant: float = Field(ge=0, le=1)
    """The same for the share that was taken, said of every candidate: the Brier score to fall below."""
    count: int = Field(ge=1)
    """Candidates of all queries."""
    bins: tuple[ReliabilityBin, ...]


class HistoryBand(BaseModel):
    """The figures of the people with histories of some length."""

    model_config = ConfigDict(frozen=True)

    label: str
    """For example `3-5`."""
    people: int
    metrics: dict[str, dict[str, Interval]]
    """By system, then by metric."""


class EvaluationResult(BaseModel):
    """Everything a report shows."""

    model_config = ConfigDict(frozen=True)

    dataset: str
    fingerprint: str
    """Of the data, the protocol and the code's own version: equal ones may be compared."""
    protocol: ProtocolOptions
    people: int
    items: int
    candidates_per_query: float
    chance: dict[str, float]
    """What a random order gives, in expectation, by metric."""
    systems: tuple[SystemResult, ...]
    comparisons: tuple[Comparison, ...]
    """Each system against every baseline."""
    headline: str = "ndcg@10"
    """The metric that orders the systems; comparisons, bands and the price of quality are shown in it."""
    bands: tuple[HistoryBand, ...] = ()
    cold_start: tuple[HistoryBand, ...] = ()
    """The same people with only so many of their last events shown: a band for each number."""
    probes: tuple[ProbeResult, ...] = ()
    reliability: tuple[Reliability, ...] = ()
    """For each system whose `Scored` told probabilities."""
    settings: dict[str, str] = Field(default_factory=dict)
    """Model, weights, machine and whatever else is needed to run it again."""
    command: str = ""
    """The command line that gives this result again; a report shows it to be copied."""
    notes: tuple[str, ...] = ()
