"""Choosing among labels of one level: similarity, names and the model's preferences as one distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from llmrec.interests.extraction import PathStep
from llmrec.interests.label_judge import LabelJudge
from llmrec.interests.similarity import FloatVector, LabelSimilarity
from llmrec.interests.subjects import Subject
from llmrec.interests.taxonomy import Vocabulary, VocabularyNode

# Weights of a log-linear opinion pool, learned on the tuning half of benchmarks/labelling.py. Similarity
# counts for more where the model was not asked.
SIMILARITY_NATS = 7.5
SIMILARITY_ALONE_NATS = 16.0
MODEL_NATS = 1.5
MODEL_ALONE_NATS = 1.0
NAME_NATS = 1.5
NONE_CLOSENESS = 0.2
"""The cosine that "none of these" is given: below it, the closest label was mostly wrong."""
MOST_JUDGED = 20
"""Of a longer list the model reads the labels that similarity and names put first."""


@dataclass(frozen=True)
class Offer:
    """The labels on offer, and what tells how well they fit, where there is something that does."""

    vocabulary: Vocabulary
    language: str
    judge: LabelJudge | None = None
    similarity: LabelSimilarity | None = None

    def path(self, node_id: str) -> tuple[PathStep, ...]:
        """The steps from the top down to an interest."""
        ancestors = self.vocabulary.ancestors(node_id)
        return tuple(PathStep(n, self.vocabulary[n].label(self.language)) for n in ancestors)

    def cosines(self, subject: Subject) -> FloatVector | None:
        """How close a subject is to each interest; None where nothing is known of it."""
        if self.similarity is None:
            return None
        (row,) = self.similarity.cosines([subject])
        return row if row.any() else None

    def closeness(self, nodes: Sequence[VocabularyNode], cosines: FloatVector | None) -> list[float] | None:
        """The cosines of some interests, out of a row of all."""
        if self.similarity is None or cosines is None:
            return None
        return [float(cosine) for cosine in cosines[self.similarity.columns(nodes)]]


def probabilities(
    closeness: Sequence[float] | None,
    preferences: Sequence[float] | None,
    names: Sequence[float] | None = None,
) -> list[float]:
    """How likely each of several labels is the one that fits.

    The softmax of w_s cosine + w_m preference + w_n names, a log-linear opinion pool (Genest & Zidek 1986,
    "Combining probability distributions"). `names` counts how many names of a label and of what is below it
    stand in the text. Sources that are None say nothing. With `closeness` there is one more option, "none of
    these", with a cosine of 0.2, the mean of the preferences and no name, so that the probabilities sum to
    less than 1; without it they sum to 1. Raises ValueError when all are None, or there is no label.
    """
    sources: list[list[float]] = []
    if closeness is not None:
        weight = SIMILARITY_ALONE_NATS if preferences is None else SIMILARITY_NATS
        sources.append([weight * cosine for cosine in (*closeness, NONE_CLOSENESS)])
    if preferences is not None:
        weight = MODEL_ALONE_NATS if closeness is None else MODEL_NATS
        whole = [weight * preference for preference in preferences]
        sources.append([*whole, sum(whole) / max(1, len(whole))])
    if names is not None:
        sources.append([*(NAME_NATS * count for count in names), 0.0])
    if not sources or len(sources[0]) < 2:
        raise ValueError("nothing speaks for any label")
    totals = [sum(parts) for parts in zip(*sources, strict=True)]
    options = totals if closeness is not None else totals[:-1]
    peak = max(options)
    mass = sum(math.exp(total - peak) for total in options)
    return [math.exp(total - peak) / mass for total in totals[:-1]]


def choose(
    subject: Subject,
    nodes: Sequence[VocabularyNode],
    above: Sequence[str],
    offer: Offer,
    cosines: FloatVector | None,
    names: Sequence[float] | None = None,
) -> dict[str, float]:
    """How likely each of several labels of one level fits a subject, by its id, those asked about first.

    Empty when nothing can tell. The model alone cannot tell of one label whether it fits.
    """
    if not nodes or (cosines is None and (offer.judge is None or len(nodes) < 2)):
        return {}
    closeness = offer.closeness(nodes, cosines)
    if offer.judge is None:
        return dict(zip((n.id for n in nodes), probabilities(closeness, None, names), strict=True))
    if closeness is not None and len(nodes) > MOST_JUDGED:
        first = probabilities(closeness, None, names)
        places = sorted(range(len(nodes)), key=lambda at: (-first[at], at))[:MOST_JUDGED]
        nodes = [nodes[at] for at in places]
        closeness = [closeness[at] for at in places]
        names = [names[at] for at in places] if names is not None else None
    preferences = offer.judge.preferences(subject, nodes, above)
    return dict(zip((n.id for n in nodes), probabilities(closeness, preferences, names), strict=True))
