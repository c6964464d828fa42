"""Which items of a catalogue are worth ranking: the union of what every index proposes."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np
import numpy.typing as npt

from llmrec.behavior.events import Item
from llmrec.candidates.union import best_places, union
from llmrec.errors import InputError
from llmrec.interests.extraction import StageProgress
from llmrec.interests.profile import InterestProfile
from llmrec.ranking.context import Basis
from llmrec.ranking.liked import liked_events, liked_items
from llmrec.ranking.signals import SignalSources, interest_amount
from llmrec.ranking.words import match_events, match_interests

PROGRESS_EVERY = 500


def check_count(k: object, things: str = "item") -> None:
    """Raise InputError for how many are wanted where that is no whole number from 1 up."""
    if not isinstance(k, (int, np.integer)) or isinstance(k, bool):
        raise InputError(f"k is {k!r}: give a whole number, and ask for at least one {things}")
    if k < 1:
        raise InputError(f"k is {k}: ask for at least one {things}")


def choose_candidates(
    sources: SignalSources,
    profile: InterestProfile,
    basis: Basis,
    *,
    allowed: Sequence[int],
    excluded: AbstractSet[str],
    most: int,
    progress: StageProgress,
) -> list[Item]:
    """Take the best of each source in turns, until there are `most`; then the catalogue's own order.

    The sources are words, interests, meaning, and what other people chose beside the same items and most of
    all. `allowed` are places in the catalogue; items of the `excluded` ids are left out.
    """
    items = sources.catalog.items_in_order
    places = [at for at in allowed if items[at].id not in excluded]
    sources.matcher.prepare([items[at] for at in places], progress)
    left_out = set(range(len(items))).difference(places)
    proposals: dict[str, list[int]] = {}

    def propose(name: str, scores: npt.NDArray[np.floating[Any]]) -> None:
        proposals[name] = best_places(scores, most, left_out)

    match = match_interests if basis == "profile" else match_events
    propose("words", match(profile, sources.index).totals)
    amounts = np.zeros(len(items))
    for number, at in enumerate(places, start=1):
        amounts[at] = interest_amount(sources.matcher, profile, items[at])
        if number % PROGRESS_EVERY == 0:
            progress(number, len(places))
    propose("interests", amounts)
    liked = liked_events(profile)
    if basis != "profile" and liked and sources.embeddings is not None and sources.speaks(profile.language):
        texts, weights = [one.text for one in liked], [one.weight for one in liked]
        propose("embedding", sources.embeddings.scores(texts, weights))
    if basis != "profile" and sources.log is not None:
        for name, scores in sources.log.scores(liked_items(liked)).items():
            propose(name, scores)
    chosen = union(proposals, most)
    taken = set(chosen)
    chosen += [at for at in places if at not in taken][: most - len(chosen)]
    return [items[at] for at in chosen]
