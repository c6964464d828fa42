"""The Recommender: the one place where all stages meet."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from llmrec.behavior.cleaning import CleaningReport, clean_events
from llmrec.behavior.events import (
    Catalog,
    Event,
    Item,
    one_person,
    validate_record,
    validated,
    validated_events,
)
from llmrec.candidates.log import InteractionLog
from llmrec.explanation.notes import (
    displaced_note,
    failure_notes,
    nothing_known_note,
    nothing_to_rank_note,
)
from llmrec.explanation.reason import reason
from llmrec.forgetting import ForgetReport, forget
from llmrec.interests.anticipation import anticipate
from llmrec.interests.edits import EDIT, Add, Edit
from llmrec.interests.extraction import PathStep
from llmrec.interests.profile import InterestProfile
from llmrec.interests.revision import check_present, place_in
from llmrec.llm.base import LanguageModel
from llmrec.llm.cache import naming_person
from llmrec.llm.embedder import Embedder
from llmrec.ranking.base import Budget, Cost
from llmrec.ranking.candidate_choice import check_count
from llmrec.ranking.context import Basis, check_basis
from llmrec.ranking.interview import Question, answer_events, with_answers
from llmrec.ranking.questions import next_question
from llmrec.ranking.reorder import Reordering
from llmrec.ranking.types import Ranking
from llmrec.settings import Settings, load_settings
from llmrec.store import Store
from llmrec.workshop import Progress as Progress
from llmrec.workshop import ProgressListener, Workshop

NOT_KEPT = 0
"""The version of a profile that the store does not hold."""


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
        embedder: str | Embedder | None = None,
        log: InteractionLog | Iterable[Event | Mapping[str, Any]] | None = None,
        progress: ProgressListener | None = None,
        **options: Any,
    ) -> None:
        """Open the model and index the catalogue.

        `model` is a specification such as `embedded`, `llama-cpp:PATH` or `openai:NAME@URL`, or a
        LanguageModel; the settings' own when absent. `store` is a Store or the path of its file; without
        one, and without one in the settings, everything is kept in memory. `embedder` is a specification
        such as `wordllama`, or an Embedder; the settings' own when absent, and none where that is not
        installed. `log` is what many people did, as events or an InteractionLog: from it come popularity and
        what is chosen together. `progress` is called while work goes on. `options` are fields of Settings,
        over those in `settings` and in the environment.
        Raises InputError for a bad option, catalogue or vocabulary, ModelError for a model that cannot be
        opened, StoreError for a store that cannot.
        """
        self.settings = load_settings(settings, **options)
        self._workshop = Workshop(
            model,
            catalog,
            settings=self.settings,
            store=store,
            embedder=embedder,
            progress=progress,
            log=log,
        )
        self.catalog = self._workshop.catalog
        self.store = self._workshop.store
        self.model = self._workshop.model
        self.embedder = self._workshop.embedder

    def __enter__(self) -> Recommender:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def log(self) -> InteractionLog | None:
        """What many people did; None where there is no log."""
        return self._workshop.log

    def close(self) -> None:
        """Close what this recommender opened itself: its model, its embedder and its store."""
        self._workshop.close()

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
        given = validated_events(events)
        person = one_person(given, user_id)
        self._workshop.report("reading events")(0, len(given))
        kept, cleaning = clean_events(
            given, self.catalog, self.settings, rows=(report.rows or None) if report is not None else None
        )
        displaced = self.store.save_events(kept)
        last = self.store.profile(person)
        with naming_person(person):
            profile = self._workshop.profiler.build(
                person,
                kept,
                edits=last.edits if last is not None else (),
                fixed=last.fixed_readings if last is not None else None,
                report=report.then(cleaning) if report is not None else cleaning,
                notes=displaced_note(displaced),
            )
        self.store.save_profile(profile)
        return profile

    def update(
        self,
        profile: InterestProfile,
        events: Iterable[Event | Mapping[str, Any]],
        *,
        report: CleaningReport | None = None,
    ) -> InterestProfile:
        """Take new events into a profile: they alone are read, and everything is computed anew.

        The same events give the same profile, all at once or one at a time, as long as they come in the
        order of time. The person's edits go on holding. Events the profile holds already are left out and
        noted in its report. Raises InputError for an invalid event or one of another person, ModelError.
        """
        check_present(profile)
        given = validated_events(events)
        one_person(given, profile.user_id)
        with naming_person(profile.user_id):
            updated, fresh = self._workshop.profiler.update(profile, given, report=report)
        displaced = self.store.save_events(fresh)
        if displaced:
            updated = updated.model_copy(update={"notes": (*updated.notes, *displaced_note(displaced))})
        self.store.save_profile(updated)
        return updated

    def edit(self, profile: InterestProfile, edit: Edit | Mapping[str, Any]) -> InterestProfile:
        """Change a profile as the person wishes; the edit holds on through later updates.

        `edit` is one of `llmrec.interests.edits`, or a mapping with its `kind`: rename, merge, move, pin,
        unpin, raise, lower, remove or add. Interests are named by id, label or path. Raises InputError when
        the edit cannot be made.
        """
        check_present(profile)
        wanted = validate_record(EDIT, edit, "the edit") if isinstance(edit, Mapping) else edit
        path: tuple[PathStep, ...] = ()
        if isinstance(wanted, Add) and wanted.under is None:
            path = place_in(self._workshop.vocabulary, wanted.label, profile.language)
        edited = profile.edited(wanted, path=path)
        self.store.save_profile(edited)
        return edited

    def undo(self, profile: InterestProfile) -> InterestProfile:
        """Take back the last edit of a profile. Raises InputError when there is none."""
        check_present(profile)
        undone = profile.undone()
        self.store.save_profile(undone)
        return undone

    def forget(
        self,
        person: str | InterestProfile,
        *,
        interest: str | None = None,
        item: str | None = None,
        domain: str | None = None,
        everything: bool = False,
    ) -> ForgetReport:
        """Delete events of a person, and all that was made of them; see `llmrec.forgetting.forget`."""
        return forget(
            self.store,
            person,
            interest=interest,
            item=item,
            domain=domain,
            everything=everything,
            model=self.model,
            catalog=self.catalog,
        )

    def anticipate(self, profile: InterestProfile, *, k: int = 5) -> InterestProfile:
        """Predict interests the person has not shown; returns a copy with up to k as `predicted`.

        They come from the neighbourhood in the vocabulary, from other people whose profiles the store holds,
        and from the model, and are no evidence: hierarchy and events stay as they are. Raises InputError for
        a k below 1, ModelError.
        """
        check_count(k, "interest")
        with naming_person(profile.user_id):
            predicted, prompts = anticipate(
                profile,
                vocabulary=self._workshop.vocabulary,
                tools=self._workshop.profiler.tools(profile.language),
                people=self.store.last_profiles(but=profile.user_id),
                k=k,
                neighbourhood=self._workshop.neighbourhood(profile.language),
            )
        found = profile.model_copy(
            update={"predicted": tuple(predicted), "prompts": profile.prompts | prompts}
        )
        # A look at an earlier or another profile must not become what is known of the person.
        versions = self.store.profile_versions(profile.user_id)
        if versions and self.store.version_of(profile) == versions[-1]:
            self.store.save_profile(found)
        return found

    def ask(self, profile: InterestProfile, *, asked: Collection[str] = ()) -> Question | None:
        """The question whose answer would change the order of the catalogue most, in expectation.

        `asked` are the ids of questions asked before. Returns None when questions no longer pay. No model is
        needed.
        """
        return next_question(
            profile,
            self._workshop.catalog_interests,
            vocabulary=self._workshop.vocabulary,
            library=self._workshop.library,
            asked=asked,
            neighbourhood=self._workshop.neighbourhood(profile.language),
        )

    def answer(self, profile: InterestProfile, question: Question, answer: str) -> InterestProfile:
        """Take an answer into the profile: the id or text of one that is offered, or the person's own words.

        It becomes an event with the action `say`; no opinion changes nothing. Raises InputError for an empty
        answer, ModelError where own words must be read.
        """
        check_present(profile)
        held = {entry.event.id for entry in profile.entries}
        said = answer_events(question, answer, profile.user_id, held=held)
        own_words = [one.event for one in said if one.reading is None]
        answered = with_answers(profile, said, strength=self.settings.strength_of("say") or 0.0)
        self.store.save_events([one.event for one in said if one.reading is not None])
        if own_words:
            return self.update(answered, own_words)
        self.store.save_profile(answered)
        return answered

    def recommend(
        self,
        profile: InterestProfile,
        *,
        candidates: Iterable[Item | Mapping[str, Any] | str] | None = None,
        k: int = 10,
        repeats: bool = False,
        basis: Basis = "both",
        strategy: str | None = None,
        strategy_options: Mapping[str, Any] | None = None,
        budget: Budget | Mapping[str, Any] | None = None,
        reordering: Reordering | Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> Ranking:
        """Rank items for a person, best first, each with its signals, its evidence and one line why.

        `candidates` are items, or ids of the catalogue's, and all of them are ranked; without them the
        catalogue's best matches are, less what the person already touched unless `repeats` is true. `k` is
        how many to return, at least 1; a note says when there are fewer. `basis` says what is ranked by: the
        interests (`profile`), the events they were found in (`history`), or both. `strategy` is how the model
        is asked, as in `Settings.ranking_strategy`, with `strategy_options` for those of the settings, within
        a `budget` of calls, tokens or seconds; what it does not deliver is told in `failures` with what stood
        in for it. A model without a weight is asked only where a strategy is given here. `reordering` asks
        for diversity, calibration, novelty, caps and filters. `seed` decides every shuffle.
        Raises InputError for a bad argument or an unknown id, ModelError when the model fails and nothing
        else tells the items apart.
        """
        check_basis(basis)
        wanted = validated(Reordering, reordering, "the reordering")
        allowed = validated(Budget, budget, "the budget") if budget is not None else None
        seconds: dict[str, float] = {}
        started = time.perf_counter()
        pipeline = self._workshop.pipeline
        items, filtered = pipeline.candidates(
            profile, candidates, k=k, repeats=repeats, basis=basis, reordering=wanted
        )
        notes = list(filtered)
        seconds["candidates"] = time.perf_counter() - started
        if not items and not filtered:
            notes.append(nothing_to_rank_note(self.catalog, candidates))
        if not profile.entries:
            notes.append(nothing_known_note(with_log=self._workshop.log is not None and basis != "profile"))
        before = self.model.usage
        started = time.perf_counter()
        with naming_person(profile.user_id):
            fused = pipeline.fused(
                profile,
                items,
                basis,
                strategy=strategy,
                options=strategy_options,
                budget=allowed,
                seed=seed,
            )
        seconds["ranking"] = time.perf_counter() - started
        started = time.perf_counter()
        placed, reordered = pipeline.placed(profile, items, fused, k, wanted)
        library = self._workshop.library
        ranked = [one.model_copy(update={"why": reason(library, profile, one)}) for one in placed]
        seconds["explanation"] = time.perf_counter() - started
        notes += [*fused.notes, *failure_notes(fused.failures), *reordered]
        if items and k > len(items):
            notes.append(f"{k} items were asked for and {len(items)} could be ranked")
        ranking = Ranking(
            user_id=profile.user_id,
            items=tuple(ranked),
            candidates=len(items),
            model=self.model.fingerprint,
            prompts=fused.prompts,
            notes=tuple(notes),
            failures=fused.failures,
            reordering=wanted if wanted.active else None,
            usage=self.model.usage - before,
            seconds=seconds,
        )
        self.store.save_ranking(ranking, self.store.version_of(profile) or NOT_KEPT)
        return ranking

    def ranking_cost(
        self,
        profile: InterestProfile,
        *,
        candidates: Iterable[Item | Mapping[str, Any] | str] | None = None,
        k: int = 10,
        repeats: bool = False,
        basis: Basis = "both",
        strategy: str | None = None,
        strategy_options: Mapping[str, Any] | None = None,
        reordering: Reordering | Mapping[str, Any] | None = None,
    ) -> Cost:
        """What `recommend` with the same arguments would ask of the model at most; asks it nothing.

        Raises InputError as `recommend` does.
        """
        check_basis(basis)
        wanted = validated(Reordering, reordering, "the reordering")
        pipeline = self._workshop.pipeline
        items, _ = pipeline.candidates(
            profile, candidates, k=k, repeats=repeats, basis=basis, reordering=wanted
        )
        return pipeline.cost(profile, items, basis, strategy, strategy_options)

    async def aprofile(
        self,
        events: Iterable[Event | Mapping[str, Any]],
        *,
        user_id: str | None = None,
        report: CleaningReport | None = None,
    ) -> InterestProfile:
        """`profile`, for asynchronous callers: the work goes on in a thread."""
        return await asyncio.to_thread(self.profile, events, user_id=user_id, report=report)

    async def aupdate(
        self, profile: InterestProfile, events: Iterable[Event | Mapping[str, Any]]
    ) -> InterestProfile:
        """`update`, for asynchronous callers: the work goes on in a thread."""
        return await asyncio.to_thread(self.update, profile, events)

    async def arecommend(self, profile: InterestProfile, **options: Any) -> Ranking:
        """`recommend`, for asynchronous callers: the work goes on in a thread."""
        return await asyncio.to_thread(self.recommend, profile, **options)
