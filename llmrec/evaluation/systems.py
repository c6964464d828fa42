"""A Recommender, or a bare strategy of ranking, as a system under evaluation."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, get_args

from llmrec.behavior.events import Catalog
from llmrec.errors import InputError
from llmrec.evaluation.baselines import candidate_ids
from llmrec.evaluation.fingerprints import hash_of, ranker_options, recommender_fingerprint
from llmrec.evaluation.guards import OF_WEIGHTS, check_log, taught_note
from llmrec.evaluation.types import Material, ProtocolOptions, Query, Scored, System
from llmrec.interests.profile import InterestProfile
from llmrec.llm.base import LanguageModel, Usage
from llmrec.ranking.base import Budget, Ranker, RankingRequest
from llmrec.ranking.context import Basis
from llmrec.ranking.learned import LearnedWeights
from llmrec.ranking.types import Ranking
from llmrec.recommender import Recommender


class QueryProfiles:
    """Makes a profile of each query's history, and keeps nothing of it."""

    def __init__(self, recommender: Recommender) -> None:
        """`recommender` needs a store that holds nobody, since what a query left there is deleted.

        Raises InputError when somebody is kept in it.
        """
        if recommender.store.people():
            raise InputError(
                "the recommender's store holds people already, and an evaluation deletes what it kept: "
                "give a recommender whose store is in memory"
            )
        self._recommender = recommender

    def of(self, query: Query) -> InterestProfile:
        """The profile of a query's history. Raises InputError, ModelError."""
        return self._recommender.profile(query.events, user_id=query.user_id)

    def forget(self, query: Query) -> None:
        """Delete what was kept of the query's person, the model's answers included."""
        self._recommender.store.forget_person(query.user_id)


class RecommenderSystem:
    """A whole Recommender: profile, candidates where the query names none, signals, fusion."""

    def __init__(
        self,
        recommender: Recommender,
        *,
        name: str = "llmrec",
        basis: Basis = "both",
        strategy: str | None = None,
        **options: Any,
    ) -> None:
        """`recommender` needs the run's catalogue, and a store in memory of its own.

        `strategy` and `options` go to `Recommender.recommend`. How many events of a history the model reads
        to find interests is the recommender's own setting `labelled_by_model`; with 0 names and categories
        label them, which is far cheaper. Of a whole catalogue the setting `candidates` says how many items
        are ranked; the others lie below them, all alike.
        Raises InputError for an unknown basis, and for a store that holds people.
        """
        if basis not in get_args(Basis):
            raise InputError(f"the basis is {basis!r}: choose among {', '.join(get_args(Basis))}")
        self._name = name
        self._recommender = recommender
        self._profiles = QueryProfiles(recommender)
        self._options = {"basis": basis, **({"strategy": strategy} if strategy else {}), **options}

    @property
    def name(self) -> str:
        """What the report calls it."""
        return self._name

    @property
    def fingerprint(self) -> str:
        """Hash of the recommender, its log included, and of the options: what decides the scores."""
        return hash_of(
            recommender=recommender_fingerprint(self._recommender),
            options={key: str(value) for key, value in self._options.items()},
        )

    def check(self, material: Material) -> None:
        """Raise InputError for a recommender whose log is not the run's: it may hold targets."""
        check_log(self._recommender, material)

    def notes(self, dataset: str, options: ProtocolOptions) -> tuple[str, ...]:
        """What a reader of the figures should know of the weights. Raises InputError as `load` does."""
        path = self._recommender.settings.weights
        note = taught_note(LearnedWeights.load(path).learned_from, dataset, options) if path else ""
        return (note,) if note else ()

    def scores(self, query: Query) -> Scored:
        """Rank a query's candidates. Raises InputError, ModelError."""
        catalog, model = self._recommender.catalog, self._recommender.model
        ids = candidate_ids(query, catalog)
        most = len(ids) if query.candidates else min(len(ids), self._recommender.settings.candidates)
        before, started = model.usage, time.perf_counter()
        try:
            profile = self._profiles.of(query)
            ranking = self._recommender.recommend(
                profile, candidates=query.candidates or None, k=max(1, most), **self._options
            )
        finally:
            seconds = time.perf_counter() - started
            self._profiles.forget(query)
        scored = scored_from(ranking, ids)
        return scored.model_copy(
            update={
                "seconds": seconds,
                "tokens": tokens(model.usage - before),
                "notes": tuple(note for note in ranking.notes if note.startswith(OF_WEIGHTS)),
            }
        )


class RankerSystem:
    """A bare strategy over profiles that a recommender makes."""

    def __init__(
        self,
        ranker: Ranker,
        recommender: Recommender,
        *,
        name: str | None = None,
        basis: Basis = "both",
        seed: int = 0,
        budget: Budget | None = None,
        model: LanguageModel | None = None,
    ) -> None:
        """`recommender` makes the profiles and holds the catalogue; its store must be in memory.

        `model` is the one whose tokens are counted; the recommender's own when absent. The strategy's own
        name stands in reports unless `name` is given. Raises InputError for a store that holds people.
        """
        self._ranker = ranker
        self._name = name or ranker.name
        self._recommender = recommender
        self._profiles = QueryProfiles(recommender)
        self._basis: Basis = basis
        self._seed = seed
        self._budget = budget
        self._model = model or recommender.model

    @property
    def name(self) -> str:
        """What the report calls it."""
        return self._name

    @property
    def fingerprint(self) -> str:
        """Hash of the strategy with its options, of the model, the recommender and the system's options."""
        return hash_of(
            ranker=f"{type(self._ranker).__name__} {self._ranker.name}",
            ranker_options=ranker_options(self._ranker),
            model=self._model.fingerprint,
            recommender=recommender_fingerprint(self._recommender),
            options=[self._basis, self._seed, self._budget.model_dump() if self._budget else None],
        )

    def check(self, material: Material) -> None:
        """Raise InputError for a recommender whose log is not the run's: it may hold targets."""
        check_log(self._recommender, material)

    def scores(self, query: Query) -> Scored:
        """Score a query's candidates. Raises InputError, ModelError."""
        catalog: Catalog = self._recommender.catalog
        ids = candidate_ids(query, catalog)
        before, started = self._model.usage, time.perf_counter()
        try:
            profile = self._profiles.of(query)
            found = self._ranker.score(
                RankingRequest(
                    profile=profile,
                    items=tuple(catalog[item_id] for item_id in ids),
                    basis=self._basis,
                    seed=self._seed,
                ),
                budget=self._budget,
            )
        finally:
            seconds = time.perf_counter() - started
            self._profiles.forget(query)
        return Scored(
            scores=found.scores,
            signals=dict(found.signals) if query.candidates else {},
            seconds=seconds,
            tokens=tokens(self._model.usage - before),
            failures=len(found.failures),
        )


def check_systems(systems: Iterable[System], material: Material) -> None:
    """Raise InputError when a system's recommender has another log than the run's: it may hold targets."""
    for system in systems:
        if isinstance(system, (RecommenderSystem, RankerSystem)):
            system.check(material)


def scored_from(ranking: Ranking, ids: Sequence[str]) -> Scored:
    """The scores of a ranking in the order of `ids`.

    Items that were not ranked lie below all that were. Where a later stage, such as diversity, moved items
    away from the order of their scores, the places are the scores: what a person sees is what counts.
    """
    places = {ranked.item.id: at for at, ranked in enumerate(ranking)}
    scores = [float(ranked.score) for ranked in ranking]
    if any(later > earlier + 1e-6 for earlier, later in itertools.pairwise(scores)):
        scores = [float(len(places) - at) for at in range(len(places))]
    below = min(scores, default=0.0) - 1.0
    at_place = [places.get(item_id) for item_id in ids]
    ranked_all = all(at is not None for at in at_place)
    probabilities = [ranked.probability for ranked in ranking]
    return Scored(
        scores=tuple(below if at is None else scores[at] for at in at_place),
        probabilities=tuple(0.0 if at is None else float(probabilities[at] or 0.0) for at in at_place)
        if scores and all(value is not None for value in probabilities)
        else None,
        signals=_signals(ranking, at_place) if ranked_all else {},
        failures=len(ranking.failures),
    )


def _signals(ranking: Ranking, at_place: Sequence[int | None]) -> dict[str, tuple[float, ...]]:
    """The signals that every item has, in the order wanted."""
    items = list(ranking)
    if not items:
        return {}
    names = [name for name in items[0].signals if all(name in ranked.signals for ranked in items)]
    return {name: tuple(items[at].signals[name].value for at in at_place if at is not None) for name in names}


def tokens(usage: Usage) -> int:
    """All tokens of a usage; never below 0, should a model count anew."""
    return max(0, usage.prompt_tokens + usage.completion_tokens)


class FunctionSystem:
    """A function as a system: for trying out an idea, and for tests."""

    def __init__(
        self, name: str, score: Callable[[Query], Sequence[float]], *, fingerprint: str = ""
    ) -> None:
        """`score` gives one number a candidate of a query, in their order; higher is better.

        `fingerprint` changes with what the function does. Without one, scores of an earlier run are not gone
        on with but made anew, since nobody knows whose they were.
        """
        self.name = name
        self.fingerprint = fingerprint
        self._score = score

    def scores(self, query: Query) -> Scored:
        """Call the function."""
        started = time.perf_counter()
        values = tuple(float(value) for value in self._score(query))
        return Scored(scores=values, seconds=time.perf_counter() - started)
