"""Candidates into an order: the signals of each, fused into one score."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from llmrec.behavior.events import Catalog, Item, validate_record
from llmrec.candidates.bm25 import Bm25Index
from llmrec.errors import InputError
from llmrec.interests.extraction import StageProgress
from llmrec.interests.profile import InterestProfile
from llmrec.llm.base import LanguageModel
from llmrec.llm.priors import Priors
from llmrec.prompting.templates import PromptLibrary
from llmrec.ranking.context import Basis, person_context
from llmrec.ranking.fusion import fuse, order_of
from llmrec.ranking.lexical import InterestMatcher, choose_candidates
from llmrec.ranking.likelihood import likelihood_ratios
from llmrec.ranking.relevance import relevance_grades
from llmrec.ranking.types import RankedItem, RankingEvidence, Signal
from llmrec.ranking.words import WordMatches, match_events, match_interests
from llmrec.settings import Settings

Candidates = Iterable[Item | Mapping[str, Any] | str]


@dataclass(frozen=True)
class Signals:
    """What speaks for each candidate, in the candidates' order."""

    values: dict[str, list[float]]
    prompts: dict[str, str]
    """The fingerprint of each template that was used, by name."""
    notes: list[str]


@dataclass(frozen=True)
class Ranker:
    """Ranks the items of a catalogue, or others, for a person."""

    model: LanguageModel
    priors: Priors
    library: PromptLibrary
    settings: Settings
    catalog: Catalog
    index: Bm25Index
    """Of the catalogue's items, in their order."""
    matcher: InterestMatcher
    progress: Callable[[str], StageProgress]
    """Makes the listener of a stage."""

    def candidates(
        self,
        profile: InterestProfile,
        candidates: Candidates | None,
        *,
        k: int,
        repeats: bool,
        basis: Basis,
    ) -> tuple[list[Item], WordMatches]:
        """The items to rank, and how their words match the person.

        Those named, all of them; else the catalogue's best matches, less what the person touched unless
        `repeats`. Raises InputError for an id that is not in the catalogue, or for two items of one id.
        """
        match = match_interests if basis == "profile" else match_events
        places = {item_id: at for at, item_id in enumerate(self.catalog)}
        if candidates is not None:
            items = self._named(candidates)
            if all(self.catalog.get(item.id) == item for item in items):
                # How rare a word is, the whole catalogue tells better than a few candidates.
                return items, match(profile, self.index).only([places[item.id] for item in items])
            return items, match(profile, Bm25Index(items))
        matches = match(profile, self.index)
        reading = self.progress("reading the catalogue")
        self.matcher.prepare(self.catalog.items_in_order, reading)
        items = choose_candidates(
            self.catalog,
            matches,
            lambda item: self.interest_amount(profile, item),
            excluded=set() if repeats else profile.history.item_ids,
            most=max(self.settings.candidates, k),
            progress=reading,
        )
        return items, matches.only([places[item.id] for item in items])

    def signals(
        self, profile: InterestProfile, items: Sequence[Item], matches: WordMatches, basis: Basis
    ) -> Signals:
        """Measure every signal of every item. Raises ModelError."""
        if not items or not profile.entries:
            return Signals({}, {}, [])
        can = self.model.capabilities
        person = person_context(profile, whole_sentences=not can.score, basis=basis)
        words = "interest_words" if basis == "profile" else "bm25"
        values = {words: [float(value) for value in matches.totals]}
        if basis != "history":
            values["interests"] = [self.interest_amount(profile, item) for item in items]
        if basis == "profile":
            values["hints"] = [self.matcher.hint_amount(profile.hints, item) for item in items]
        if not (person.items or person.words or person.interests):
            return Signals(values, {}, ["the person liked nothing so far, so the model was not asked"])
        ask = partial(likelihood_ratios, priors=self.priors) if can.score else relevance_grades
        found, prompts, notes = ask(
            self.model, self.library, profile.language, person, items, self.progress("ranking items")
        )
        values["likelihood_ratio" if can.score else "relevance"] = found
        return Signals(values, prompts, notes)

    def rank(
        self,
        profile: InterestProfile,
        items: Sequence[Item],
        matches: WordMatches,
        signals: Mapping[str, Sequence[float]],
        k: int,
    ) -> list[RankedItem]:
        """The best k of the items, each with its signals and its evidence."""
        fusion = self.settings.profile_fusion if matches.of == "interests" else self.settings.fusion
        weights = fusion.model_dump()
        weights["likelihood_ratio"] = weights["relevance"] = fusion.model
        added = fuse(signals, weights)
        scores = [float(sum(values[at] for values in added.values())) for at in range(len(items))]
        ranked = []
        for rank, at in enumerate(order_of(scores, [item.id for item in items])[:k], start=1):
            ranked.append(
                RankedItem(
                    rank=rank,
                    item=items[at],
                    score=scores[at],
                    signals={
                        name: Signal(value=signals[name][at], contribution=float(values[at]))
                        for name, values in added.items()
                    },
                    evidence=RankingEvidence(
                        interests=self.matcher.contributions(profile.hierarchy, items[at]),
                        events=matches.contributions(at) if matches.of == "events" else (),
                    ),
                )
            )
        return ranked

    def interest_amount(self, profile: InterestProfile, item: Item) -> float:
        """The signal `interests` of an item."""
        return float(sum(part.amount for part in self.matcher.contributions(profile.hierarchy, item)))

    def _named(self, candidates: Candidates) -> list[Item]:
        items: dict[str, Item] = {}
        for number, candidate in enumerate(candidates, start=1):
            if isinstance(candidate, Item):
                item = candidate
            elif isinstance(candidate, Mapping):
                item = validate_record(Item, candidate, f"candidate {number}")
            elif isinstance(candidate, str) and candidate in self.catalog:
                item = self.catalog[candidate]
            else:
                raise InputError(
                    f"the candidate {candidate!r} is not in the catalogue: give an Item, or an id from it"
                )
            if items.setdefault(item.id, item) != item:
                raise InputError(f"two candidates share the id {item.id!r}: give each an id of its own")
        return list(items.values())
