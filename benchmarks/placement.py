"""How well labels find their place: parents of the shipped vocabulary hidden and found again.

    python -m benchmarks.placement

The areas of the vocabulary (its tops, with all below them) are split in two halves by a hash of their ids.
Up to four areas at a time are thrown together; their tops stay, all else loses its parent, and
`place_labels` finds it again: from similarity alone (static vectors), from the embedded model alone ("X is a
kind of Y"), from both, and from both with what the words say (indie games, games); beside parents drawn at
random from the same candidates, which are the same for all. The weights are chosen on one half of the areas,
for each way by itself, and the figures are those of the other half. An edge is right when label and parent
are; F1 is over all edges, standing at the top being none, with 95% intervals from 2,000 bootstrap
samples of the labels, paired where two ways are compared.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from llmrec.interests.extraction import ExtractionTools
from llmrec.interests.kind_judges import LIKELY_WEIGHTS, LikelyKinds
from llmrec.interests.placement import FreeLabel, PlacementWeights, place_labels
from llmrec.interests.taxonomy import Vocabulary
from llmrec.llm.embedder import Embedder
from llmrec.llm.priors import Priors
from llmrec.llm.registry import open_embedder, open_model
from llmrec.prompting.templates import PromptLibrary
from llmrec.settings import load_settings

AREAS_AT_ONCE = 4
SAMPLES = 2000
DRAWS = 200
TOPS = tuple(float(top) for top in np.arange(-5.0, 0.01, 0.5))
COSINE_TOPS = tuple(float(top) for top in np.arange(0.0, 1.01, 0.1))
SIMILARITIES = (0.5, 1.0, 2.0)


@dataclass
class Task:
    """Some areas without their tree, and the model's opinion on every edge that is looked at."""

    labels: list[FreeLabel]
    gold: dict[str, str | None]
    opinions: dict[tuple[str, str], float]
    candidates: dict[str, Sequence[str]]


class Told:
    """A judge that says what was found before."""

    weights = LIKELY_WEIGHTS

    def __init__(self, task: Task) -> None:
        self._task = task

    def judge(
        self, labels: Mapping[str, FreeLabel], candidates: Mapping[str, Sequence[str]]
    ) -> Mapping[tuple[str, str], float]:
        """The model's opinions on labels that were asked about when it was."""
        return {edge: nats for edge, nats in self._task.opinions.items() if edge[0] in labels and candidates}


class Listening:
    """A judge that asks another one and keeps what it was asked and what it said."""

    weights = LIKELY_WEIGHTS

    def __init__(self, judge: LikelyKinds) -> None:
        self._judge = judge
        self.candidates: dict[str, Sequence[str]] = {}
        self.opinions: dict[tuple[str, str], float] = {}

    def judge(
        self, labels: Mapping[str, FreeLabel], candidates: Mapping[str, Sequence[str]]
    ) -> Mapping[tuple[str, str], float]:
        """The other's opinions."""
        self.candidates = dict(candidates)
        self.opinions = self._judge.judge(labels, candidates)
        return self.opinions


def in_second_half(area: str) -> bool:
    """Whether an area is reported on, and not one the weights are chosen on."""
    return int(hashlib.sha256(area.encode()).hexdigest(), 16) % 2 == 1


def tasks_of(
    vocabulary: Vocabulary, areas: Sequence[str], tools: ExtractionTools, tell: Callable[[str], None]
) -> list[Task]:
    """The areas, four at a time, with what the model thinks of them."""
    tasks = []
    rounds = -(-len(areas) // AREAS_AT_ONCE)
    for begin in range(rounds):
        together = list(areas[begin::rounds])
        # Places for facts, such as Developers, are no interests of their own.
        nodes = [n for n in vocabulary if vocabulary.root(n.id) in together and n.attribute is None]
        labels = [FreeLabel(node.id, node.en, placed=node.parent is None) for node in nodes]
        listening = Listening(LikelyKinds(tools, {}))
        place_labels(labels, listening, embedder=tools.embedder)
        gold = {node.id: node.parent for node in nodes}
        tasks.append(Task(labels, gold, listening.opinions, listening.candidates))
        tell(f"{', '.join(together)}: {len(labels)} labels")
    return tasks


def place(task: Task, embedder: Embedder | None, weights: PlacementWeights) -> dict[str, str | None]:
    """The parents found with some weights."""
    judge = Told(task) if weights.model else None
    return place_labels(task.labels, judge, embedder=embedder, weights=weights).parents


Counts = npt.NDArray[np.float64]


def counts_of(tasks: Sequence[Task], found: Sequence[Mapping[str, str | None]]) -> Counts:
    """For each hidden edge: whether the one found is right, whether one was found, and that it was due."""
    rows = [
        (
            parent is not None and parent == task.gold[node_id],
            parent is not None,
            task.gold[node_id] is not None,
        )
        for task, parents in zip(tasks, found, strict=True)
        for node_id, parent in sorted(parents.items())
        if task.gold[node_id] is not None
    ]
    return np.asarray(rows, dtype=np.float64)


def f1(counts: Counts) -> float:
    """Of edges: twice those that are right, by those that are there and those that should be."""
    right, there, due = counts.sum(axis=0)
    return float(2 * right / (there + due)) if there + due else 0.0


def drawn(task: Task, chance: random.Random) -> dict[str, str | None]:
    """Each label below one of its candidates, or at the top, at random."""
    return {label.id: chance.choice([None, *task.candidates.get(label.id, ())]) for label in task.labels}


def ways() -> Iterator[tuple[str, list[PlacementWeights]]]:
    """What is compared: the signs that count, and the weights to choose from."""
    none = PlacementWeights(model=0, similarity=0, subsumption=0, suggested=0)
    yield "similarity alone", [replace(none, similarity=1.0, top=top) for top in COSINE_TOPS]
    yield "model alone", [replace(none, model=1.0, top=top) for top in TOPS]
    both = [replace(none, model=1.0, similarity=weight, top=top) for weight in SIMILARITIES for top in TOPS]
    yield "both", both
    yield "both, and words", [replace(weights, subsumption=LIKELY_WEIGHTS.subsumption) for weights in both]
    yield (
        "similarity, and words",
        [replace(none, similarity=1.0, subsumption=1.0, top=top) for top in COSINE_TOPS],
    )


def interval(values: Sequence[float]) -> list[float]:
    """The middle 95% of bootstrap samples."""
    return [round(float(np.quantile(values, q)), 3) for q in (0.025, 0.975)]


def measure(
    tasks: dict[str, list[Task]], embedder: Embedder, tell: Callable[[str], None]
) -> dict[str, object]:
    """Choose the weights on the one half, and count the edges of the other."""
    chance = random.Random(0)
    draws = [
        f1(counts_of(tasks["reported"], [drawn(task, chance) for task in tasks["reported"]]))
        for _ in range(DRAWS)
    ]
    report: dict[str, object] = {
        "random": {"f1": round(float(np.mean(draws)), 3), "interval": interval(draws)}
    }
    counts: dict[str, Counts] = {}
    for name, choices in ways():

        def on(half: str, weights: PlacementWeights) -> Counts:
            return counts_of(tasks[half], [place(task, embedder, weights) for task in tasks[half]])

        best = max(choices, key=lambda weights: f1(on("tuning", weights)))
        counts[name] = on("reported", best)
        tell(f"{name}: chose similarity {best.similarity:g}, top {best.top:g}")
        report[name] = {
            "f1": round(f1(counts[name]), 3),
            "precision": round(float(counts[name][:, 0].sum() / max(counts[name][:, 1].sum(), 1)), 3),
            "placed": round(float(counts[name][:, 1].mean()), 3),
            "tuning_f1": round(f1(on("tuning", best)), 3),
            "similarity": best.similarity,
            "top": best.top,
        }
    size = len(next(iter(counts.values())))
    samples = np.random.default_rng(0).integers(0, size, (SAMPLES, size))
    for name, found in counts.items():
        entry = report[name]
        assert isinstance(entry, dict)
        entry["interval"] = interval([f1(found[sample]) for sample in samples])
    for ours, other in (
        ("both", "similarity alone"),
        ("both", "model alone"),
        ("both, and words", "model alone"),
        ("both, and words", "similarity, and words"),
    ):
        gains = [f1(counts[ours][sample]) - f1(counts[other][sample]) for sample in samples]
        report[f"{ours} − {other}"] = {
            "gain": round(f1(counts[ours]) - f1(counts[other]), 3),
            "interval": interval(gains),
        }
    reachable = [
        gold in task.candidates.get(node_id, ())
        for task in tasks["reported"]
        for node_id, gold in task.gold.items()
        if gold is not None
    ]
    report["labels"] = size
    report["parent is a candidate"] = round(float(np.mean(reachable)), 3)
    return report


def main() -> None:
    """Measure, and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="embedded", help="a model that scores")
    options = parser.parse_args()
    settings = load_settings()
    vocabulary = Vocabulary.load()
    model, embedder = open_model(options.model, settings), open_embedder(None, settings)
    with tempfile.TemporaryDirectory() as folder:
        priors = Priors(model, Path(folder))
        tools = ExtractionTools(model, priors, PromptLibrary(), "en", print, embedder)
        areas = [node.id for node in vocabulary.children()]
        tasks = {
            half: tasks_of(vocabulary, [a for a in areas if in_second_half(a) == reported], tools, print)
            for half, reported in (("tuning", False), ("reported", True))
        }
        priors.close()
    print(json.dumps(measure(tasks, embedder, print), ensure_ascii=False, indent=2))
    embedder.close()
    model.close()


if __name__ == "__main__":
    main()
