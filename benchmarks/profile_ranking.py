"""How much of a ranking the profile alone carries: by the interests and nothing else, against by the history.

    python -m benchmarks.profile_ranking --data PATH --users 150

For people of `movielens/dev.jsonl` and `games/dev.jsonl`, the target among 19 negatives is ranked twice with
the same model: by the history (BM25 of its items' words, and the model's likelihood ratio after it), and by
the profile alone (its interests, their names and its hints, and the likelihood ratio after the names), each
with the weights of the settings. Beside both: BM25 with the labels of the profile as the query, and every
signal alone. The target is read by the metric alone. Weights and every other choice were made on one half of
the people (by a hash of the id), figures are of the other half, with 95% bootstrap intervals over people.
Films have their genres and tags as categories, games only titles.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.histories import BOOTSTRAPS, interval
from benchmarks.machine import describe_machine
from llmrec import Event, Item, Recommender
from llmrec.candidates.bm25 import Bm25Index
from llmrec.interests.profile import InterestProfile
from llmrec.ranking.fusion import fuse

AT = 10
LAST_EVENTS = 60
WEIGHTLESS = 1e-9


def read(data: Path, dataset: str) -> tuple[list[Item], list[dict[str, Any]]]:
    """The items and the people of a data set."""
    items = [json.loads(line) for line in (data / dataset / "items.jsonl").read_text("utf-8").splitlines()]
    people = [json.loads(line) for line in (data / dataset / "dev.jsonl").read_text("utf-8").splitlines()]
    if dataset == "games":
        return [
            Item(id=i["id"], title=i["title"] or "untitled", domain="video games", language="en")
            for i in items
        ], people
    films = []
    for item in items:
        genres = [genre for genre in item["genres"] if not genre.startswith("(")]
        kinds = tuple(dict.fromkeys([*genres, *(tag for tag in item["tags"][:8] if tag.strip())]))
        films.append(
            Item(id=item["id"], title=item["title"], categories=kinds, domain="films", language="en")
        )
    return films, people


def events_of(person: Mapping[str, Any], dataset: str) -> list[Event]:
    """A person's last 60 events."""
    if dataset == "games":
        return [
            Event(user_id=person["user"], action="purchase", item_id=item, id=f"e{at}")
            for at, item in enumerate(person["history"])
        ][-LAST_EVENTS:]
    return [
        Event(
            user_id=person["user"],
            action="rate",
            item_id=seen["item"],
            value=max(0.5, seen["rating"]),
            timestamp=seen["timestamp"],
            id=f"e{at}",
        )
        for at, seen in enumerate(person["history"])
    ][-LAST_EVENTS:]


def is_reported(user_id: str) -> bool:
    """Whether a person is of the half that figures are of."""
    return hashlib.sha256(user_id.encode()).digest()[0] % 2 == 1


def ndcg(scores: Sequence[float], target: int) -> float:
    """NDCG@10 of one relevant item; where others have its score, the mean over all orders of them."""
    values = np.asarray(scores, dtype=np.float64)
    better = int((values > values[target] + WEIGHTLESS).sum())
    alike = int((np.abs(values - values[target]) <= WEIGHTLESS).sum())
    gains = [1 / np.log2(rank + 1) if rank <= AT else 0.0 for rank in range(better + 1, better + alike + 1)]
    return float(np.mean(gains))


def scores_of(
    recommender: Recommender,
    profile: InterestProfile,
    candidates: Sequence[str],
    index: Bm25Index,
    places: Mapping[str, int],
) -> dict[str, Sequence[float]]:
    """The scores of the candidates by every way, in their order."""
    items = [recommender.catalog[candidate] for candidate in candidates]
    found: dict[str, Sequence[float]] = {}
    for basis in ("history", "profile"):
        ranking = recommender.recommend(profile, candidates=candidates, k=len(items), basis=basis)
        by_id = {placed.item.id: placed for placed in ranking}
        found[f"{basis}: all"] = [by_id[c].score for c in candidates]
        names = ranking[0].signals
        for name in names:
            found[f"{basis}: {name}"] = [by_id[c].signals[name].value for c in candidates]
        words = [name for name in names if name != "likelihood_ratio"]
        parts = fuse(
            {name: found[f"{basis}: {name}"] for name in words},
            (
                recommender.settings.fusion if basis == "history" else recommender.settings.profile_fusion
            ).model_dump(),
        )
        found[f"{basis}: without the model"] = [
            float(sum(p[at] for p in parts.values())) for at in range(len(items))
        ]
    labels = " ".join(interest.label for interest in profile.hierarchy.leaves() if interest.balance > 0)
    of_labels = index.scores(labels)
    found["BM25 of the labels"] = [float(of_labels[places[item.id]]) for item in items]
    return found


def measure(
    data: Path,
    dataset: str,
    model: str,
    users: int,
    negatives: str,
    tell: Callable[[str], None],
    *,
    half: bool,
    kept: Path | None,
) -> bool:
    """Rank for people of one data set and tell the figures; whether what was promised is reached."""
    items, people = read(data, dataset)
    chosen = [person for person in people if is_reported(person["user"]) == half]
    random.Random(0).shuffle(chosen)
    done = _kept(kept, dataset, negatives)
    index, places = Bm25Index(items), {item.id: place for place, item in enumerate(items)}
    with Recommender(model, items, language="en") as recommender:
        for number, person in enumerate(chosen[:users], start=1):
            user_id = person["user"]
            if user_id in done:
                continue
            candidates = [*person[negatives], person["target"]]
            random.Random(user_id).shuffle(candidates)
            profile = recommender.profile(events_of(person, dataset), user_id=user_id)
            target = candidates.index(person["target"])
            done[user_id] = {
                name: ndcg(scores, target)
                for name, scores in scores_of(recommender, profile, candidates, index, places).items()
            }
            if kept is not None:
                record = {"dataset": dataset, "negatives": negatives, "user": user_id, "ndcg": done[user_id]}
                with kept.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(record) + "\n")
            if number % 25 == 0:
                print(f"{dataset}: {number} of {min(users, len(chosen))}", file=sys.stderr, flush=True)
    reported = [done[person["user"]] for person in chosen[:users]]
    results = {name: [one[name] for one in reported] for name in reported[0]}
    tell(f"\n{dataset}, {len(results['BM25 of the labels'])} people, {negatives}, NDCG@{AT} x 100")
    for name, values in sorted(results.items()):
        mean, low, high = interval(values)
        tell(f"  {name:<32}{100 * mean:6.1f}  [{100 * low:.1f}, {100 * high:.1f}]")
    own, history = np.asarray(results["profile: all"]), np.asarray(results["history: all"])
    labels = np.asarray(results["BM25 of the labels"])
    ratio = own.mean() / history.mean()
    low, high = _ratio_interval(own, history)
    tell(f"  profile / history: {100 * ratio:.1f}% [{100 * low:.1f}, {100 * high:.1f}]   (to reach: 90)")
    gain, low, high = interval(list(own - labels))
    tell(f"  profile - BM25 of labels: {100 * gain:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]")
    return bool(ratio >= 0.9 and own.mean() > labels.mean())


def _kept(path: Path | None, dataset: str, negatives: str) -> dict[str, dict[str, float]]:
    """The figures of the people measured before, by id."""
    if path is None or not path.exists():
        return {}
    records = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return {r["user"]: r["ndcg"] for r in records if (r["dataset"], r["negatives"]) == (dataset, negatives)}


def _ratio_interval(above: Any, below: Any) -> tuple[float, float]:
    """The ends of the 95% percentile bootstrap interval of a ratio of means, over people."""
    draws = np.random.default_rng(0).integers(len(above), size=(BOOTSTRAPS, len(above)))
    low, high = np.percentile([above[draw].mean() / below[draw].mean() for draw in draws], [2.5, 97.5])
    return float(low), float(high)


def main() -> None:
    """Run both data sets; exit code 1 when something that was promised is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder of the data sets")
    parser.add_argument("--model", default="embedded", help="as LLMREC_MODEL (embedded)")
    parser.add_argument("--users", type=int, default=150, help="people of each data set (150)")
    parser.add_argument("--only", choices=["movielens", "games"], action="append")
    parser.add_argument("--negatives", choices=["random", "popular"], default="random")
    parser.add_argument("--results", type=Path, help="a file that keeps the figures of each person, to go on")
    parser.add_argument("--tuning-half", action="store_true", help="the half that choices are made on")
    options = parser.parse_args()

    def tell(line: str) -> None:
        print(line, flush=True)

    tell(json.dumps(describe_machine()))
    missed = [
        dataset
        for dataset in options.only or ["movielens", "games"]
        if not measure(
            options.data,
            dataset,
            options.model,
            options.users,
            f"{options.negatives}_negatives",
            tell,
            half=not options.tuning_half,
            kept=options.results,
        )
    ]
    tell(f"\nmissed: {', '.join(missed)}" if missed else "\nall reached")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
