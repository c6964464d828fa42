"""The demo: six people of the sample data, from their events to explained recommendations, with timings."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import IO

from pydantic import BaseModel, ConfigDict, Field

from llmrec.behavior.events import Event, Item
from llmrec.behavior.readers import read_events, read_items
from llmrec.errors import InputError
from llmrec.interests.extraction import choose_strategy
from llmrec.interests.profile import InterestProfile
from llmrec.llm.base import LanguageModel, Usage
from llmrec.llm.registry import open_model
from llmrec.ranking.types import Ranking
from llmrec.recommender import Progress, Recommender
from llmrec.settings import Settings, load_settings
from llmrec.store import Store

DEMO_CANDIDATES = 30


class SamplePerson(BaseModel):
    """One of the six people of the sample data."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    summary: str
    language: str
    """The language the person reads: `en` or `zh`."""


class PersonResult(BaseModel):
    """What the pipeline found for one person."""

    model_config = ConfigDict(frozen=True)

    person: SamplePerson
    events: int
    """How many events were read."""
    profile: InterestProfile
    ranking: Ranking


class StageSeconds(BaseModel):
    """How long each stage took, for all people together, in seconds."""

    model_config = ConfigDict(frozen=True)

    opening_the_model: float = Field(ge=0)
    reading: float = Field(ge=0)
    """The sample files, the catalogue's index and the vocabulary."""
    finding_interests: float = Field(ge=0)
    ranking: float = Field(ge=0)
    """The choice of candidates and their ranking."""
    explanation: float = Field(ge=0)
    total: float = Field(ge=0)


class NextStep(BaseModel):
    """A command worth trying after the demo."""

    model_config = ConfigDict(frozen=True)

    command: str
    purpose: str


class DemoResult(BaseModel):
    """Everything the demo shows."""

    model_config = ConfigDict(frozen=True)

    model: str
    """The model's name."""
    model_fingerprint: str
    strategy: str
    """How interests were found: `anchored` or `open`."""
    items: int
    """How many items the sample catalogue has."""
    people: tuple[PersonResult, ...]
    seconds: StageSeconds
    peak_memory_bytes: int | None = None
    """The most memory this process held at once; None where the system does not tell."""
    usage: Usage
    """What the language model cost."""
    next_steps: tuple[NextStep, ...]


@dataclass(frozen=True)
class DemoProgress:
    """How far the demo is."""

    person: SamplePerson | None
    """Whose turn it is; None before the first."""
    number: int
    """Which of the people that is, from 1."""
    people: int
    stage: str
    done: int
    total: int | None


DemoListener = Callable[[DemoProgress], None]

NEXT_STEPS = (
    NextStep(command="llmrec demo --person mara --json", purpose="one person, with all evidence, as JSON"),
    NextStep(
        command="llmrec profile events.jsonl --catalog items.jsonl", purpose="the interests in your own data"
    ),
    NextStep(command="llmrec recommend --help", purpose="what to recommend, from events or one sentence"),
    NextStep(command="llmrec models check", purpose="what the model can do here, and how fast"),
    NextStep(command="llmrec prompts list", purpose="every prompt, to read and to change"),
)


def sample_people() -> list[SamplePerson]:
    """The people of the sample data, in the order they are shown."""
    with _sample("people.json") as file:
        return [SamplePerson.model_validate(person) for person in json.load(file)]


def sample_items() -> list[Item]:
    """The catalogue of the sample data: books, films, games, gear and more, some of it in Chinese."""
    with _sample("items.jsonl") as file:
        return read_items(file)[0]


def sample_events() -> list[Event]:
    """The events of all sample people, one person after the other."""
    with _sample("events.jsonl") as file:
        return read_events(file)[0]


def run_demo(
    people: Sequence[str] = (),
    *,
    model: str | LanguageModel | None = None,
    settings: Settings | None = None,
    store: Store | None = None,
    k: int = 10,
    progress: DemoListener | None = None,
) -> DemoResult:
    """Profile the sample's people and recommend `k` items to each.

    `people` are ids, all six when empty; `model` is a specification or a LanguageModel, the settings' own
    when absent. Without a store nothing is kept. At most 30 candidates a person are ranked, for speed.
    Raises InputError for an unknown person or a k below 1, ModelError when the model fails.
    """
    began = time.perf_counter()
    chosen = _choose(people)
    if k < 1:
        raise InputError(f"k is {k}: ask for at least one item")
    settings = settings or load_settings()
    settings = load_settings(settings, candidates=min(settings.candidates, DEMO_CANDIDATES))
    progress = progress or _nobody_listens
    progress(DemoProgress(None, 0, len(chosen), "opening the model", 0, None))
    opened = (
        open_model(model or settings.model, settings) if model is None or isinstance(model, str) else model
    )
    kept = store or Store()
    try:
        strategy = choose_strategy(settings.strategy, opened)
        opening = time.perf_counter() - began
        progress(DemoProgress(None, 0, len(chosen), "reading the sample data", 0, None))
        turns = _Turns(progress, len(chosen))
        events = sample_events()
        recommender = Recommender(
            opened, sample_items(), settings=settings, store=kept, progress=turns.pass_on
        )
        reading = time.perf_counter() - began - opening
        before = recommender.model.usage
        results = []
        for person in chosen:
            turns.begin(person)
            results.append(_result(recommender, person, events, k))
        return DemoResult(
            model=opened.name,
            model_fingerprint=opened.fingerprint,
            strategy=strategy,
            items=len(recommender.catalog),
            people=tuple(results),
            seconds=StageSeconds(
                opening_the_model=opening,
                reading=reading,
                finding_interests=sum(result.profile.seconds for result in results),
                ranking=_spent(results, "candidates") + _spent(results, "ranking"),
                explanation=_spent(results, "explanation"),
                total=time.perf_counter() - began,
            ),
            peak_memory_bytes=peak_memory_bytes(),
            usage=recommender.model.usage - before,
            next_steps=NEXT_STEPS,
        )
    finally:
        if kept is not store:
            kept.close()
        if opened is not model:
            opened.close()


def peak_memory_bytes() -> int | None:
    """The most memory this process held at once, in bytes; None where the system does not tell."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts in KiB, macOS in bytes.
    return peak if sys.platform == "darwin" else peak * 1024


def _choose(people: Sequence[str]) -> list[SamplePerson]:
    known = {person.id: person for person in sample_people()}
    for person_id in people:
        if person_id not in known:
            raise InputError(
                f"there is no person {person_id!r} in the sample data: choose among {', '.join(known)}"
            )
    return [known[person_id] for person_id in dict.fromkeys(people or known)]


def _result(recommender: Recommender, person: SamplePerson, events: Sequence[Event], k: int) -> PersonResult:
    own = [event for event in events if event.user_id == person.id]
    profile = recommender.profile(own, user_id=person.id)
    return PersonResult(
        person=person, events=len(own), profile=profile, ranking=recommender.recommend(profile, k=k)
    )


def _spent(results: Sequence[PersonResult], stage: str) -> float:
    return sum(result.ranking.seconds[stage] for result in results)


class _Turns:
    """Adds whose turn it is to what the recommender reports."""

    def __init__(self, listener: DemoListener, people: int) -> None:
        self._listener = listener
        self._people = people
        self._number = 0
        self._person: SamplePerson | None = None

    def begin(self, person: SamplePerson) -> None:
        self._person = person
        self._number += 1

    def pass_on(self, progress: Progress) -> None:
        self._listener(
            DemoProgress(
                self._person, self._number, self._people, progress.stage, progress.done, progress.total
            )
        )


def _nobody_listens(progress: DemoProgress) -> None:
    """Take a report when nobody asked for one."""


def _sample(name: str) -> IO[str]:
    return resources.files("llmrec.sample").joinpath(name).open("r", encoding="utf-8")
