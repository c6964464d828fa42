"""First words: which question to ask a person next, and when to stop.

The question is the one whose answer would change the order of the catalogue most, in expectation.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from llmrec.interests.neighbourhood import Neighbourhood, own_interests
from llmrec.interests.numbers import fading_of
from llmrec.interests.profile import InterestProfile
from llmrec.interests.taxonomy import Vocabulary
from llmrec.prompting.templates import PromptLibrary
from llmrec.ranking.catalog_interests import CatalogInterests
from llmrec.ranking.interview import Question, make_question

Values = npt.NDArray[np.float64]

# Below it an answer would turn or decide the order of fewer than one in fifty pairs of items.
LEAST_CHANGE = 0.02
# An interest shown less surely than this is known weakly, and may be asked about.
WEAK_CONFIDENCE = 0.5
# How likely people say yes where they have an opinion: learned on the tuning half of
# `benchmarks/interview.py`; see `answer_chances`.
YES_AT_ALL, YES_BY_SHARE, YES_BY_NEIGHBOURHOOD = 1.5, 0.35, 1.5
NO_OPINION_BY_SHARE = 1.8


def next_question(
    profile: InterestProfile,
    catalog: CatalogInterests,
    *,
    vocabulary: Vocabulary,
    library: PromptLibrary,
    asked: Collection[str] = (),
    language: str | None = None,
    neighbourhood: Neighbourhood | None = None,
) -> Question | None:
    """Choose the question whose answer would change the order of the catalogue most, in expectation.

    Candidates are those of `open_questions`; what each would change, `expected_changes`; among equals the
    first in the vocabulary is taken. `asked` are ids of questions. `language` is that of the profile where
    absent; `neighbourhood` that of the vocabulary, where one was laid out before.

    Returns None when the best question is expected to change less than `LEAST_CHANGE`, or none is left:
    questions no longer pay.
    """
    columns = open_questions(profile, catalog, vocabulary, asked)
    if not columns:
        return None
    changes = expected_changes(profile, catalog, columns, neighbourhood or Neighbourhood(vocabulary))
    best = int(np.argmax(np.round(changes, 9)))
    if changes[best] < LEAST_CHANGE:
        return None
    return make_question(
        catalog.ids[columns[best]],
        catalog,
        vocabulary=vocabulary,
        library=library,
        language=language or profile.language,
        expected_change=float(changes[best]),
        known={one.id for one in profile.interests},
    )


def expected_changes(
    profile: InterestProfile, catalog: CatalogInterests, columns: Sequence[int], neighbourhood: Neighbourhood
) -> Values:
    """How much the answer about each interest is expected to change the ranking by interests, 0 to 1.

    That is P(yes) d(now, after yes) + P(no) d(now, after no), with the chances of `answer_chances`. d is
    Kendall's distance between two rankings with ties (Fagin et al. 2004, "Comparing and aggregating rankings
    with ties", with the penalty 1/2): the part of the pairs of items whose order turns, half where a tie is
    made or broken. It is taken over the pairs of `catalog.pairs`, each item belonging to an interest or not.
    A yes adds the weight that one more sentence gets to the interest and all above it, a no takes it from the
    interest, and all other weights shrink.
    """
    differences = catalog.pair_differences
    weights = np.array([_balance(profile, interest_id) for interest_id in catalog.ids], dtype=np.float32)
    before = differences @ weights
    part = np.float32(_part_of_next(profile))
    narrow = differences[:, list(columns)]
    whole = np.stack([differences[:, catalog.way(column)].sum(axis=1) for column in columns], axis=1)
    yes, no = answer_chances(profile, catalog, columns, neighbourhood)
    kept = ((1 - part) * before)[:, None]
    after_yes = _distance(before, kept + part * whole)
    after_no = _distance(before, kept - part * narrow)
    return np.asarray(yes * after_yes + no * after_no)


def answer_chances(
    profile: InterestProfile, catalog: CatalogInterests, columns: Sequence[int], neighbourhood: Neighbourhood
) -> tuple[Values, Values]:
    """How likely a person says yes to each interest, and how likely no; the rest has no opinion.

    With f the part of the items that belong to it, 1.8 f (1 - f) have no opinion: there is less to say as a
    whole about what half of all things are. Of the others 1.5 f ** 0.35 say yes, at most 0.95; these odds are
    multiplied by exp(1.5 n), n being how near the interest lies to what the person likes less what they
    dislike, -1 to 1 (`Neighbourhood.closeness`).
    """
    shares = catalog.item_shares[list(columns)]
    chance = np.clip(YES_AT_ALL * shares**YES_BY_SHARE, 0.01, 0.95)
    own = own_interests(profile, neighbourhood.vocabulary)
    if own:
        near = neighbourhood.closeness(own) @ np.array([one.balance for one in own])
        near = near / max(float(np.abs(near).max()), 1e-12)
        places = [neighbourhood.places[catalog.ids[column]] for column in columns]
        odds = chance / (1 - chance) * np.exp(YES_BY_NEIGHBOURHOOD * near[places])
        chance = odds / (1 + odds)
    decided = 1 - NO_OPINION_BY_SHARE * shares * (1 - shares)
    return np.asarray(decided * chance), np.asarray(decided * (1 - chance))


def open_questions(
    profile: InterestProfile, catalog: CatalogInterests, vocabulary: Vocabulary, asked: Collection[str] = ()
) -> list[int]:
    """The columns of the interests that may be asked about.

    They are those that the person has not shown, or with a confidence below 0.5 only, less those of `asked`
    (ids of questions) and those below one that was turned away or removed. A narrower interest stands among
    the answers about the broader one, so it is asked about itself only after that one is settled: asked,
    shown, or shared by all items.
    """
    known = {
        one.id
        for one in profile.interests
        if one.confidence >= WEAK_CONFIDENCE or one.polarity == "negative" or one.pinned
    }
    barred = {one.id for one in profile.interests if one.polarity == "negative"}
    barred |= {one.id for one in profile.suppressed if one.reason in ("removed", "ended")}
    shared = {i for i, part in zip(catalog.ids, catalog.item_shares, strict=True) if part >= 1}
    settled = known | set(asked) | shared
    unsettled = set(catalog.ids) - settled
    return [
        column
        for column, interest_id in enumerate(catalog.ids)
        if interest_id in unsettled
        and barred.isdisjoint(vocabulary.ancestors(interest_id))
        and unsettled.isdisjoint(vocabulary.ancestors(interest_id)[:-1])
    ]


def _balance(profile: InterestProfile, interest_id: str) -> float:
    return profile.hierarchy[interest_id].balance if interest_id in profile.hierarchy else 0.0


def _part_of_next(profile: InterestProfile) -> float:
    """What one more sentence, said now, would make of all that the person did: 1 for the first."""
    fading = fading_of(profile.entries, profile.numbers)
    share = profile.numbers.short_term_share
    short = fading.short_total * 0.5 ** (1 / profile.numbers.short_half_life_events)
    return float(share / (1 + short) + (1 - share) / (1 + fading.long_total))


def _distance(before: npt.NDArray[np.float32], after: npt.NDArray[np.float32]) -> Values:
    """Kendall's distance of the pairs' order before from that of each column after."""
    first = np.sign(np.round(before, 6))[:, None]
    second = np.sign(np.round(after, 6))
    return np.asarray(np.abs(first - second).mean(axis=0) / 2, dtype=np.float64)
