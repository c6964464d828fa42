"""Interests a person has not shown yet, predicted from those they have.

Three sources are asked, each with a number from -1 to 1 for every interest of the vocabulary that the person
has not shown: how near it lies to their own interests, how firmly people with like interests hold it, and how
much likelier the model finds its name after their interests than after none. Nothing here is evidence: a
prediction never enters the hierarchy.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from llmrec.errors import InputError
from llmrec.interests.edits import Merge, Remove
from llmrec.interests.neighbourhood import Neighbourhood, OwnInterest, own_interests, vocabulary_id
from llmrec.llm.cache import naming_prompt

if TYPE_CHECKING:
    from llmrec.interests.extraction import ExtractionTools
    from llmrec.interests.profile import InterestProfile
    from llmrec.interests.taxonomy import Vocabulary, VocabularyNode

PredictionSource = Literal["neighbourhood", "people", "model"]
Values = npt.NDArray[np.float64]

SourceWeights = Mapping[PredictionSource, float]

# Learned on the tuning half of `benchmarks/anticipation.py`. Beside other people a small model only adds
# noise, so it is not asked; where nobody else says anything, it knows what the tree does not.
SOURCE_WEIGHTS: SourceWeights = {"neighbourhood": 0.1, "people": 0.9, "model": 0.0}
WEIGHTS_ALONE: SourceWeights = {"neighbourhood": 0.9, "people": 0.0, "model": 0.1}
# How far an interest that everyone holds is held back: the number of its holders to this power divides it.
POPULARITY_DISCOUNT = 0.25
LEAST_PEOPLE = 2
MOST_SIMILAR_PEOPLE = 100
ASKED_OF_MODEL = 40
SHOWN_TO_MODEL = 8
MOST_INFERRED_FROM = 3


class PredictedInterest(BaseModel):
    """An interest a person has not shown, and what it was inferred from. It is no evidence of anything."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1)
    """The id in the vocabulary."""
    path: tuple[str, ...] = Field(min_length=1)
    """The labels from the top down to it."""
    score: float
    """How likely it is to be shown next; comparable within one list only."""
    sources: dict[PredictionSource, float] = Field(default_factory=dict)
    """What each source added to the score."""
    inferred_from: tuple[str, ...] = ()
    """The ids of the person's own interests that carried it, the strongest first."""
    similar_people: int = Field(default=0, ge=0)
    """How many people with like interests have shown it."""

    @property
    def label(self) -> str:
        """The last label of its path."""
        return self.path[-1]


@dataclass(frozen=True)
class SourceScores:
    """What one source says of every candidate."""

    values: Values
    """One number a candidate, -1 to 1, the largest in size being 1 unless all are 0."""
    carried: Values
    """What each of the person's interests adds: one row a candidate, one column an interest."""
    people: npt.NDArray[np.int64] | None = None
    """How many similar people hold each candidate."""


def anticipate(
    profile: InterestProfile,
    *,
    vocabulary: Vocabulary,
    tools: ExtractionTools | None = None,
    people: Iterable[InterestProfile] = (),
    k: int = 5,
    neighbourhood: Neighbourhood | None = None,
) -> tuple[list[PredictedInterest], dict[str, str]]:
    """Predict up to k interests of the vocabulary that a person has not shown, likeliest first.

    The score is the sum of the three sources, each times its part of `SOURCE_WEIGHTS`, or of `WEIGHTS_ALONE`
    where other people say nothing of any candidate: nobody is given, nobody alike, or nothing is held by two
    people. A model is asked only where it counts, and can score. `tools`
    brings the embedder and the model; `people` are profiles of others, of whom a prediction keeps nothing but
    a number. `neighbourhood` is that of the vocabulary, where one was laid out before. Only what scores above
    0 is predicted: nothing for a person who likes nothing yet. The profile is not changed.

    Returns the predictions, and the fingerprints of the templates by name.
    Raises InputError for a k below 1, and what the model raises.
    """
    if k < 1:
        raise InputError(f"k is {k}: ask for at least one interest")
    own = own_interests(profile, vocabulary)
    candidates = candidate_interests(profile, vocabulary)
    if not own or not candidates:
        return [], {}
    if neighbourhood is None:
        embedder = tools.embedder if tools is not None else None
        neighbourhood = Neighbourhood(vocabulary, embedder, profile.language)
    others = OtherPeople.of((one for one in people if one.user_id != profile.user_id), vocabulary)
    sources: dict[PredictionSource, SourceScores] = {
        "neighbourhood": neighbourhood_scores(own, candidates, neighbourhood),
        "people": people_scores(profile.user_id, own, candidates, others, neighbourhood),
    }
    weights = SOURCE_WEIGHTS if sources["people"].values.any() else WEIGHTS_ALONE
    prompts: dict[str, str] = {}
    total = combined(sources, weights)
    if weights["model"] > 0 and tools is not None and tools.model.capabilities.score:
        asked = best_of(total, candidates, ASKED_OF_MODEL)
        sources["model"], prompts = model_scores(own, candidates, asked, tools)
        total = combined(sources, weights)
    names = _Names(own, candidates, vocabulary, profile.language)
    return [_predicted(at, names, sources, weights) for at in best_of(total, candidates, k)], prompts


def best_of(total: Values, candidates: Sequence[VocabularyNode], most: int) -> list[int]:
    """The places of the candidates that score highest, above 0, equal ones in the order of their ids."""
    order = sorted(range(len(candidates)), key=lambda at: (-round(float(total[at]), 9), candidates[at].id))
    return [at for at in order[:most] if total[at] > 0]


def combined(
    sources: Mapping[PredictionSource, SourceScores], weights: SourceWeights = SOURCE_WEIGHTS
) -> Values:
    """The score of each candidate: the sum of the sources, each times its weight."""
    return np.asarray(sum(weights[name] * source.values for name, source in sources.items()))


def candidate_interests(profile: InterestProfile, vocabulary: Vocabulary) -> list[VocabularyNode]:
    """The interests of the vocabulary that can be predicted, in its order.

    Left out are those the person has shown, also where they faded, ended or were removed or merged; those
    below one that is removed or ended; and places for facts, such as Brand.
    """
    shown = {one.id for one in profile.interests} | {one.id for one in profile.suppressed}
    shown |= {edit.interest for edit in profile.edits if isinstance(edit, (Merge, Remove))}
    for one in profile.interests:
        known = vocabulary_id(one.id, one.label, vocabulary)
        shown |= {known} if known is not None else set()
    barred = {one.id for one in profile.suppressed if one.reason in ("removed", "ended")}
    barred |= {one.id for one in profile.interests if one.ended is not None}
    return [
        node
        for node in vocabulary
        if node.id not in shown
        and node.attribute is None
        and barred.isdisjoint(vocabulary.ancestors(node.id))
    ]


def neighbourhood_scores(
    own: Sequence[OwnInterest], candidates: Sequence[VocabularyNode], neighbourhood: Neighbourhood
) -> SourceScores:
    """Score candidates by the sum of their closeness to each own interest times its balance.

    Disliked interests have a balance below zero and push away. See `Neighbourhood.closeness`.
    """
    near = neighbourhood.closeness(own)[[neighbourhood.places[node.id] for node in candidates]]
    carried = near * np.array([one.balance for one in own])
    return _scaled(carried.sum(axis=1), carried)


@dataclass(frozen=True)
class OtherPeople:
    """What other people like and dislike, as numbers."""

    user_ids: tuple[str, ...]
    balances: Values
    """One row a person, one column an interest of the vocabulary, in its order; 0 for what was not shown."""

    @classmethod
    def of(cls, people: Iterable[InterestProfile], vocabulary: Vocabulary) -> OtherPeople:
        """Read the profiles; interests that the vocabulary does not know are left out."""
        places = {node.id: place for place, node in enumerate(vocabulary)}
        user_ids, rows = [], []
        for profile in people:
            row = np.zeros(len(places))
            for one in profile.interests:
                known = vocabulary_id(one.id, one.label, vocabulary)
                if known is not None:
                    row[places[known]] = one.balance
            user_ids.append(profile.user_id)
            rows.append(row)
        return cls(tuple(user_ids), np.stack(rows) if rows else np.zeros((0, len(places))))


def people_scores(
    user_id: str,
    own: Sequence[OwnInterest],
    candidates: Sequence[VocabularyNode],
    people: OtherPeople,
    neighbourhood: Neighbourhood,
) -> SourceScores:
    """Score candidates by how many people with like interests hold them, and how like they are.

    The user-based nearest neighbours of Herlocker et al. 1999 ("An algorithmic framework for performing
    collaborative filtering") over interests in place of items: the cosine of two people's balances is how
    alike they are, the most alike count, and a candidate gets the sum of their likenesses where they like
    it, divided by the number of all people who do to the power `POPULARITY_DISCOUNT`. What fewer than two
    others hold counts nothing; the person's own profile is left out.
    """
    rows = [row for row, other in enumerate(people.user_ids) if other != user_id]
    others = people.balances[rows]
    mine = np.zeros(others.shape[1])
    for one in own:
        if one.node_id is not None:
            mine[neighbourhood.places[one.node_id]] = one.balance
    mine = _unit(mine[None])[0]
    likeness = _unit(others) @ mine
    nearest = np.argsort(-likeness, kind="stable")[:MOST_SIMILAR_PEOPLE]
    nearest = nearest[likeness[nearest] > 0]
    columns = [neighbourhood.places[node.id] for node in candidates]
    holders = (others > 0).sum(axis=0)[columns]
    holds = (others[nearest] > 0)[:, columns]
    counts = np.where(holders >= LEAST_PEOPLE, holds.sum(axis=0), 0)
    part = np.where(counts > 0, 1 / np.maximum(holders, 1) ** POPULARITY_DISCOUNT, 0.0)
    # What makes a person alike are the interests both hold.
    shared = _unit(others[nearest]) * mine
    by_own = np.zeros((len(own), len(nearest)))
    for row, one in enumerate(own):
        if one.node_id is not None:
            by_own[row] = shared[:, neighbourhood.places[one.node_id]]
    return _scaled(likeness[nearest] @ holds * part, (by_own @ holds * part).T, counts)


def model_scores(
    own: Sequence[OwnInterest],
    candidates: Sequence[VocabularyNode],
    asked: Sequence[int],
    tools: ExtractionTools,
) -> tuple[SourceScores, dict[str, str]]:
    """Score the candidates at the places `asked` by the model; the others get 0.

    The log-likelihood ratio of the label after the person's heaviest interests against the same prompt with
    none, per square root of its tokens, in standard deviations from the mean of those asked, halved and cut
    to -1 to 1. Returns the scores and the fingerprints of the templates. Raises what the model raises.
    """
    liked = [one for one in own if one.balance > 0 and one.narrow][:SHOWN_TO_MODEL]
    values = np.zeros(len(candidates))
    carried = np.zeros((len(candidates), len(own)))
    if not liked or not asked:
        return SourceScores(values, carried), {}
    # The heaviest come last, next to what is asked for.
    given = tools.library.render(
        "interests/next", tools.language, interests=[one.label for one in reversed(liked)]
    )
    neutral = tools.library.render("interests/next", tools.language, interests=[])
    texts = [_continuation(candidates[at], tools.language) for at in asked]
    with naming_prompt(given.fingerprint):
        after = tools.model.score(given.text, texts)
        before = tools.priors.model.score(neutral.text, texts)
    ratios = np.array(
        [(a.logprob - b.logprob) / math.sqrt(max(a.tokens, 1)) for a, b in zip(after, before, strict=True)]
    )
    spread = float(ratios.std())
    if spread > 1e-9:
        values[list(asked)] = np.clip((ratios - ratios.mean()) / (2 * spread), -1.0, 1.0)
    for at, one in enumerate(own):
        if one in liked:
            carried[:, at] = np.maximum(values, 0.0) / len(liked)
    return SourceScores(values, carried), {f"{given.name}.{given.language}": given.fingerprint}


def _continuation(node: VocabularyNode, language: str) -> str:
    label = node.label(language)
    return label if language == "zh" else f" {label.lower()}"


def _unit(rows: Values) -> Values:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0))


def _scaled(values: Values, carried: Values, people: npt.NDArray[np.int64] | None = None) -> SourceScores:
    most = float(np.abs(values).max(initial=0.0))
    scale = 1 / most if most > 1e-12 else 0.0
    return SourceScores(values * scale, carried * scale, people)


@dataclass(frozen=True)
class _Names:
    """What the numbers of the sources are about."""

    own: Sequence[OwnInterest]
    candidates: Sequence[VocabularyNode]
    vocabulary: Vocabulary
    language: str


def _predicted(
    at: int, names: _Names, sources: Mapping[PredictionSource, SourceScores], weights: SourceWeights
) -> PredictedInterest:
    added = {name: weights[name] * float(source.values[at]) for name, source in sources.items()}
    amounts = np.asarray(sum(weights[name] * source.carried[at] for name, source in sources.items()))
    own, vocabulary, node = names.own, names.vocabulary, names.candidates[at]
    order = sorted(range(len(own)), key=lambda i: (-round(float(amounts[i]), 9), own[i].id))
    people = sources["people"].people
    return PredictedInterest(
        id=node.id,
        path=tuple(vocabulary[n].label(names.language) for n in vocabulary.ancestors(node.id)),
        score=sum(added.values()),
        sources={name: amount for name, amount in added.items() if amount},
        inferred_from=tuple(own[i].id for i in order[:MOST_INFERRED_FROM] if amounts[i] > 0),
        similar_people=int(people[at]) if people is not None else 0,
    )
