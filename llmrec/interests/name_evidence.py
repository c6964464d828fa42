"""What an item's own words and metadata propose: the interests they name, with an amount of evidence."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from llmrec.interests.subjects import Subject
from llmrec.interests.taxonomy import Vocabulary

# Evidence in nats, weighed against ABSTAIN: a category of the item's own, a name in a title, in a
# description, in the person's own words.
CATEGORY = 6.0
PART_OF_CATEGORY = 4.0
TITLE = 3.6
DESCRIPTION = 2.0
OWN_WORDS = 4.5
ANOTHER_PLACE = 0.5
ROOT_MARGIN = 0.8
MAX_ROOTS = 3


@dataclass
class Reading:
    """How strongly a subject's words and metadata speak for interests, in nats by id."""

    evidence: dict[str, float]
    roots: dict[str, float]
    """The areas it may belong to, with the probability of each."""
    by_category: bool
    """Whether the item's own domain or categories were among what spoke."""


def read_subject(subject: Subject, vocabulary: Vocabulary) -> Reading:
    """Find what a subject's own words and metadata propose, within the areas they speak for."""
    places: dict[str, list[float]] = defaultdict(list)
    fixed: list[str] = []
    for kind in subject.kinds:
        named = vocabulary.named(kind)
        for node_id in named:
            places[node_id].append(CATEGORY)
        fixed += [node_id for node_id in named if vocabulary[node_id].parent is None]
        if not named:
            for mention in vocabulary.mentions(kind):
                places[mention.node_id].append(PART_OF_CATEGORY)
    by_category = bool(places)
    for text, nats in (
        (subject.title, OWN_WORDS if subject.is_text else TITLE),
        (subject.description, DESCRIPTION),
    ):
        for node_id in {mention.node_id for mention in vocabulary.mentions(text)}:
            places[node_id].append(nats)
    evidence = {node_id: max(found) + ANOTHER_PLACE * (len(found) - 1) for node_id, found in places.items()}
    totals: dict[str, float] = defaultdict(float)
    for node_id, nats in evidence.items():
        totals[vocabulary.root(node_id)] += nats
    if fixed:
        totals = {root: nats for root, nats in totals.items() if root in fixed}
    best = max(totals.values(), default=0.0)
    kept = sorted(
        (r for r, nats in totals.items() if nats >= ROOT_MARGIN * best), key=lambda r: (-totals[r], r)
    )
    kept = kept[:MAX_ROOTS]
    mass = sum(totals[root] for root in kept)
    return Reading(
        evidence=evidence,
        roots={root: totals[root] / mass for root in kept} if mass else {},
        by_category=by_category,
    )
