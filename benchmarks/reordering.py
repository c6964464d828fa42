"""What diversity, calibration and novelty cost in relevance, and what they buy.

    python -m benchmarks.reordering --data PATH

For people of `movielens/dev.jsonl`, 200 candidates (the target and 199 films the person did not rate, drawn
by popularity) are scored by BM25 of the last liked films' words plus the logarithm of popularity, as
z-scores, and reordered with one weight at a time. Popularity counts the histories of all people. The profile
is made of the genres of the liked films, without a model, and the same genres tell which interests a film
belongs to. Of the first 10 the table shows NDCG of the target, which only the metric reads; diversity, the
mean of 1 - shared genres (Jaccard) over pairs; miscalibration, Steck's KL in nats; novelty, the mean
self-information in bits; each with its 95% bootstrap interval over people, and below it the paired difference
from weight 0. Figures are of one half of the people, by a hash of the id.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.histories import interval
from benchmarks.machine import describe_machine
from benchmarks.profile_ranking import is_reported
from llmrec import Catalog, Event, Item
from llmrec.behavior.cleaning import CleaningReport
from llmrec.behavior.strength import build_history
from llmrec.candidates.bm25 import Bm25Index, item_text
from llmrec.interests.extraction import EventLabel, EventReading, PathStep
from llmrec.interests.hierarchy import InterestHierarchy
from llmrec.interests.profile import InterestProfile
from llmrec.ranking.fusion import z_scores
from llmrec.ranking.reorder import (
    InterestMembership,
    Reordering,
    Similarity,
    category_similarity,
    reorder,
    word_similarity,
)
from llmrec.ranking.reorder.calibration import divergence, interest_distribution, item_distributions
from llmrec.ranking.reorder.novelty import self_information
from llmrec.settings import Settings

AT = 10
CANDIDATES = 200
QUERY_ITEMS = 20
LIKED = 4.0
WEIGHTS = (0.0, 0.1, 0.3, 0.5, 0.7)
METRICS = ("ndcg", "diversity", "miscalibration", "novelty")
WAYS = ("diversity (words)", "diversity (genres)", "calibration", "novelty (log)", "novelty (history)")
Numbers = npt.NDArray[np.float64]


def belongs(item: Item) -> dict[str, float]:
    """A film belongs to each of its genres."""
    return {f"films/{genre}": 1.0 for genre in item.attributes.get("genres", "").split("|") if genre}


def by_genre(rows: Sequence[Item], columns: Sequence[Item]) -> Numbers:
    """How alike films are by their genres alone."""

    def alone(items: Sequence[Item]) -> list[Item]:
        return [
            item.model_copy(update={"categories": tuple(item.attributes.get("genres", "").split("|"))})
            for item in items
        ]

    return category_similarity(alone(rows), alone(columns))


def read_films(path: Path) -> list[Item]:
    """The films, with genres and tags as categories, and the genres apart."""
    films = []
    for line in path.read_text("utf-8").splitlines():
        film = json.loads(line)
        genres = [genre for genre in film["genres"] if not genre.startswith("(")]
        films.append(
            Item(
                id=film["id"],
                title=film["title"],
                categories=tuple(dict.fromkeys([*genres, *(tag for tag in film["tags"][:8] if tag.strip())])),
                attributes={"genres": "|".join(genres)},
                domain="films",
                language="en",
            )
        )
    return films


def profile_of(person: Mapping[str, Any], catalog: Catalog) -> InterestProfile:
    """A profile of the genres of what a person rated."""
    events = [
        Event(
            user_id=person["user"],
            action="rate",
            item_id=seen["item"],
            value=seen["rating"],
            timestamp=seen["timestamp"],
            id=f"e{at}",
        )
        for at, seen in enumerate(person["history"])
    ]
    history = build_history(person["user"], events, catalog, Settings())
    readings = []
    for entry in history:
        genres = list(belongs(entry.item)) if entry.item is not None else []
        labels = [
            EventLabel(
                (PathStep("films", "Films"), PathStep(genre, genre.partition("/")[2])), 1 / len(genres)
            )
            for genre in genres
        ]
        readings.append(EventReading(labels=tuple(labels)))
    return InterestProfile(
        user_id=person["user"],
        hierarchy=InterestHierarchy(),
        entries=tuple(history),
        readings=tuple(readings),
        language="en",
        strategy="anchored",
        model="none",
        report=CleaningReport(),
    ).computed()


class Bench:
    """The films, how popular they are, and what is measured of a list."""

    def __init__(self, data: Path) -> None:
        films = read_films(data / "movielens" / "items.jsonl")
        self.catalog = Catalog(films)
        self.index = Bm25Index(films)
        self.places = {item.id: at for at, item in enumerate(films)}
        lines = (data / "movielens" / "dev.jsonl").read_text("utf-8").splitlines()
        self.people: list[dict[str, Any]] = [json.loads(line) for line in lines]
        self.popularity = Counter(
            item for person in self.people for item in {seen["item"] for seen in person["history"]}
        )
        self.words = word_similarity(films)
        self.seconds: list[float] = []

    def candidates(self, person: Mapping[str, Any]) -> list[Item]:
        """The target and 199 films a person did not rate, drawn by popularity, shuffled."""
        seen = {rated["item"] for rated in person["history"]} | {person["target"]}
        others = [item_id for item_id in self.catalog if item_id not in seen]
        chances = np.array([self.popularity[item_id] + 0.1 for item_id in others])
        drawn = np.random.default_rng(int(person["user"])).choice(
            len(others), CANDIDATES - 1, replace=False, p=chances / chances.sum()
        )
        chosen = [person["target"], *(others[at] for at in drawn)]
        random.Random(person["user"]).shuffle(chosen)
        return [self.catalog[item_id] for item_id in chosen]

    def scores(self, person: Mapping[str, Any], items: Sequence[Item]) -> list[float]:
        """BM25 of the last liked films plus popularity, as z-scores."""
        liked = [seen["item"] for seen in person["history"] if seen["rating"] >= LIKED][-QUERY_ITEMS:]
        matches = self.index.scores(" ".join(item_text(self.catalog[item_id]) for item_id in liked))
        words = z_scores([float(matches[self.places[item.id]]) for item in items])
        chosen = z_scores([float(np.log1p(self.popularity[item.id])) for item in items])
        return [float(score) for score in words + chosen]

    def measure(self, person: Mapping[str, Any]) -> dict[tuple[str, float], dict[str, float]]:
        """The figures of every way with every weight."""
        items = self.candidates(person)
        scores = self.scores(person, items)
        profile = profile_of(person, self.catalog)
        membership = InterestMembership(profile, belongs)
        wanted = interest_distribution(profile.hierarchy, "leaves")
        shares = item_distributions(items, membership, "leaves", list(wanted))
        unlike = 1 - by_genre(items, items)
        bits = self_information(items, self.popularity)
        target = next(at for at, item in enumerate(items) if item.id == person["target"])
        found = {}
        for way in WAYS:
            name = way.partition(" ")[0]
            similarity: Similarity = by_genre if way == "diversity (genres)" else self.words
            for weight in WEIGHTS:
                began = time.perf_counter()
                order = reorder(
                    items,
                    scores,
                    Reordering.model_validate({name: weight}),
                    profile=profile,
                    similarity=similarity,
                    belongs=belongs,
                    popularity=None if way == "novelty (history)" else self.popularity,
                    k=AT,
                ).order
                self.seconds.append(time.perf_counter() - began)
                top = list(order)
                pairs = np.triu_indices(len(top), 1)
                proportions = shares[top].mean(axis=0)
                found[way, weight] = {
                    "ndcg": 100 / float(np.log2(top.index(target) + 2)) if target in top else 0.0,
                    "diversity": float(unlike[np.ix_(top, top)][pairs].mean()),
                    "miscalibration": float(divergence(np.array(list(wanted.values())), proportions)),
                    "novelty": float(bits[top].mean()),
                }
        return found


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder of the data sets")
    parser.add_argument("--users", type=int, help="people, drawn by a fixed seed (all of the half)")
    parser.add_argument("--tuning-half", action="store_true", help="the half that choices are made on")
    options = parser.parse_args()
    bench = Bench(options.data)
    people = [one for one in bench.people if is_reported(one["user"]) != options.tuning_half]
    random.Random(0).shuffle(people)
    found = [bench.measure(person) for person in people[: options.users]]
    print(json.dumps(describe_machine()))
    print(f"movielens, {len(found)} people, {CANDIDATES} candidates, first {AT}; mean [95% interval]\n")
    print(f"{'':<26}" + "".join(f"{metric:<24}" for metric in METRICS))
    for way in WAYS:
        for weight in WEIGHTS:
            if weight == 0 and way != WAYS[0]:
                continue
            own = {metric: [one[way, weight][metric] for one in found] for metric in METRICS}
            print(f"{way if weight else 'by score':<20}{weight:<6}" + _figures(own, signed=False))
            if weight:
                gained = {
                    metric: [one[way, weight][metric] - one[way, 0.0][metric] for one in found]
                    for metric in METRICS
                }
                print(f"{'':<20}{'':<6}" + _figures(gained, signed=True))
    print(f"\nmedian seconds a list: {statistics.median(bench.seconds):.4f}")


def _figures(values: Mapping[str, Sequence[float]], *, signed: bool) -> str:
    sign = "+" if signed else ""
    told = []
    for metric, own in values.items():
        digits = 1 if metric == "ndcg" else 2
        mean, low, high = (f"{number:{sign}.{digits}f}" for number in interval(own))
        told.append(f"{f'{mean} [{low}, {high}]':<24}")
    return "".join(told).rstrip()


if __name__ == "__main__":
    main()
