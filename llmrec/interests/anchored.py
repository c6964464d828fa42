"""The anchored strategy: interests are chosen from a vocabulary, level by level, by all that can be known.

A small model cannot write a hierarchy, but it can say which label fits a text better than it fits no text at
all. Names in the text and the catalogue's own categories propose; similarity of static vectors and the
model's likelihood ratio raise or lower the proposals; where nothing is proposed they choose together among
the labels on offer, and abstain unless one stands out. Where no label fits, and as a narrower step below the
one that fits best, the items' own words are proposed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from llmrec.behavior.events import HistoryEntry, Item
from llmrec.interests.extraction import EventLabel, EventReading, Extraction, ExtractionTools, PathStep
from llmrec.interests.fact_labels import fact_labels
from llmrec.interests.label_choice import Offer, choose
from llmrec.interests.label_judge import LabelJudge
from llmrec.interests.name_evidence import MAX_ROOTS, Reading, read_subject
from llmrec.interests.own_words import OwnWords
from llmrec.interests.similarity import FloatVector, LabelSimilarity
from llmrec.interests.subjects import Subject, entry_subjects
from llmrec.interests.taxonomy import Vocabulary
from llmrec.interests.taxonomy import slug as slug

ABSTAIN = 3.0
"""The evidence in nats at which a named label is as likely as not."""
# A small model's ratio is noisy, and so is similarity: they may tip a balance, not overturn the catalogue.
RATIO_SCALE = 0.35
RATIO_LIMIT = 4.0
CLOSENESS_SCALE = 8.0
CLOSENESS_LIMIT = 1.0
ACCEPT = 0.35
AREA = 0.35
"""The probability from which an area is believed without a word of the catalogue."""
NARROWER = 0.5
"""The probability among its siblings from which a narrower label is believed where nothing is named."""
DEEPER = 0.8
"""The same below what is named already: a guess more adds little, and would stand beside facts."""
# The model alone is believed only when one label stands out, and then as an even bet.
MODEL_ALONE = 0.6
MODEL_ALONE_SHARE = 0.5
MIN_SHARE = 0.15
BEAM = 3
MOST_OWN_PHRASES = 5


def label_history(
    entries: Sequence[HistoryEntry],
    vocabulary: Vocabulary,
    tools: ExtractionTools,
    *,
    model_budget: int,
    known: Mapping[str, EventReading] = {},
    own_words: OwnWords | None = None,
    similarity: LabelSimilarity | None = None,
) -> Extraction:
    """Read every event of a history; events about the same item, or with the same words, share one reading.

    The model reads the `model_budget` items and sentences that weigh most (see `read_by_model`); the others
    are labelled without it, and a note says how many. `known` holds readings made before, by event id: one is
    taken over as it is when the model's part in it is what it would be now, so that the cost is that of the
    new events. `own_words` proposes labels from the items' own words. `similarity` compares with the
    vocabulary; where it is None and the tools have an embedder, it is made for this call. Raises what the
    model and the embedder raise.
    """
    keys = [_reading_key(entry) for entry in entries]
    chosen = read_by_model(entries, model_budget)
    made: dict[ReadingKey, EventReading] = {}
    for entry, key in zip(entries, keys, strict=True):
        before = known.get(entry.event.id)
        if before is not None and before.by_model == (key in chosen):
            made.setdefault(key, before)
    waiting = {key: entry for key, entry in zip(keys, entries, strict=True) if key not in made}
    if tools.embedder is None:
        similarity = None
    elif similarity is None:
        similarity = LabelSimilarity(vocabulary, tools.embedder)
    judge = LabelJudge(tools, vocabulary)
    with_model = Offer(vocabulary, tools.language, judge, similarity)
    without_model = Offer(vocabulary, tools.language, None, similarity)
    for number, (key, entry) in enumerate(waiting.items(), start=1):
        by_model = key in chosen
        labels = _entry_labels(entry, with_model if by_model else without_model, own_words)
        made[key] = EventReading(labels=tuple(labels), by_model=by_model)
        tools.progress(number, len(waiting))
    notes = []
    left = len({key for key in keys if key is not None} - chosen)
    if left:
        notes.append(
            f"the model read the {len(chosen)} items and sentences that weigh most; "
            f"{left} were labelled by their names and categories alone"
        )
    return Extraction([made[key] for key in keys], "anchored", notes, dict(judge.prompts))


ReadingKey = tuple[str, str] | None
"""What events must share to share a reading; None where there is nothing to read."""


def read_by_model(entries: Sequence[HistoryEntry], model_budget: int) -> set[ReadingKey]:
    """The keys of the items and sentences that the model is to read: a function of the whole history alone.

    They are those of the events with the largest |strength x decay|, the later first among equals (an event
    without a time counts as the earliest) and then the one with the smaller id, up to `model_budget` of them.
    """
    chosen: dict[ReadingKey, None] = {}
    for entry in sorted(entries, key=_precedence):
        if len(chosen) >= model_budget:
            break
        key = _reading_key(entry)
        if key is not None:
            chosen.setdefault(key)
    return set(chosen)


def _precedence(entry: HistoryEntry) -> tuple[float, float, str]:
    moment = entry.event.timestamp
    return -abs(entry.strength * entry.decay), -moment if moment is not None else math.inf, entry.event.id


def _reading_key(entry: HistoryEntry) -> ReadingKey:
    if entry.item is not None:
        return "item", entry.item.id
    text = (entry.event.text or "").strip()
    # What is said is read clause by clause, anything else as a whole.
    return ("say" if entry.event.action == "say" else "text", text) if text else None


def _entry_labels(entry: HistoryEntry, offer: Offer, own_words: OwnWords | None) -> list[EventLabel]:
    labels = [
        replace(label, negative=subject.negative)
        for subject in entry_subjects(entry)
        if subject.title
        for label in label_subject(subject, offer)
    ]
    if entry.item is not None and own_words is not None:
        labels += own_labels(entry.item, labels, offer.vocabulary, own_words)
    return labels


def label_subject(subject: Subject, offer: Offer, cosines: FloatVector | None = None) -> list[EventLabel]:
    """Choose the interests a subject shows; none when nothing fits.

    `cosines` is its row of `LabelSimilarity.cosines` where that is known already.
    """
    reading = read_subject(subject, offer.vocabulary)
    if cosines is None:
        cosines = offer.cosines(subject)
    elif not cosines.any():
        cosines = None
    labels: list[EventLabel] = []
    for root, probability in _areas(subject, offer, reading, cosines).items():
        labels += _label_in_area(subject, offer, root, probability, reading.evidence, cosines)
    return labels


def _areas(subject: Subject, offer: Offer, reading: Reading, cosines: FloatVector | None) -> dict[str, float]:
    """The areas a subject may belong to, with the probability of each."""
    told = reading.by_category or subject.is_text or cosines is None
    if reading.roots and told:
        return reading.roots
    roots = offer.vocabulary.children()
    named = [offer.vocabulary.root(node_id) for node_id in reading.evidence]
    names = [float(named.count(node.id)) for node in roots] if cosines is not None else None
    fitting = choose(subject, roots, (), offer, cosines, names)
    return dict(_believed(fitting, AREA, alone=cosines is None)[:MAX_ROOTS])


def _believed(fitting: Mapping[str, float], least: float, *, alone: bool) -> list[tuple[str, float]]:
    """The labels that stand out, the likeliest first, with how far to believe in them."""
    ordered = sorted(fitting.items(), key=lambda pair: (-pair[1], pair[0]))
    if alone:
        return [(node_id, MODEL_ALONE_SHARE) for node_id, p in ordered if p >= MODEL_ALONE]
    return [(node_id, p) for node_id, p in ordered if p >= least]


def _label_in_area(
    subject: Subject,
    offer: Offer,
    root: str,
    probability: float,
    evidence: Mapping[str, float],
    cosines: FloatVector | None,
) -> list[EventLabel]:
    vocabulary = offer.vocabulary
    accepted = _accepted(subject, offer, root, evidence, cosines)
    broader = {above for node_id in accepted for above in vocabulary.ancestors(node_id)[:-1]}
    deepest = {node_id: share for node_id, share in accepted.items() if node_id not in broader} or {root: 1.0}
    labels = [EventLabel(offer.path(node_id), share * probability) for node_id, share in deepest.items()]
    frontier = [(node_id, share * probability) for node_id, share in deepest.items()]
    least = DEEPER if accepted else NARROWER
    while frontier:
        found = [
            (child, share * p)
            for node_id, share in frontier
            for child, p in _narrower(subject, offer, node_id, cosines, least)
            if share * p >= MIN_SHARE
        ]
        frontier = sorted(found, key=lambda pair: (-pair[1], pair[0]))[:BEAM]
        labels += [EventLabel(offer.path(node_id), share) for node_id, share in frontier]
        least = DEEPER
    facts = fact_labels(subject, offer.vocabulary, offer.language, root)
    return labels + [replace(label, share=label.share * probability) for label in facts]


def _accepted(
    subject: Subject, offer: Offer, root: str, evidence: Mapping[str, float], cosines: FloatVector | None
) -> dict[str, float]:
    """The named interests of an area that hold against the model and similarity, with their probabilities."""
    vocabulary = offer.vocabulary
    proposed = [n for n in evidence if n != root and vocabulary.root(n) == root]
    in_doubt = {n for n in proposed if abs(evidence[n] - ABSTAIN) <= RATIO_SCALE * RATIO_LIMIT + 1}
    ratios = [0.0] * len(proposed)
    if offer.judge is not None and in_doubt:
        nodes = [vocabulary[n] for n in proposed]
        ratios = offer.judge.preferences(subject, nodes, (root,), prior_exponent=1.0)
    accepted: dict[str, float] = {}
    for node_id, ratio in zip(proposed, ratios, strict=True):
        tipped = RATIO_SCALE * max(-RATIO_LIMIT, min(RATIO_LIMIT, ratio))
        if node_id in in_doubt:
            tipped += _tip_of_closeness(node_id, offer, cosines)
        share = 1 / (1 + math.exp(ABSTAIN - evidence[node_id] - tipped))
        if share >= ACCEPT:
            accepted[node_id] = share
    return accepted


def _tip_of_closeness(node_id: str, offer: Offer, cosines: FloatVector | None) -> float:
    """How much closer a label is than its siblings are on average, in nats and within bounds."""
    siblings = offer.vocabulary.children(offer.vocabulary[node_id].parent)
    closeness = offer.closeness(siblings, cosines)
    if closeness is None or len(siblings) < 2:
        return 0.0
    own = closeness[[sibling.id for sibling in siblings].index(node_id)]
    difference = own - sum(closeness) / len(closeness)
    return max(-CLOSENESS_LIMIT, min(CLOSENESS_LIMIT, CLOSENESS_SCALE * difference))


def _narrower(
    subject: Subject, offer: Offer, node_id: str, cosines: FloatVector | None, least: float
) -> list[tuple[str, float]]:
    """The labels just below one that stand out among their siblings, as likely as `least` or more."""
    vocabulary = offer.vocabulary
    if vocabulary[node_id].attribute is not None:
        return []
    below = [node for node in vocabulary.children(node_id) if node.attribute is None]
    # What people say of themselves names what they mean.
    if subject.is_text:
        return []
    fitting = choose(subject, below, vocabulary.ancestors(node_id), offer, cosines)
    return _believed(fitting, least, alone=cosines is None)


def own_labels(
    item: Item, labels: Sequence[EventLabel], vocabulary: Vocabulary, own_words: OwnWords
) -> list[EventLabel]:
    """Labels from an item's own words, in the area that fits it best, or at the top when none does.

    The share is that of the best label (1 when there is none) times that of the phrase, which is at most
    0.5. What the vocabulary has a name for is not proposed again.
    """
    best = max(
        (label for label in labels if not label.proposed and vocabulary[label.path[-1].id].attribute is None),
        key=lambda label: (label.share, len(label.path), label.path[-1].id),
        default=None,
    )
    # Not below a narrower label: the same words must meet where items differ in it.
    above = best.path[:1] if best is not None else ()
    prefix = f"{above[-1].id}/" if above else ""
    proposed = []
    for phrase in own_words.phrases(item, most=2 * MOST_OWN_PHRASES):
        step = PathStep(prefix + phrase.slug, phrase.label)
        if vocabulary.named(phrase.label) or step.id in vocabulary:
            continue
        share = phrase.share * (best.share if best is not None else 1.0)
        proposed.append(EventLabel((*above, step), share, proposed=True))
    return proposed[:MOST_OWN_PHRASES]
