"""Weights learned from a data set: signals measured by ranking code, targets fetched when that is over."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

import numpy as np

from llmrec.candidates.bm25 import item_text
from llmrec.candidates.log import InteractionLog
from llmrec.candidates.text_affinity import TextAffinity
from llmrec.candidates.text_vectors import TextVectors
from llmrec.errors import InputError
from llmrec.evaluation import judge
from llmrec.evaluation.baselines import candidate_ids
from llmrec.evaluation.datasets import DataSource
from llmrec.evaluation.fingerprints import hash_of
from llmrec.evaluation.guards import check_log
from llmrec.evaluation.prepared import Prepared, read_material, read_queries
from llmrec.evaluation.score_files import ScoreFile, check_same
from llmrec.evaluation.scoring import ProgressListener, score_queries
from llmrec.evaluation.systems import (
    QueryProfiles,
    RecommenderSystem,
    scored_from,
    tokens,
)
from llmrec.evaluation.types import Material, ProtocolOptions, Query, Scored
from llmrec.evaluation.weight_learning import FOLDS, LabelledCase, LearnedFusion, learn_weights
from llmrec.interests.profile import InterestProfile
from llmrec.ranking.context import Basis
from llmrec.ranking.learned import LearnedFrom, LearnedWeights
from llmrec.ranking.liked import liked_events
from llmrec.ranking.signals import affinity_signals
from llmrec.recommender import Recommender
from llmrec.weights import SignalWeights

MakeRecommender = Callable[[Material], Recommender]
"""Opens a recommender over the catalogue of a run, and over its log where weights for one are learned."""


class SignalSystem:
    """Every signal of a query's candidates, those of the text affinity too; its scores are those so far."""

    name = "signals"

    def __init__(
        self,
        recommender: Recommender,
        affinity_of: Callable[[Query], TextAffinity | None],
        *,
        basis: Basis,
        strategy: str | None,
    ) -> None:
        """`affinity_of` gives the text affinity for a query.

        It must not have been learned from the query's target: one of the run's log, which holds no target,
        or one of other people's histories.
        """
        self._recommender = recommender
        self._profiles = QueryProfiles(recommender)
        self._affinity_of = affinity_of
        self._basis: Basis = basis
        self._strategy = strategy
        self._vectors = TextVectors.of_items(recommender.embedder, recommender.catalog.items_in_order)

    @property
    def fingerprint(self) -> str:
        """That of the recommender and its options."""
        system = RecommenderSystem(self._recommender, basis=self._basis, strategy=self._strategy)
        return hash_of(system=system.fingerprint, kind="signals")

    def scores(self, query: Query) -> Scored:
        """Measure. Raises InputError, ModelError."""
        catalog, model = self._recommender.catalog, self._recommender.model
        ids = candidate_ids(query, catalog)
        before, started = model.usage, time.perf_counter()
        try:
            profile = self._profiles.of(query)
            ranking = self._recommender.recommend(
                profile, candidates=ids, k=len(ids), basis=self._basis, strategy=self._strategy
            )
        finally:
            seconds = time.perf_counter() - started
            self._profiles.forget(query)
        scored = scored_from(ranking, ids)
        texts = self._of_texts(query, profile, ids)
        return scored.model_copy(
            update={
                "signals": {**scored.signals, **texts},
                "seconds": seconds,
                "tokens": tokens(model.usage - before),
            }
        )

    def _of_texts(
        self, query: Query, profile: InterestProfile, ids: Sequence[str]
    ) -> dict[str, tuple[float, ...]]:
        affinity = self._affinity_of(query)
        if affinity is None:
            return {}
        items = [self._recommender.catalog[item_id] for item_id in ids]
        found = affinity_signals(affinity, self._vectors, liked_events(profile), items)
        return {name: tuple(map(float, values)) for name, values in found.items()}


@dataclass(frozen=True)
class LabelledPeople:
    """The cases of one data set under one protocol, and what was learned from their histories."""

    prepared: Prepared
    cases: Sequence[LabelledCase]
    affinity: TextAffinity | None


def labelled_people(
    data: DataSource | Path | str,
    options: ProtocolOptions,
    make_recommender: MakeRecommender,
    folder: Path,
    *,
    basis: Basis = "history",
    strategy: str | None = None,
    with_log: bool = False,
    progress: ProgressListener | None = None,
) -> LabelledPeople:
    """Measure the signals of a data set's queries, then have the judge say which candidates were taken.

    Everything is kept in `folder`, and a run that stopped goes on there. With `with_log` the recommender sees
    the log, which holds nothing that is held out, and else none. The text affinity of a query is
    learned from the log or, without one, from the histories of the other four fifths of the people. Raises
    InputError when the data or the folder cannot be used.
    """
    prepared = judge.prepare(data, options, folder)
    queries = read_queries(folder)
    material = read_material(folder)
    shown = material if with_log else Material(material.catalog, InteractionLog())
    with make_recommender(shown) as recommender:
        check_log(recommender, shown)
        affinities, whole = affinities_of(recommender, queries, material.log if with_log else None)
        fold_of = {query.user_id: at % FOLDS for at, query in enumerate(queries)}
        system = SignalSystem(
            recommender,
            lambda query: affinities[fold_of[query.user_id]],
            basis=basis,
            strategy=strategy,
        )
        check_same(folder, {system.name: system.fingerprint})
        file = ScoreFile(folder, system.name)
        score_queries(system, queries, file, stage="measuring signals", progress=progress)
        scored = file.read([query.id for query in queries])
        catalog = recommender.catalog
    taken = judge.targets(data, options)
    cases = [
        LabelledCase(
            query.user_id,
            scored[query.id].signals,
            [item_id in taken[query.id] for item_id in candidate_ids(query, catalog)],
        )
        for query in queries
        if query.id in scored and scored[query.id].signals
    ]
    return LabelledPeople(prepared, [case for case in cases if any(case.taken)], whole)


def tune(
    data: DataSource | Path | str,
    protocols: Sequence[ProtocolOptions],
    make_recommender: MakeRecommender,
    *,
    folder: Path | None = None,
    basis: Basis = "history",
    strategy: str | None = None,
    with_log: bool = False,
    progress: ProgressListener | None = None,
) -> tuple[LearnedWeights, LearnedFusion]:
    """Learn weights from the people of a data set, under one or several protocols together.

    The recommenders must be opened with `weights=None`: what is learned stands beside the settings' own
    weights. Returns what is learned as a file is written of it, with the figures of the cross-validation.
    Raises InputError for fewer than 20 people, for a recommender with learned weights, and as
    `labelled_people` does.
    """
    if not protocols:
        raise InputError("weights are learned under a protocol: give at least one")
    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="llmrec-tuning-")))
        people: list[LabelledPeople] = []
        opened: list[tuple[SignalWeights, str, str, bool]] = []

        def make(material: Material) -> Recommender:
            recommender = make_recommender(material)
            settings = recommender.settings
            if settings.weights is not None:
                recommender.close()
                raise InputError(
                    f"weights are learned beside those of the settings, not beside {settings.weights}: open "
                    "the recommender with weights=None"
                )
            so_far: SignalWeights = settings.log_fusion if with_log else settings.fusion
            if basis == "profile":
                so_far = settings.profile_fusion
            chosen = strategy or settings.ranking_strategy
            if chosen == "auto":
                chosen = "likelihood_ratio" if recommender.model.capabilities.score else "graded"
            model = recommender.model
            opened.append((so_far, chosen, model.fingerprint, model.capabilities.open_answers))
            return recommender

        for number, options in enumerate(protocols, start=1):
            people.append(
                labelled_people(
                    data,
                    options,
                    make,
                    folder / f"protocol-{number}",
                    basis=basis,
                    strategy=strategy,
                    with_log=with_log,
                    progress=progress,
                )
            )
    so_far, model_signal, model_fingerprint, capable = opened[0]
    cases = [case for part in people for case in part.cases]
    learned = learn_weights(cases, so_far, model_signal=model_signal, capable=capable)
    weighs_affinity = learned.weights.text_affinity + learned.weights.text_appeal > 0
    affinity = people[0].affinity if weighs_affinity else None
    first = people[0].prepared
    return (
        LearnedWeights(
            basis=basis,
            with_log=with_log,
            model=model_fingerprint if learned.weights.model > 0 else "",
            strategy=model_signal if learned.weights.model > 0 else "",
            weights=learned.weights,
            affinity=affinity.as_document() if affinity is not None else None,
            learned_from=LearnedFrom(
                dataset=first.dataset,
                fingerprint=first.fingerprint,
                people=len({case.person for case in cases}),
                candidates="; ".join(_candidates(options) for options in protocols),
                part=_part(protocols),
                ndcg_before=round(float(np.mean(learned.before)), 4),
                ndcg_after=round(float(np.mean(learned.after)), 4),
                signals_alone={name: round(value, 4) for name, value in learned.signals_alone.items()},
                created=datetime.now(tz=timezone.utc),
            ),
        ),
        learned,
    )


def _candidates(options: ProtocolOptions) -> str:
    return options.negatives_name or f"{options.negatives}, {options.count}"


def _part(protocols: Sequence[ProtocolOptions]) -> Literal["all", "learning", "reporting"]:
    """The part that all people were of."""
    return protocols[0].part if len({options.part for options in protocols}) == 1 else "all"


def affinities_of(
    recommender: Recommender, queries: Sequence[Query], log: InteractionLog | None
) -> tuple[Mapping[int, TextAffinity | None], TextAffinity | None]:
    """The text affinity for each fold, learned from the people of the others, and that of all of them."""
    items = recommender.catalog.items_in_order
    ids = [item.id for item in items]
    texts = TextVectors.of_items(recommender.embedder, items)
    vectors = texts.vectors([item_text(item) for item in items])
    if log is not None:
        of_log = TextAffinity.learn(log, ids, vectors, vectors_of=texts.fingerprint)
        return dict.fromkeys(range(FOLDS), of_log), of_log

    def of(chosen: Sequence[Query]) -> TextAffinity | None:
        events = [event for query in chosen for event in query.events]
        own = InteractionLog.from_events(events, recommender.settings)
        return TextAffinity.learn(own, ids, vectors, vectors_of=texts.fingerprint)

    by_fold = {
        fold: of([query for at, query in enumerate(queries) if at % FOLDS != fold]) for fold in range(FOLDS)
    }
    return by_fold, of(queries)
