"""How often labels are right: films and their genres, food and kitchen titles, for each source of evidence.

    python -m benchmarks.labelling --data PATH --items 600

`PATH` holds `movielens/items.jsonl` (id, title, genres, tags) and `food-kitchen/items.jsonl` (id, domain,
title), one JSON object a line. A film is read by its title and tags, without the tags that name a genre
(`NAMES_GENRE`) and never with its genres; it is right when one of its genres was chosen among 18. A product
is read by its title alone; an area is chosen among all areas of the shipped vocabulary, and right when it
belongs to the product's domain. The items are cut in two by a hash of their ids: every constant was chosen on
the first half (`--half tuning` shows it), the figures are of the second.

For each source: accuracy when it must answer (where it has nothing to say it is given what a guess is worth),
the mean over the genres or domains of the accuracy on their items (so that a constant answer gains nothing
from a common genre), coverage and accuracy when it may abstain as the pipeline does, and accuracy on the half
of the items of which it is surest. Brackets hold 95% intervals of 2,000 bootstrap samples of the items;
differences are paired. `model, whole prior` leaves the labels' own likelihood in, which the pipeline does
not. At the end: what the pipeline makes of the products, with every level of the vocabulary on offer.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.machine import describe_machine
from llmrec.interests.anchored import AREA, MODEL_ALONE, NARROWER, label_subject
from llmrec.interests.extraction import ExtractionTools
from llmrec.interests.label_choice import Offer, choose
from llmrec.interests.label_judge import LabelJudge
from llmrec.interests.similarity import LabelSimilarity
from llmrec.interests.subjects import Subject
from llmrec.interests.taxonomy import Vocabulary, VocabularyNode
from llmrec.llm.cache import CachedModel
from llmrec.llm.model_calls import ModelCallCache
from llmrec.llm.priors import Priors
from llmrec.llm.registry import open_embedder, open_model
from llmrec.prompting.templates import PromptLibrary
from llmrec.settings import load_settings

GENRES = {
    "Action": "films/action",
    "Adventure": "films/adventure",
    "Animation": "films/animation",
    "Children": "films/family",
    "Comedy": "films/comedy",
    "Crime": "films/crime",
    "Documentary": "films/documentary",
    "Drama": "films/drama",
    "Fantasy": "films/fantasy",
    "Film-Noir": "films/crime/film-noir",
    "Horror": "films/horror",
    "Musical": "films/musical",
    "Mystery": "films/crime/detective",
    "Romance": "films/romance",
    "Sci-Fi": "films/science-fiction",
    "Thriller": "films/thriller",
    "War": "films/war",
    "Western": "films/western",
}
NAMES_GENRE = re.compile(
    r"\b(?:action|adventur|animat|anime\b|child|kids?\b|comed|comic\b|crim|document|drama|fantas|(?:neo-?)?noir"
    r"|horror|music|myster|roman|sci-?fi|science fiction|thrill|wars?\b|western)|in netflix queue",
    re.IGNORECASE,
)
DOMAINS = {"food": ("cooking", "drinks"), "kitchen": ("kitchen", "appliances", "home")}
SAMPLES = 2000
SEED = 7
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Task:
    """Items with known labels, and the labels to choose among."""

    name: str
    subjects: list[Subject]
    right: list[frozenset[str]]
    """The ids of the labels that are right, item by item."""
    groups: list[tuple[str, ...]]
    """The genres or the domain of each item, over which accuracy is averaged."""
    nodes: list[VocabularyNode]
    above: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What one source of evidence answered, item by item."""

    credit: Floats
    """1 for right, 0 for wrong, and the chance of a guess where nothing was said."""
    confidence: Floats
    threshold: float
    """The confidence from which the pipeline takes an answer."""


def in_half(item_id: str, half: str) -> bool:
    """Whether an item belongs to the `tuning` half or to the `report` half."""
    return int(hashlib.sha256(item_id.encode()).hexdigest(), 16) % 2 == (half == "report")


def read_items(path: Path, half: str) -> list[dict[str, Any]]:
    """The items of one half of a file, shuffled with a fixed seed."""
    items = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    items = [item for item in items if in_half(str(item["id"]), half)]
    random.Random(SEED).shuffle(items)
    return items


def film_task(data: Path, half: str, most: int, vocabulary: Vocabulary) -> Task:
    """Films by title and tags; the genre is to be found."""
    subjects: list[Subject] = []
    right: list[frozenset[str]] = []
    groups: list[tuple[str, ...]] = []
    for item in read_items(data / "movielens" / "items.jsonl", half):
        tags = [tag for tag in item["tags"] if not NAMES_GENRE.search(tag)]
        genres = tuple(genre for genre in item["genres"] if genre in GENRES)
        if tags and genres and len(subjects) < most:
            subjects.append(Subject(title=item["title"], description=", ".join(tags)))
            right.append(frozenset(GENRES[genre] for genre in genres))
            groups.append(genres)
    nodes = [vocabulary[node_id] for node_id in GENRES.values()]
    return Task("films: genre of 18", subjects, right, groups, nodes, ("films",))


def product_task(data: Path, half: str, most: int, vocabulary: Vocabulary) -> Task:
    """Food and kitchen products by title, as many of each; the area is to be found."""
    items = read_items(data / "food-kitchen" / "items.jsonl", half)
    chosen = [
        item
        for domain in DOMAINS
        for item in [found for found in items if found["domain"] == domain][: most // 2]
    ]
    return Task(
        "products: area of all",
        [Subject(title=item["title"]) for item in chosen],
        [frozenset(DOMAINS[item["domain"]]) for item in chosen],
        [(item["domain"],) for item in chosen],
        vocabulary.children(),
        (),
    )


def named_below(subject: Subject, nodes: Sequence[VocabularyNode], vocabulary: Vocabulary) -> list[float]:
    """How many names of each label, or of what is below it, stand in a text."""
    mentioned = {
        m.node_id for text in (subject.title, subject.description) for m in vocabulary.mentions(text)
    }
    above = [set(vocabulary.ancestors(node_id)) for node_id in mentioned]
    return [float(sum(node.id in path for path in above)) for node in nodes]


def outcome(task: Task, found: Sequence[Mapping[str, float]], threshold: float) -> Outcome:
    """Mark the likeliest label of each item; nothing said is a guess."""
    credit, confidence = [], []
    for right, probabilities in zip(task.right, found, strict=True):
        chance = len(right & {node.id for node in task.nodes}) / len(task.nodes)
        top = max(probabilities.values(), default=0.0)
        best = [node_id for node_id, p in probabilities.items() if p == top]
        credit.append(sum(node_id in right for node_id in best) / len(best) if best else chance)
        confidence.append(top)
    return Outcome(np.array(credit), np.array(confidence), threshold)


def outcomes(task: Task, tools: ExtractionTools, similarity: LabelSimilarity) -> dict[str, Outcome]:
    """What every source answers, and what they answer together."""
    vocabulary = similarity.vocabulary
    judge = LabelJudge(tools, vocabulary)
    cosines = similarity.cosines(task.subjects)
    rows = [row if row.any() else None for row in cosines]
    names = [named_below(subject, task.nodes, vocabulary) for subject in task.subjects]
    threshold = NARROWER if task.above else AREA
    with_judge, without = Offer(vocabulary, "en", judge), Offer(vocabulary, "en")
    both, static = Offer(vocabulary, "en", judge, similarity), Offer(vocabulary, "en", None, similarity)
    ids = [node.id for node in task.nodes]

    def asked(offer: Offer, *, rows: Sequence[Any], named: Sequence[Any]) -> list[dict[str, float]]:
        return [
            choose(subject, task.nodes, task.above, offer, row, told)
            for subject, row, told in zip(task.subjects, rows, named, strict=True)
        ]

    nothing = [None] * len(task.subjects)
    raw = [judge.preferences(s, task.nodes, task.above, prior_exponent=0.0) for s in task.subjects]
    return {
        "random": outcome(task, asked(without, rows=nothing, named=nothing), 0.0),
        "names": outcome(
            task,
            [{i: n / sum(told) for i, n in zip(ids, told, strict=True) if n} for told in names],
            threshold,
        ),
        "similarity": outcome(task, asked(static, rows=rows, named=nothing), threshold),
        "model": outcome(task, asked(with_judge, rows=nothing, named=nothing), MODEL_ALONE),
        "model, whole prior": outcome(task, [dict(zip(ids, found, strict=True)) for found in raw], 0.0),
        "similarity + model": outcome(task, asked(both, rows=rows, named=nothing), threshold),
        "names + similarity": outcome(task, asked(static, rows=rows, named=names), threshold),
        "all three": outcome(task, asked(both, rows=rows, named=names), threshold),
    }


def macro(credit: Floats, groups: Sequence[tuple[str, ...]], weights: Floats) -> float:
    """The mean over genres or domains of the weighted mean credit of their items."""
    found = []
    for group in sorted({name for names in groups for name in names}):
        member = np.array([group in names for names in groups]) * weights
        if member.sum():
            found.append(float(credit @ member / member.sum()))
    return float(np.mean(found))


def interval(values: Sequence[float]) -> str:
    """A 95% interval in percent."""
    low, high = np.percentile(values, [2.5, 97.5])
    return f"[{100 * low:.1f}, {100 * high:.1f}]"


def report(task: Task, found: Mapping[str, Outcome]) -> None:
    """Print a table, and the paired differences that must hold."""
    count = len(task.subjects)
    samples = np.random.default_rng(SEED).multinomial(count, [1 / count] * count, size=SAMPLES)
    print(f"\n{task.name}, {count} items")
    print(f"{'':20}{'accuracy':>22}{'by group':>22}{'coverage':>10}{'answered':>10}{'surest half':>13}")
    for name, result in found.items():
        answered = result.confidence >= max(result.threshold, 1e-9)
        surest = np.argsort(-result.confidence, kind="stable")[: count // 2]
        means = [float(result.credit @ weights / count) for weights in samples]
        groups = [macro(result.credit, task.groups, weights) for weights in samples[:400]]
        cells = [
            f"{100 * result.credit.mean():.1f} {interval(means)}",
            f"{100 * macro(result.credit, task.groups, np.ones(count)):.1f} {interval(groups)}",
        ]
        with_abstention = f"{100 * answered.mean():.0f}" if result.threshold else "-"
        right = f"{100 * result.credit[answered].mean():.1f}" if answered.any() and result.threshold else "-"
        half = f"{100 * result.credit[surest].mean():.1f}" if result.confidence.any() else "-"
        print(f"{name:20}{cells[0]:>22}{cells[1]:>22}{with_abstention:>10}{right:>10}{half:>13}")
    for better, worse in (
        ("similarity + model", "similarity"),
        ("similarity + model", "model"),
        ("similarity + model", "model, whole prior"),
        ("all three", "similarity + model"),
        ("names + similarity", "similarity"),
    ):
        gap = found[better].credit - found[worse].credit
        grouped = [
            macro(found[better].credit, task.groups, w) - macro(found[worse].credit, task.groups, w)
            for w in samples[:400]
        ]
        print(
            f"  {better} - {worse}: accuracy {100 * gap.mean():+.1f}"
            f" {interval([float(gap @ weights / count) for weights in samples])},"
            f" by group {100 * float(np.mean(grouped)):+.1f} {interval(grouped)}"
        )


def report_pooled(found: Sequence[Mapping[str, Outcome]]) -> None:
    """Print the paired differences over the items of all tasks, each task sampled by itself."""
    generator = np.random.default_rng(SEED)
    print("\nboth tasks together")
    for worse in ("similarity", "model"):
        gaps = [outcomes["similarity + model"].credit - outcomes[worse].credit for outcomes in found]
        total = sum(len(gap) for gap in gaps)
        sums = np.zeros(SAMPLES)
        for gap in gaps:
            sums += generator.multinomial(len(gap), [1 / len(gap)] * len(gap), size=SAMPLES) @ gap
        mean = sum(float(gap.sum()) for gap in gaps) / total
        print(f"  similarity + model - {worse}: accuracy {100 * mean:+.1f} {interval(list(sums / total))}")


def report_pipeline(task: Task, offer: Offer, name: str) -> None:
    """Print what the pipeline makes of the products: areas, finer labels, and abstentions."""
    assert offer.similarity is not None
    found = [
        label_subject(s, offer, row)
        for s, row in zip(task.subjects, offer.similarity.cosines(task.subjects), strict=True)
    ]
    best = [max(labels, key=lambda label: label.share) if labels else None for labels in found]
    answered = [(label, right) for label, right in zip(best, task.right, strict=True) if label]
    finer = [
        (label.path[0].id, right)
        for labels, right in zip(found, task.right, strict=True)
        for label in labels
        if len(label.path) > 1
    ]
    items_finer = sum(any(len(label.path) > 1 for label in labels) for labels in found)
    count = len(found)
    right_areas = sum(label.path[0].id in right for label, right in answered)
    print(
        f"  {name}: {100 * len(answered) / count:.0f}% of the products are labelled,"
        f" {100 * right_areas / max(1, len(answered)):.1f}% of these in the right domain;"
        f" {100 * items_finer / count:.0f}% get a finer label,"
        f" {100 * sum(area in right for area, right in finer) / max(1, len(finer)):.1f}% of the finer labels"
        " lie in the right domain"
    )


def main() -> None:
    """Label the items of both tasks from every source, and print how often it was right."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder with the data")
    parser.add_argument("--items", type=int, default=600, help="items of each task (default 600)")
    parser.add_argument(
        "--half", choices=["tuning", "report"], default="report", help="which half (default report)"
    )
    parser.add_argument("--answers", type=Path, help="a file that keeps the model's answers for the next run")
    parser.add_argument("--model", default="embedded", help="the model to ask (default embedded)")
    arguments = parser.parse_args()

    settings = load_settings()
    vocabulary = Vocabulary.load()
    embedder = open_embedder("wordllama", settings)
    model = CachedModel(open_model(arguments.model, settings), ModelCallCache(arguments.answers))
    priors = Priors(model, settings.cache_dir)
    tools = ExtractionTools(model, priors, PromptLibrary(), "en", lambda *_: None, embedder)
    similarity = LabelSimilarity(vocabulary, embedder)
    print(f"model {arguments.model}, {arguments.half} half; {', '.join(describe_machine().values())}")
    tasks = [
        make(arguments.data, arguments.half, arguments.items, vocabulary)
        for make in (film_task, product_task)
    ]
    found = []
    for task in tasks:
        found.append(outcomes(task, tools, similarity))
        report(task, found[-1])
    report_pooled(found)
    print()
    report_pipeline(tasks[1], Offer(vocabulary, "en", None, similarity), "without the model")


if __name__ == "__main__":
    main()
