"""From scores to a list: filters first, then place by place what is best beside what stands there already."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from llmrec.behavior.events import Item
from llmrec.errors import InputError
from llmrec.interests.profile import InterestProfile
from llmrec.ranking.reorder.calibration import divergence, interest_distribution, item_distributions
from llmrec.ranking.reorder.filters import field_values, passing
from llmrec.ranking.reorder.membership import Belongs, InterestMembership
from llmrec.ranking.reorder.novelty import self_information, unlikeness
from llmrec.ranking.reorder.similarity import Similarity, SimilarityMatrix, word_similarity
from llmrec.ranking.reorder.types import KeptOut, Placement, Reordered, Reordering

Numbers = npt.NDArray[np.float64]

DECIMALS = 9
"""Values of places that differ by less are equal: rounding must not decide between items."""
ROUNDING = 1e-9
"""Scores whose range is a smaller part of the largest one do not tell the items apart."""


def reorder(
    items: Sequence[Item],
    scores: Sequence[float],
    options: Reordering,
    *,
    profile: InterestProfile | None = None,
    similarity: Similarity | None = None,
    belongs: Belongs | None = None,
    popularity: Mapping[str, float] | None = None,
    k: int,
) -> Reordered:
    """Make a list of k items that weighs diversity, calibration and novelty beside relevance.

    Items that fail a filter go first. Then each place goes to the item, of those no cap keeps out, with the
    largest

        relevance * s - diversity * max similarity to the items above
            + calibration * (KL before - KL after) + novelty * n,

    s and n being score and novelty, brought to 0..1 among the items that passed, KL the divergence of the
    list from the profile's proportions. With one weight above 0 that is Maximal Marginal Relevance
    (Carbonell and Goldstein 1998) or Steck's greedy calibration (2018). Equal items stand by score, then by
    id; with no weights the order is that of the scores. Greedy also is what fills the places under caps: of
    several caps it may leave a place empty that another choice would have filled, and of items of several
    interests each it may, rarely, make a list farther from the proportions than the order by score is.

    `similarity` is that of words where absent; `belongs` tells how surely an item belongs to each interest
    of the profile, by id; `popularity` how many people chose each item. Diversity takes memory and time by
    the square of the items: it is made for a few thousand.
    Raises InputError for scores that are not finite or not one an item, a k below 1, calibration or a filter
    by interest without profile and `belongs`, and whatever of the arguments gives unusable numbers.
    """
    _check(items, scores, k)
    membership = InterestMembership(profile, belongs) if profile is not None and belongs is not None else None
    passed, notes = passing(items, options.filters, membership=membership)
    places = sorted(passed, key=lambda at: (-scores[at], items[at].id))
    kept = [items[at] for at in places]
    history = _history(profile)
    if similarity is None and kept and (options.diversity or options.novelty):
        similarity = word_similarity([*kept, *history])
    relevance = options.relevance * unit_range([scores[at] for at in places])
    novelty = np.zeros(len(kept))
    if options.novelty and kept:
        found, note = _novelty(kept, history, popularity, similarity)
        novelty = options.novelty * unit_range(found)
        notes.append(note)
    likeness = None
    if options.diversity and similarity is not None and kept:
        likeness = options.diversity * _matrix(similarity, kept)
    proportions = None
    if options.calibration:
        if membership is None:
            raise InputError(
                "calibration needs a profile and the interests of each item: set it to 0 without"
            )
        proportions = _Proportions.of(kept, membership, options)
        if proportions is None:
            notes.append("calibration did nothing: the profile has no positive interests")
    caps = _Caps(kept, options.caps)
    chosen, placements = _choose(kept, relevance, novelty, likeness, proportions, caps, k)
    listed = set(chosen)
    kept_out = [
        KeptOut(item_id=kept[at].id, from_rank=at + 1, cap=caps.reasons[at][0], value=caps.reasons[at][1])
        for at in sorted(caps.reasons)
        if at < k and at not in listed
    ]
    notes += caps.notes(kept_out, min(k, len(kept)) - len(chosen))
    return Reordered(
        order=tuple(places[at] for at in chosen),
        rest=tuple(place for at, place in enumerate(places) if at not in listed),
        placements=tuple(placements),
        kept_out=tuple(kept_out),
        notes=tuple(notes),
    )


def unit_range(values: Sequence[float] | Numbers) -> Numbers:
    """The values from 0 for the lowest to 1 for the highest one; all 0 where only rounding differs."""
    # Halved, no difference of two numbers runs over what one can hold.
    halves = np.asarray(values, dtype=np.float64) / 2
    spread = np.ptp(halves) if len(halves) else 0.0
    if spread <= ROUNDING * np.abs(halves).max(initial=0.0):
        return np.zeros_like(halves)
    return np.asarray((halves - halves.min()) / spread, dtype=np.float64)


class _Proportions:
    """The profile's proportions of interests, and how near a list is to them as it grows."""

    def __init__(self, wanted: Numbers, of_items: Numbers, weight: float) -> None:
        self._wanted, self._of_items, self._weight = wanted, of_items, weight
        self._sum = np.zeros(len(wanted))
        self._count = 0
        self._now = float(divergence(wanted, self._sum))

    @classmethod
    def of(
        cls, items: Sequence[Item], membership: InterestMembership, options: Reordering
    ) -> _Proportions | None:
        """None where the profile has no interests to be near to."""
        level = options.calibration_level
        wanted = interest_distribution(membership.hierarchy, level)
        if not wanted:
            return None
        of_items = item_distributions(items, membership, level, list(wanted))
        return cls(np.array(list(wanted.values())), of_items, options.calibration)

    def gains(self) -> Numbers:
        """How much nearer each item would bring the list, times the weight."""
        after = divergence(self._wanted, (self._sum + self._of_items) / (self._count + 1))
        return np.asarray(self._weight * (self._now - after), dtype=np.float64)

    def add(self, at: int) -> None:
        """Put an item on the list."""
        self._sum += self._of_items[at]
        self._count += 1
        self._now = float(divergence(self._wanted, self._sum / self._count))


class _Caps:
    """The most of each value that a list may have, and which items they keep out as it grows."""

    def __init__(self, items: Sequence[Item], most: Mapping[str, int]) -> None:
        self._most = most
        self._values = {name: [field_values(item, name) for item in items] for name in most}
        if "language" in most:
            # A language is there with and without its region: the shorter one bounds both.
            self._values["language"] = [values[-1:] for values in self._values["language"]]
        self._having: dict[tuple[str, str], list[int]] = {}
        for name, by_item in self._values.items():
            for at, values in enumerate(by_item):
                for value in values:
                    self._having.setdefault((name, value), []).append(at)
        self._counts: Counter[tuple[str, str]] = Counter()
        self.open = np.ones(len(items), dtype=bool)
        """Whether each item may still be put on the list."""
        self.reasons: dict[int, tuple[str, str]] = {}
        """The name and the value of the cap that keeps an item out, by place."""

    def add(self, at: int) -> None:
        """Put an item on the list."""
        self.open[at] = False
        for name, by_item in self._values.items():
            for value in by_item[at]:
                self._counts[name, value] += 1
                if self._counts[name, value] == self._most[name]:
                    for other in self._having[name, value]:
                        if self.open[other]:
                            self.open[other] = False
                            self.reasons[other] = name, value

    def notes(self, kept_out: Sequence[KeptOut], empty: int) -> list[str]:
        """What the caps did."""
        notes = []
        for name, most in self._most.items():
            count = sum(1 for one in kept_out if one.cap == name)
            if not any(self._values[name]):
                notes.append(f"the cap on {name} did nothing: no item has a {name}")
            elif count:
                told = "1 item that its" if count == 1 else f"{count} items that their"
                score = "score" if count == 1 else "scores"
                notes.append(f"the cap of {most} on each {name} kept out {told} {score} would list")
        if empty > 0:
            names = " and ".join(
                name for name in self._most if any(c == name for c, _ in self.reasons.values())
            )
            notes.append(f"the cap on {names} left {empty} place{'s' if empty > 1 else ''} empty")
        return notes


def _choose(
    items: Sequence[Item],
    relevance: Numbers,
    novelty: Numbers,
    likeness: SimilarityMatrix | None,
    proportions: _Proportions | None,
    caps: _Caps,
    k: int,
) -> tuple[list[int], list[Placement]]:
    """The places of the items of the list, of items that stand by score, and the account of each."""
    chosen: list[int] = []
    placements: list[Placement] = []
    fixed = relevance + novelty
    charge = np.zeros(len(items))
    gains = np.zeros(len(items))
    while len(chosen) < k and caps.open.any():
        if proportions is not None:
            gains = proportions.gains()
        # The first of equal ones is the one with the better score.
        at = int(np.argmax(np.where(caps.open, np.round(fixed - charge + gains, DECIMALS), -np.inf)))
        chosen.append(at)
        placements.append(
            Placement(
                item_id=items[at].id,
                from_rank=at + 1,
                to_rank=len(chosen),
                relevance=float(relevance[at]),
                diversity=float(0.0 - charge[at]),
                calibration=float(gains[at]),
                novelty=float(novelty[at]),
            )
        )
        caps.add(at)
        if proportions is not None:
            proportions.add(at)
        if likeness is not None:
            charge = np.maximum(charge, likeness[at])
    return chosen, placements


def _check(items: Sequence[Item], scores: Sequence[float], k: int) -> None:
    if len(items) != len(scores):
        raise InputError(f"there are {len(items)} items and {len(scores)} scores: give one score an item")
    for item, score in zip(items, scores, strict=True):
        if not math.isfinite(score):
            raise InputError(f"the score of the item {item.id!r} is {score}: give a finite number")
    if k < 1:
        raise InputError(f"k is {k}: ask for at least one item")


def _history(profile: InterestProfile | None) -> list[Item]:
    """The items a person touched, each once."""
    entries = profile.entries if profile is not None else ()
    return list({entry.item.id: entry.item for entry in entries if entry.item is not None}.values())


def _novelty(
    items: Sequence[Item],
    history: Sequence[Item],
    popularity: Mapping[str, float] | None,
    similarity: Similarity | None,
) -> tuple[Numbers, str]:
    """How novel each item is, and a note that says by what."""
    if popularity:
        return self_information(items, popularity), "novelty is that few people chose an item"
    if history and similarity is not None:
        found = unlikeness(items, history, similarity)
        _check_matrix(found[:, None], (len(items), 1))
        return found, "novelty is that an item is unlike the history: how many people chose it is not known"
    return np.zeros(len(items)), "novelty did nothing: neither a log nor a history with items is there"


def _matrix(similarity: Similarity, items: Sequence[Item]) -> SimilarityMatrix:
    matrix = np.asarray(similarity(items, items), dtype=np.float64)
    _check_matrix(matrix, (len(items), len(items)))
    return matrix


def _check_matrix(matrix: SimilarityMatrix, shape: tuple[int, int]) -> None:
    if matrix.shape != shape or not np.isfinite(matrix).all():
        raise InputError(
            f"the similarity gave numbers of the shape {matrix.shape} for {shape[0]} items, or some that are "
            "not finite: give one finite number for each pair of items"
        )
