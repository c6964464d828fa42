"""The anchored strategy: interests are chosen from a vocabulary, by words, metadata and likelihood ratio.

A small model cannot write a hierarchy, but it can say which label fits a text better than it fits no text at
all. Names in the text and the catalogue's own categories propose; the likelihood ratio raises or lowers the
proposals; where nothing is proposed the model chooses among the labels on offer, and abstains unless sure.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llmrec.behavior.events import HistoryEntry
from llmrec.interests.extraction import EventLabel, Extraction, ExtractionTools, PathStep
from llmrec.interests.subjects import Subject, entry_subjects
from llmrec.interests.taxonomy import Vocabulary, VocabularyNode
from llmrec.llm.base import LanguageModel
from llmrec.llm.cache import naming_prompt

# Evidence in nats, weighed against ABSTAIN: a category of the item's own, a name in a title, in a
# description, in the person's own words.
CATEGORY = 6.0
PART_OF_CATEGORY = 4.0
TITLE = 3.6
DESCRIPTION = 2.0
OWN_WORDS = 4.5
ANOTHER_PLACE = 0.5
ABSTAIN = 3.0
# A small model's ratio is noisy: it may tip a balance and not overturn what the catalogue says.
RATIO_SCALE = 0.35
RATIO_LIMIT = 4.0
PRIOR_EXPONENT = 0.6
ACCEPT = 0.35
# The model alone, with no name and no category to lean on, is believed only when one label stands out, and
# then as an even bet at most.
MODEL_ALONE = 0.6
MODEL_ALONE_SHARE = 0.5
ROOT_MARGIN = 0.8
MAX_ROOTS = 3
SLUG = re.compile(r"[\W_]+", re.UNICODE)


def label_history(
    entries: Sequence[HistoryEntry], vocabulary: Vocabulary, tools: ExtractionTools, *, model_budget: int
) -> Extraction:
    """Label every event of a history.

    Each distinct item or sentence is read once. The model is asked about the `model_budget` subjects that
    weigh most; the rest are labelled by names and categories alone, and a note says how many.
    """
    subjects = [entry_subjects(entry) for entry in entries]
    weights: dict[str, float] = defaultdict(float)
    by_key: dict[str, Subject] = {}
    for entry, found in zip(entries, subjects, strict=True):
        for subject in found:
            weights[subject.key] += abs(entry.weight)
            by_key[subject.key] = subject
    ordered = sorted(by_key, key=lambda key: -weights[key])
    judge = Judge(tools, vocabulary)
    with_model = Offer(vocabulary, tools.language, judge)
    without_model = Offer(vocabulary, tools.language)
    labels: dict[str, list[EventLabel]] = {}
    for number, key in enumerate(ordered):
        labels[key] = label_subject(by_key[key], with_model if number < model_budget else without_model)
        tools.progress(number + 1, len(ordered))
    notes = []
    if len(ordered) > model_budget:
        notes.append(
            f"the model read the {model_budget} items and sentences that weigh most; "
            f"{len(ordered) - model_budget} were labelled by their names and categories alone"
        )
    per_event = [
        [
            EventLabel(label.path, label.share, subject.negative, label.proposed)
            for subject in found
            for label in labels[subject.key]
        ]
        for found in subjects
    ]
    return Extraction(per_event, "anchored", notes, dict(judge.prompts))


@dataclass
class Reading:
    """How strongly a subject's words and metadata speak for interests, in nats by id."""

    evidence: dict[str, float]
    roots: dict[str, float]
    """The areas it may belong to, with the probability of each."""


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
        evidence={n: nats for n, nats in evidence.items() if vocabulary.root(n) in kept},
        roots={root: totals[root] / mass for root in kept} if mass else {},
    )


@dataclass(frozen=True)
class Offer:
    """The labels on offer, and the model that judges them, where one is asked."""

    vocabulary: Vocabulary
    language: str
    judge: Judge | None = None

    def path(self, node_id: str) -> tuple[PathStep, ...]:
        """The steps from the top down to an interest."""
        ancestors = self.vocabulary.ancestors(node_id)
        return tuple(PathStep(n, self.vocabulary[n].label(self.language)) for n in ancestors)


def label_subject(subject: Subject, offer: Offer) -> list[EventLabel]:
    """Choose the interests a subject shows; none when nothing fits. Without a judge, by words alone."""
    reading = read_subject(subject, offer.vocabulary)
    labels: list[EventLabel] = []
    for root, probability in reading.roots.items():
        labels += _label_in_area(subject, offer, root, probability, reading.evidence)
    if not reading.roots and offer.judge is not None:
        chosen = offer.judge.stands_out(subject, offer.vocabulary.children(), ())
        if chosen is not None:
            labels += _label_in_area(subject, offer, chosen, MODEL_ALONE_SHARE, {})
    return labels


def _label_in_area(
    subject: Subject, offer: Offer, root: str, probability: float, evidence: Mapping[str, float]
) -> list[EventLabel]:
    vocabulary = offer.vocabulary
    proposed = [n for n in evidence if vocabulary.root(n) == root and n != root]
    in_doubt = any(abs(evidence[n] - ABSTAIN) <= RATIO_SCALE * RATIO_LIMIT + 1 for n in proposed)
    ratios = offer.judge.ratios(subject, proposed, root) if offer.judge and in_doubt else {}
    accepted: dict[str, float] = {}
    for node_id in proposed:
        ratio = max(-RATIO_LIMIT, min(RATIO_LIMIT, ratios.get(node_id, 0.0)))
        share = 1 / (1 + math.exp(ABSTAIN - evidence[node_id] - RATIO_SCALE * ratio))
        if share >= ACCEPT:
            accepted[node_id] = share
    broader = {above for node_id in accepted for above in vocabulary.ancestors(node_id)[:-1]}
    deepest = {node_id: share for node_id, share in accepted.items() if node_id not in broader}
    labels = []
    for node_id, share in (deepest or {root: 1.0}).items():
        labels.append(EventLabel(offer.path(node_id), share * probability))
        below = [node for node in vocabulary.children(node_id) if node.attribute is None]
        if offer.judge is not None and below and vocabulary[node_id].attribute is None:
            chosen = offer.judge.stands_out(subject, below, vocabulary.ancestors(node_id))
            if chosen is not None:
                labels.append(EventLabel(offer.path(chosen), share * probability * MODEL_ALONE_SHARE))
    return labels + _attribute_labels(subject, offer, root, probability)


def _attribute_labels(subject: Subject, offer: Offer, root: str, probability: float) -> list[EventLabel]:
    """Labels from facts of the item, such as its brand, under the vocabulary's place for such facts."""
    attributes = dict(subject.attributes)
    labels = []
    for place in offer.vocabulary.children(root):
        value = attributes.get(place.attribute or "")
        if not value:
            continue
        known = next(
            (n for n in offer.vocabulary.named(value) if offer.vocabulary[n].parent == place.id), None
        )
        if known is not None:
            labels.append(EventLabel(offer.path(known), probability))
        else:
            step = PathStep(f"{place.id}/{slug(value)}", value)
            labels.append(EventLabel((*offer.path(place.id), step), probability, proposed=True))
    return labels


def slug(text: str) -> str:
    """A text as the last part of an id: folded, with hyphens for all that is no letter or digit.

    C, C++ and C# stay apart.
    """
    spelt = text.casefold().replace("+", "plus").replace("#", "sharp")
    return SLUG.sub("-", spelt).strip("-") or "other"


class Judge:
    """Asks the model how much better labels fit a subject than they fit nothing."""

    def __init__(self, tools: ExtractionTools, vocabulary: Vocabulary) -> None:
        self._tools = tools
        self._vocabulary = vocabulary
        self._neutral: dict[tuple[str, ...], dict[str, float]] = {}
        self.language = tools.language
        self.prompts: dict[str, str] = {}

    def ratios(self, subject: Subject, node_ids: Sequence[str], root: str) -> dict[str, float]:
        """The log-likelihood ratio of each label, per square root of its tokens, in nats."""
        return (
            self._ratios(subject, [self._vocabulary[n] for n in node_ids], (root,), 1.0) if node_ids else {}
        )

    def stands_out(
        self, subject: Subject, nodes: Sequence[VocabularyNode], above: Sequence[str]
    ) -> str | None:
        """The one of several labels that the model prefers clearly, or None; one alone cannot stand out."""
        if len(nodes) < 2:
            return None
        preference = self._ratios(subject, nodes, tuple(above), PRIOR_EXPONENT)
        peak = max(preference.values())
        masses = {node_id: math.exp(nats - peak) for node_id, nats in preference.items()}
        best = max(masses, key=lambda node_id: (masses[node_id], node_id))
        if masses[best] / sum(masses.values()) < MODEL_ALONE:
            return None
        return best

    def _ratios(
        self, subject: Subject, nodes: Sequence[VocabularyNode], above: tuple[str, ...], prior_exponent: float
    ) -> dict[str, float]:
        keywords = [self._text(self._vocabulary[node_id]).strip() for node_id in above]
        given = self._score(
            nodes, keywords, title=subject.title, description=subject.description, model=self._tools.model
        )
        key = (*above, "", *(node.id for node in nodes))
        if key not in self._neutral:
            neutral = self._score(nodes, keywords, title="", description="", model=self._tools.priors.model)
            self._neutral[key] = {node_id: logprob for node_id, (logprob, _) in neutral.items()}
        return {
            node_id: (logprob - prior_exponent * self._neutral[key][node_id]) / math.sqrt(max(tokens, 1))
            for node_id, (logprob, tokens) in given.items()
        }

    def _score(
        self,
        nodes: Sequence[VocabularyNode],
        keywords: list[str],
        *,
        title: str,
        description: str,
        model: LanguageModel,
    ) -> dict[str, tuple[float, int]]:
        prompt = self._tools.library.render(
            "interests/label", self.language, title=title, description=description, keywords=keywords
        )
        self.prompts[f"{prompt.name}.{prompt.language}"] = prompt.fingerprint
        with naming_prompt(prompt.fingerprint):
            scores = model.score(prompt.text, [self._text(node) for node in nodes])
        return {node.id: (score.logprob, score.tokens) for node, score in zip(nodes, scores, strict=True)}

    def _text(self, node: VocabularyNode) -> str:
        label = node.label(self.language)
        return label if self.language == "zh" else f" {label.lower()}"
