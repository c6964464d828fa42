"""From a catalogue to a ranking: candidates, signals, the model's strategy, fusion, reordering."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from llmrec.behavior.events import Item, validate_record
from llmrec.errors import InputError, ModelError, ModelUnavailableError
from llmrec.interests.extraction import StageProgress
from llmrec.interests.profile import InterestProfile
from llmrec.llm.base import LanguageModel
from llmrec.llm.priors import Priors
from llmrec.prompting.templates import PromptLibrary
from llmrec.ranking.base import (
    Budget,
    Cost,
    Failure,
    ItemScores,
    Ranker,
    RankingRequest,
    scores_of_order,
)
from llmrec.ranking.candidate_choice import check_count, choose_candidates
from llmrec.ranking.context import Basis
from llmrec.ranking.fusion import FloatVector, certainty, fuse, gate, order_of, softmax, telling_share
from llmrec.ranking.learned import LearnedWeights
from llmrec.ranking.reorder import InterestMembership, Reordered, Reordering, passing, reorder
from llmrec.ranking.signals import SignalSources, measure_signals
from llmrec.ranking.strategies import STRATEGIES, checked_options, open_ranker
from llmrec.ranking.types import RankedItem, RankingEvidence, Signal
from llmrec.ranking.words import WordMatches
from llmrec.settings import Settings
from llmrec.weights import SignalWeights

Candidates = Iterable[Item | Mapping[str, Any] | str]

NO_MODEL = "none"
AUTO = "auto"
EVERY_STRATEGY = (AUTO, NO_MODEL, *sorted(STRATEGIES))
LOG_ODDS = {"graded": 2.0, "likelihood_ratio": 0.2, "query_likelihood": 0.2}
"""What makes log-odds of a strategy's scores, where they are not: ratios of a small model are too bold, and a
step of a grade says more than its number."""


@dataclass(frozen=True)
class FusedSignals:
    """The signals of some items, in their order, what each adds, and what the model left undone."""

    values: dict[str, tuple[float, ...]]
    contributions: dict[str, FloatVector]
    scores: tuple[float, ...]
    probabilities: tuple[float, ...]
    """Of each item being the one the person chooses, if it is one of these; they sum to 1."""
    matches: WordMatches
    prompts: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True)
class RankingPipeline:
    """Ranks the items of a catalogue, or others, for a person."""

    model: LanguageModel
    priors: Priors
    library: PromptLibrary
    settings: Settings
    sources: SignalSources
    progress: Callable[[str], StageProgress]
    """Makes the listener of a stage."""
    learned: LearnedWeights | None = None

    def candidates(
        self,
        profile: InterestProfile,
        candidates: Candidates | None,
        *,
        k: int,
        repeats: bool,
        basis: Basis,
        reordering: Reordering,
    ) -> tuple[list[Item], list[str]]:
        """The items to rank, and notes on what filters left out.

        Those named, all of them; else the union of what every index of the catalogue proposes, less what the
        person touched unless `repeats`. Raises InputError for a k that is no whole number from 1 up, for an
        id that is not in the catalogue, or for two items of one id.
        """
        check_count(k)
        membership = self._membership(profile)
        if candidates is not None:
            items = self._named(candidates)
            places, notes = passing(items, reordering.filters, membership=membership)
            return [items[at] for at in places], list(notes)
        every = self.sources.catalog.items_in_order
        places, notes = passing(every, reordering.filters, membership=membership)
        chosen = choose_candidates(
            self.sources,
            profile,
            basis,
            allowed=places,
            excluded=set() if repeats else profile.history.item_ids,
            most=max(self.settings.candidates, k),
            progress=self.progress("reading the catalogue"),
        )
        return chosen, list(notes)

    def cost(
        self,
        profile: InterestProfile,
        items: Sequence[Item],
        basis: Basis,
        strategy: str | None,
        options: Mapping[str, Any] | None = None,
    ) -> Cost:
        """What the model's part of a ranking will cost at most; strategy and options as in `fused`.

        Raises InputError for an unknown strategy or option.
        """
        weights, _ = self._weights(basis)
        ranker = self.ranker(*self._way_to_ask(strategy, options, weights))
        request = RankingRequest(profile, tuple(items), basis)
        return ranker.cost(request) if ranker is not None and items and profile.entries else Cost()

    def ranker(self, strategy: str, options: Mapping[str, Any] | None = None) -> Ranker | None:
        """The strategy that asks the model, None for `none`.

        Raises InputError for an unknown one or an option it does not have, ModelError when the model cannot
        do it or cannot be reached.
        """
        check_strategy(strategy)
        if strategy == NO_MODEL:
            return None
        if strategy == AUTO:
            strategy = "likelihood_ratio" if self.model.capabilities.score else "graded"
        chosen = checked_options(strategy, options or {})
        if strategy == "likelihood_ratio":
            chosen["priors"] = self.priors
        return open_ranker(strategy, self.model, self.library, **chosen)

    def fused(
        self,
        profile: InterestProfile,
        items: Sequence[Item],
        basis: Basis,
        *,
        strategy: str | None = None,
        options: Mapping[str, Any] | None = None,
        budget: Budget | None = None,
        seed: int = 0,
    ) -> FusedSignals:
        """Measure every signal of every item, ask the model, and sum.

        Without a strategy, that of the settings is taken with the settings' options, and a model without a
        weight is not asked; a strategy of the call is asked in any case. What the model does not deliver is
        told in `failures`, and the other signals stand in for it. Raises InputError for an unknown strategy
        or option, ModelError when the model delivers nothing and nothing else tells the items apart.
        """
        weights, weight_notes = self._weights(basis)
        strategy, chosen = self._way_to_ask(strategy, options, weights)
        measured = measure_signals(self.sources, profile, items, basis)
        by_signal = weights.by_signal()
        whole = dict(by_signal)
        parts = fuse(measured.values, by_signal)
        first = _sum(parts, len(items))
        values = dict(measured.values)
        asked = ItemScores(first)
        name = strategy
        notes = list(weight_notes)
        if strategy != NO_MODEL and items and profile.entries:
            request = RankingRequest(profile, tuple(items), basis, seed, first)
            name, asked = self._ask(strategy, chosen, request, budget)
        if asked.signals:
            values[name] = tuple(asked.scores)
            sure = sureness(name, asked.scores) if asked.sureness is None else asked.sureness
            part = gate(sure, weights.gate_low, weights.gate_high)
            whole[name] = weights.by_signal(capable=self.model.capabilities.open_answers)["model"]
            by_signal[name] = whole[name] * part
            parts = fuse(values, by_signal)
            notes += [*_gate_notes(part, len(items)), *self._strategy_notes(weights, name)]
        scores = _sum(parts, len(items))
        share = telling_share(values, by_signal, whole)
        return FusedSignals(
            values=values,
            contributions=parts,
            scores=scores,
            probabilities=tuple(softmax(np.array(scores) * weights.scale * share)),
            matches=measured.matches,
            prompts=dict(asked.prompts),
            notes=(*notes, *asked.notes),
            failures=asked.failures,
        )

    def placed(
        self,
        profile: InterestProfile,
        items: Sequence[Item],
        fused: FusedSignals,
        k: int,
        reordering: Reordering,
    ) -> tuple[list[RankedItem], tuple[str, ...]]:
        """The best k of the items, reordered, each with its signals and its evidence; and notes."""
        order = order_of(fused.scores, [item.id for item in items])[:k]
        moves: dict[str, Any] = {}
        notes: tuple[str, ...] = ()
        # The filters have done their work, and were told of, when the candidates were chosen.
        weighed = reordering.model_copy(update={"filters": ()})
        if weighed.active and items:
            changed = self._reordered(profile, items, fused.scores, weighed, k)
            order, notes = list(changed.order), changed.notes
            moves = {move.item_id: move for move in changed.placements}
        ranked = []
        for rank, at in enumerate(order, start=1):
            item = items[at]
            ranked.append(
                RankedItem(
                    rank=rank,
                    item=item,
                    score=fused.scores[at],
                    probability=fused.probabilities[at],
                    signals={
                        name: Signal(value=fused.values[name][at], contribution=float(added[at]))
                        for name, added in fused.contributions.items()
                    },
                    evidence=RankingEvidence(
                        interests=self.sources.matcher.contributions(profile.hierarchy, item)
                        if "interests" in fused.values
                        else (),
                        events=fused.matches.contributions(at) if fused.matches.of == "events" else (),
                    ),
                    placement=moves.get(item.id),
                )
            )
        return ranked, notes

    def _reordered(
        self,
        profile: InterestProfile,
        items: Sequence[Item],
        scores: Sequence[float],
        reordering: Reordering,
        k: int,
    ) -> Reordered:
        log = self.sources.log
        return reorder(
            items,
            scores,
            reordering,
            profile=profile,
            belongs=lambda item: self.sources.matcher.memberships(profile.hierarchy, item),
            popularity=log.log.counts if log is not None else None,
            k=k,
        )

    def _membership(self, profile: InterestProfile) -> InterestMembership:
        return InterestMembership(
            profile, lambda item: self.sources.matcher.memberships(profile.hierarchy, item)
        )

    def _way_to_ask(
        self, strategy: str | None, options: Mapping[str, Any] | None, weights: SignalWeights
    ) -> tuple[str, dict[str, Any]]:
        """The strategy and its options, of the call or else of the settings; `none` where it cannot count."""
        name = strategy or self.settings.ranking_strategy
        check_strategy(name)
        if options is None:
            # Those of the settings are for the strategy that stands there.
            options = self.settings.strategy_options if name == self.settings.ranking_strategy else {}
        elif name == NO_MODEL and options:
            raise InputError(f"the strategy {NO_MODEL} has no options: choose another, or give none")
        chosen = checked_options(name, options) if name in STRATEGIES else dict(options)
        return (name if strategy or self._model_counts(weights) else NO_MODEL), chosen

    def _model_counts(self, weights: SignalWeights) -> bool:
        """Whether these weights give the model one."""
        if weights.model or not weights.capable_model:
            return weights.model > 0
        try:
            return self.model.capabilities.open_answers
        except ModelError:
            # Asking it will tell what is wrong with it.
            return True

    def _ask(
        self, strategy: str, options: Mapping[str, Any], request: RankingRequest, budget: Budget | None
    ) -> tuple[str, ItemScores]:
        """The name of the strategy, and what the model says by it; the first scores where it fails."""
        first = request.first_scores or ()
        name = "the model" if strategy == AUTO else strategy
        reached = False
        try:
            ranker = self.ranker(strategy, options)
            if ranker is None:
                return name, ItemScores(first)
            name, reached = ranker.name, True
            return name, ranker.score(request, budget=budget, progress=self.progress("ranking items"))
        except ModelError as error:
            # What a model cannot do at all is for the caller to change; one that is away may come back.
            mends_itself = reached or isinstance(error, ModelUnavailableError)
            if not mends_itself or (len(first) > 1 and len(set(first)) == 1):
                raise
            failure = Failure(what=name, reason=str(error), stand_in="the other signals")
            return name, ItemScores(first, failures=(failure,))

    def _weights(self, basis: Basis) -> tuple[SignalWeights, list[str]]:
        """The weights that hold here, and a note where learned ones do not."""
        learned = self.learned
        if learned is None:
            return self._own_weights(basis), []
        if learned.basis != basis or learned.with_log != (self.sources.log is not None):
            return self._own_weights(basis), [
                f"the learned weights are for the basis {learned.basis} "
                f"{'with' if learned.with_log else 'without'} an interaction log, so those of the settings "
                "were used"
            ]
        notes = []
        if learned.weights.model and learned.model != self.model.fingerprint:
            notes.append("the learned weights were learned with another model: run llmrec tune with this one")
        return learned.weights, notes

    def _strategy_notes(self, weights: SignalWeights, name: str) -> list[str]:
        """A note where the model's weight was learned with another strategy than the one that was asked."""
        learned = self.learned
        if learned is None or weights is not learned.weights or not weights.model:
            return []
        if learned.strategy in ("", AUTO, name):
            return []
        return [
            f"the learned weights were learned with the strategy {learned.strategy}, and {name} was asked: "
            "run llmrec tune with this one"
        ]

    def _own_weights(self, basis: Basis) -> SignalWeights:
        if basis == "profile":
            return self.settings.profile_fusion
        return self.settings.log_fusion if self.sources.log is not None else self.settings.fusion

    def _named(self, candidates: Candidates) -> list[Item]:
        items: dict[str, Item] = {}
        for number, candidate in enumerate(candidates, start=1):
            if isinstance(candidate, Item):
                item = candidate
            elif isinstance(candidate, Mapping):
                item = validate_record(Item, candidate, f"candidate {number}")
            elif isinstance(candidate, str) and candidate in self.sources.catalog:
                item = self.sources.catalog[candidate]
            else:
                raise InputError(
                    f"the candidate {candidate!r} is not in the catalogue: give an Item, or an id from it"
                )
            if items.setdefault(item.id, item) != item:
                raise InputError(f"two candidates share the id {item.id!r}: give each an id of its own")
        return list(items.values())


def _sum(parts: Mapping[str, FloatVector], size: int) -> tuple[float, ...]:
    return tuple(float(sum(values[at] for values in parts.values())) for at in range(size))


def _gate_notes(part: float, items: int) -> list[str]:
    """Say how much of the model's weight does not stand."""
    if part >= 1 or items < 2:
        return []
    if not part:
        return ["the model was not sure, so its scores have no weight in this ranking"]
    percent = min(max(round(100 * part), 1), 99)
    return [f"the model was not very sure, so its scores have {percent}% of their weight"]


def check_strategy(strategy: str) -> None:
    """Raise InputError for what is no strategy."""
    if strategy not in EVERY_STRATEGY:
        raise InputError(f"there is no strategy {strategy!r}: choose among {', '.join(EVERY_STRATEGY)}")


def sureness(name: str, scores: Sequence[float]) -> float:
    """How sure the model is, from 0 to 1, by its scores in log-odds; 1 where they say an order alone.

    An order, as a listwise or pairwise ranking gives it, has no distances to tell doubt by.
    """
    if sorted(scores, reverse=True) == list(scores_of_order(range(len(scores)))):
        return 1.0
    return certainty([score * LOG_ODDS.get(name, 1.0) for score in scores])
