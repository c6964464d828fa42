"""The Recommender: the one place where all stages meet."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from llmrec.behavior.cleaning import CleaningReport, clean_events
from llmrec.behavior.events import Catalog, Event, HistoryEntry, Item, validate_record
from llmrec.behavior.strength import build_history
from llmrec.candidates.bm25 import Bm25Index
from llmrec.errors import InputError
from llmrec.explanation.notes import displaced_note, nothing_to_rank_note
from llmrec.explanation.reason import reason
from llmrec.interests.anchored import label_history
from llmrec.interests.extraction import Extraction, ExtractionTools, StageProgress, choose_strategy
from llmrec.interests.hierarchy import InterestHierarchy
from llmrec.interests.open_answers import write_interests
from llmrec.interests.organization import organize
from llmrec.interests.profile import InterestProfile
from llmrec.interests.subjects import language_of
from llmrec.interests.taxonomy import Vocabulary
from llmrec.llm.base import LanguageModel
from llmrec.llm.cache import CachedModel
from llmrec.llm.priors import Priors
from llmrec.llm.registry import open_model
from llmrec.prompting.templates import PromptLibrary
from llmrec.ranking.context import person_context
from llmrec.ranking.fusion import fuse, order_of
from llmrec.ranking.lexical import EventMatches, InterestMatcher, choose_candidates, match_events
from llmrec.ranking.likelihood import likelihood_ratios
from llmrec.ranking.relevance import relevance_grades
from llmrec.ranking.types import RankedItem, Ranking, RankingEvidence, Signal
from llmrec.settings import Settings, load_settings
from llmrec.store import Store


@dataclass(frozen=True)
class Progress:
    """How far a long piece of work is."""

    stage: str
    """What is going on: `reading events`, `finding interests` or `ranking items`."""
    done: int
    total: int


ProgressListener = Callable[[Progress], None]
Candidates = Iterable[Item | Mapping[str, Any] | str]


class Recommender:
    """Reads what a person did, finds the interests behind it, ranks items against them, and says why.

    One instance may be used from several threads. Use it as a context manager, or close it.
    """

    def __init__(
        self,
        model: str | LanguageModel | None = None,
        catalog: Catalog | Iterable[Item | Mapping[str, Any]] = (),
        *,
        settings: Settings | None = None,
        store: Store | str | Path | None = None,
        progress: ProgressListener | None = None,
        **options: Any,
    ) -> None:
        """Open the model and index the catalogue.

        `model` is a specification such as `embedded`, `llama-cpp:PATH` or `openai:NAME@URL`, or a
        LanguageModel; the settings' own when absent. `store` is a Store or the path of its file; without
        one, and without one in the settings, everything is kept in memory. `progress` is called while work
        goes on. `options` are fields of Settings, over those in `settings` and in the environment.
        Raises InputError for a bad option, catalogue or vocabulary, ModelError for a model that cannot be
        opened, StoreError for a store that cannot.
        """
        self.settings = load_settings(settings, **options)
        self.catalog = catalog if isinstance(catalog, Catalog) else Catalog(catalog)
        self._library = PromptLibrary(self.settings.prompts)
        self._vocabulary = Vocabulary.load(self.settings.vocabulary)
        self._matcher = InterestMatcher(self._vocabulary)
        self._index = Bm25Index(self.catalog.items_in_order)
        self._progress = progress
        self._own_store = not isinstance(store, Store)
        self.store = store if isinstance(store, Store) else Store(_store_path(store, self.settings))
        self._own_model = model is None or isinstance(model, str)
        try:
            opened = (
                open_model(model or self.settings.model, self.settings)
                if model is None or isinstance(model, str)
                else model
            )
        except BaseException:
            if self._own_store:
                self.store.close()
            raise
        self.model = CachedModel(opened, self.store.model_calls)
        self._priors = Priors(self.model, self.settings.cache_dir)

    def __enter__(self) -> Recommender:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close what this recommender opened itself: its model and its store."""
        self._priors.close()
        if self._own_model:
            self.model.close()
        if self._own_store:
            self.store.close()

    def profile(
        self,
        events: Iterable[Event | Mapping[str, Any]],
        *,
        user_id: str | None = None,
        report: CleaningReport | None = None,
    ) -> InterestProfile:
        """Find the interests behind one person's events.

        `user_id` names the person when there are no events to tell; `report` is what reading the events
        already found. The profile is made of these events alone; they and it are kept in the store.
        Raises InputError for an invalid event or for events of several people, ModelError when the model
        fails: a profile is never made of less than was asked without a word.
        """
        started = time.perf_counter()
        given = [
            event if isinstance(event, Event) else validate_record(Event, event, f"event {number}")
            for number, event in enumerate(events, start=1)
        ]
        person = _one_person(given, user_id)
        self._report_progress("reading events")(0, len(given))
        kept, cleaning = clean_events(
            given, self.catalog, self.settings, rows=(report.rows or None) if report is not None else None
        )
        displaced = self.store.save_events(kept)
        entries = tuple(build_history(person, kept, self.catalog, self.settings))
        before = self.model.usage
        language = self._language(entries)
        extraction = self._extract(entries, language) if entries else Extraction([], "anchored")
        profile = InterestProfile(
            user_id=person,
            hierarchy=organize(entries, extraction.labels) if entries else InterestHierarchy(),
            entries=entries,
            language=language,
            strategy=extraction.strategy if entries else "none",
            model=self.model.fingerprint,
            prompts=extraction.prompts,
            report=report.then(cleaning) if report is not None else cleaning,
            unlabelled=tuple(
                entry.event.id for entry, found in zip(entries, extraction.labels, strict=True) if not found
            ),
            notes=(*extraction.notes, *displaced_note(displaced)),
            usage=self.model.usage - before,
            seconds=time.perf_counter() - started,
        )
        self.store.save_profile(profile)
        return profile

    def recommend(
        self,
        profile: InterestProfile,
        *,
        candidates: Iterable[Item | Mapping[str, Any] | str] | None = None,
        k: int = 10,
        repeats: bool = False,
    ) -> Ranking:
        """Rank items for a person, best first, each with its signals, its evidence and one line why.

        `candidates` are items, or ids of the catalogue's, and all of them are ranked; without them the
        catalogue's best matches are, less what the person already touched unless `repeats` is true. `k` is
        how many to return, at least 1; a note says when there are fewer. The ranking is kept in the store.
        Raises InputError for a bad k or an unknown id, ModelError when the model fails.
        """
        if k < 1:
            raise InputError(f"k is {k}: ask for at least one item")
        seconds: dict[str, float] = {}
        notes: list[str] = []
        started = time.perf_counter()
        items, matches = self._candidates(profile, candidates, k, repeats=repeats)
        seconds["candidates"] = time.perf_counter() - started
        if not items:
            notes.append(nothing_to_rank_note(self.catalog, candidates))
        if not profile.entries:
            notes.append(
                "nothing is known of this person, so the first items stand in the order of their ids: "
                "give an event, or a sentence with the action 'say'"
            )
        before = self.model.usage
        started = time.perf_counter()
        signals, prompts, found = self._signals(profile, items, matches)
        notes += found
        seconds["ranking"] = time.perf_counter() - started
        started = time.perf_counter()
        ranked = self._rank(profile, items, matches, signals, k)
        seconds["explanation"] = time.perf_counter() - started
        if items and k > len(items):
            notes.append(f"{k} items were asked for and {len(items)} could be ranked")
        ranking = Ranking(
            user_id=profile.user_id,
            items=tuple(ranked),
            candidates=len(items),
            model=self.model.fingerprint,
            prompts=prompts,
            notes=tuple(notes),
            usage=self.model.usage - before,
            seconds=seconds,
        )
        self.store.save_ranking(ranking, self.store.version_of(profile) or self.store.save_profile(profile))
        return ranking

    async def aprofile(
        self,
        events: Iterable[Event | Mapping[str, Any]],
        *,
        user_id: str | None = None,
        report: CleaningReport | None = None,
    ) -> InterestProfile:
        """`profile`, for asynchronous callers: the work goes on in a thread."""
        return await asyncio.to_thread(self.profile, events, user_id=user_id, report=report)

    async def arecommend(
        self,
        profile: InterestProfile,
        *,
        candidates: Iterable[Item | Mapping[str, Any] | str] | None = None,
        k: int = 10,
        repeats: bool = False,
    ) -> Ranking:
        """`recommend`, for asynchronous callers: the work goes on in a thread."""
        return await asyncio.to_thread(self.recommend, profile, candidates=candidates, k=k, repeats=repeats)

    def _extract(self, entries: Sequence[HistoryEntry], language: str) -> Extraction:
        tools = ExtractionTools(
            self.model,
            self._priors,
            self._library,
            language,
            self._report_progress("finding interests"),
        )
        if choose_strategy(self.settings.strategy, self.model) == "open":
            return write_interests(entries, tools)
        return label_history(entries, self._vocabulary, tools, model_budget=self.settings.labelled_by_model)

    def _language(self, entries: Sequence[HistoryEntry]) -> str:
        if self.settings.language != "auto":
            return self.settings.language
        declared = [entry.item.language for entry in entries if entry.item and entry.item.language]
        texts = [entry.title for entry in entries if not (entry.item and entry.item.language)]
        if len(declared) >= len(texts) and declared:
            chinese = sum(language.lower().startswith("zh") for language in declared)
            return "zh" if 2 * chinese > len(declared) else "en"
        return language_of(texts)

    def _candidates(
        self, profile: InterestProfile, candidates: Candidates | None, k: int, *, repeats: bool
    ) -> tuple[list[Item], EventMatches]:
        if candidates is not None:
            items = self._named(candidates)
            return items, match_events(profile, Bm25Index(items))
        matches = match_events(profile, self._index)
        items = choose_candidates(
            self.catalog,
            matches,
            lambda item: _sum(self._matcher.contributions(profile.hierarchy, item)),
            excluded=set() if repeats else profile.history.item_ids,
            most=max(self.settings.candidates, k),
            progress=self._report_progress("reading the catalogue"),
        )
        places = {item_id: at for at, item_id in enumerate(self.catalog)}
        return items, matches.only([places[item.id] for item in items])

    def _named(self, candidates: Candidates) -> list[Item]:
        items: dict[str, Item] = {}
        for number, candidate in enumerate(candidates, start=1):
            if isinstance(candidate, Item):
                item = candidate
            elif isinstance(candidate, Mapping):
                item = validate_record(Item, candidate, f"candidate {number}")
            elif candidate in self.catalog:
                item = self.catalog[candidate]
            else:
                raise InputError(
                    f"the candidate {candidate!r} is not in the catalogue: give an Item, or an id from it"
                )
            if items.setdefault(item.id, item) != item:
                raise InputError(f"two candidates share the id {item.id!r}: give each an id of its own")
        return list(items.values())

    def _signals(
        self, profile: InterestProfile, items: Sequence[Item], matches: EventMatches
    ) -> tuple[dict[str, list[float]], dict[str, str], list[str]]:
        if not items or not profile.entries:
            return {}, {}, []
        can = self.model.capabilities
        person = person_context(profile, whole_sentences=not can.score)
        signals: dict[str, list[float]] = {
            "bm25": [float(value) for value in matches.totals],
            "interests": [_sum(self._matcher.contributions(profile.hierarchy, item)) for item in items],
        }
        if not (person.items or person.words or person.interests):
            return signals, {}, ["the person liked nothing so far, so the model was not asked"]
        ask = partial(likelihood_ratios, priors=self._priors) if can.score else relevance_grades
        values, prompts, notes = ask(
            self.model,
            self._library,
            profile.language,
            person,
            items,
            self._report_progress("ranking items"),
        )
        signals["likelihood_ratio" if can.score else "relevance"] = values
        return signals, prompts, notes

    def _rank(
        self,
        profile: InterestProfile,
        items: Sequence[Item],
        matches: EventMatches,
        signals: Mapping[str, Sequence[float]],
        k: int,
    ) -> list[RankedItem]:
        fusion = self.settings.fusion
        weights = {
            "bm25": fusion.bm25,
            "interests": fusion.interests,
            "likelihood_ratio": fusion.model,
            "relevance": fusion.model,
        }
        added = fuse(signals, weights)
        scores = [float(sum(values[at] for values in added.values())) for at in range(len(items))]
        ranked = []
        for rank, at in enumerate(order_of(scores, [item.id for item in items])[:k], start=1):
            placed = RankedItem(
                rank=rank,
                item=items[at],
                score=scores[at],
                signals={
                    name: Signal(value=signals[name][at], contribution=float(values[at]))
                    for name, values in added.items()
                },
                evidence=RankingEvidence(
                    interests=self._matcher.contributions(profile.hierarchy, items[at]),
                    events=matches.contributions(at),
                ),
            )
            ranked.append(placed.model_copy(update={"why": reason(self._library, profile, placed)}))
        return ranked

    def _report_progress(self, stage: str) -> StageProgress:
        def report(done: int, total: int) -> None:
            if self._progress is not None:
                self._progress(Progress(stage, done, total))

        return report


def _store_path(store: str | Path | None, settings: Settings) -> Path | None:
    path = store if store is not None else settings.store
    return Path(path).expanduser() if path is not None else None


def _one_person(events: Sequence[Event], user_id: str | None) -> str:
    people = dict.fromkeys(event.user_id for event in events)
    if len(people) > 1:
        names = ", ".join(list(people)[:3])
        raise InputError(
            f"these are events of {len(people)} people ({names}{', …' if len(people) > 3 else ''}): "
            "call profile once for each"
        )
    if user_id is not None and people and user_id not in people:
        raise InputError(
            f"the events are of {next(iter(people))!r}, not of {user_id!r}: give that person's own"
        )
    return user_id or next(iter(people), "unknown")


def _sum(parts: Iterable[Any]) -> float:
    return float(sum(part.amount for part in parts))
