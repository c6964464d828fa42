"""How good rankings are, and what each part adds: targets of the games, movielens and food-kitchen sets.

    python -m benchmarks.ranking_quality --data PATH --folder RUN

For people of each `dev.jsonl`, every signal of 20 candidates is measured: the target and 19 negatives, once
drawn at random and once by popularity. One half of the people (by a hash of the id) teaches weights, gate and
text affinity; all figures are of the other half, NDCG@10 with 95% bootstrap intervals over people, paired
where two rankings are compared. Targets stay with the judge's process: those of the reported half are never
seen here, those of the other half only when all its signals are measured. The baselines are BM25 over the
titles of the last ten items, popularity, co-occurrence and sums of their z-scores.

`--folder` keeps every measured person: a run that stopped goes on there. `--strategy none` asks no model.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.machine import describe_machine
from llmrec import Recommender
from llmrec.evaluation import judge
from llmrec.evaluation.baselines import baselines
from llmrec.evaluation.datasets import DataSource
from llmrec.evaluation.intervals import interval, paired
from llmrec.evaluation.prepared import read_figures, read_material, read_queries
from llmrec.evaluation.score_files import ScoreFile
from llmrec.evaluation.scoring import score_queries
from llmrec.evaluation.tuning import SignalSystem, affinities_of
from llmrec.evaluation.types import Material, ProtocolOptions, Query, Scored
from llmrec.evaluation.weight_learning import LabelledCase, fused_scores, learn_weights
from llmrec.ranking.strategies import STRATEGIES
from llmrec.weights import FusionWeights, LogFusionWeights, SignalWeights

AT = "ndcg@10"
LOG_SIGNALS = ("popularity", "co_occurrence", "item_factors", "popular_factors")
LEFT_OUT = {
    "tuned, text": LOG_SIGNALS,
    "tuned, text, no affinity": (*LOG_SIGNALS, "text_affinity", "text_appeal"),
    "tuned, log": (),
}
"""What is learned, and the signals it does without."""
SHIPPED: dict[str, SignalWeights] = {"shipped, text": FusionWeights(), "shipped, log": LogFusionWeights()}
NO_MODEL = "none"
SignalsOf = Mapping[str, Mapping[str, Sequence[float]]]
"""The signals of each person's candidates."""
TARGETS = {
    ("games", "random_negatives", "text"): 62,
    ("games", "popular_negatives", "text"): 58,
    ("games", "random_negatives", "log"): 76,
    ("games", "popular_negatives", "log"): 66,
    ("movielens", "popular_negatives", "text"): 46,
    ("food-kitchen", "popular_negatives", "text"): 40,
}
"""What was to be reached, NDCG@10 times 100."""


@dataclass(frozen=True)
class Measured:
    """The signals of one part's people, by the name of the negatives."""

    folders: Mapping[str, Path]
    queries: Mapping[str, Sequence[Query]]
    scored: Mapping[str, Mapping[str, Scored]]


def protocol(negatives: str, part: str, users: int | None) -> ProtocolOptions:
    """What is asked."""
    return ProtocolOptions(
        split="given",
        negatives="given",
        negatives_name=negatives,
        part=part,
        users=users,
    )


def measure(
    source: DataSource,
    folder: Path,
    part: str,
    users: int | None,
    strategy: str,
    taught: Sequence[Query],
    kinds: Sequence[str],
) -> Measured:
    """Measure the signals of a part's people, those already measured left out.

    `taught` are the queries whose histories teach the text affinity; where they are this part's own, each
    fifth of the people is measured with what the others taught.
    """
    folders = {negatives: folder / f"{negatives}-{part}" for negatives in kinds}
    for negatives, own in folders.items():
        judge.prepare(source, protocol(negatives, part, users), own)
    queries = {negatives: read_queries(own) for negatives, own in folders.items()}
    files = {negatives: ScoreFile(own, "signals") for negatives, own in folders.items()}
    waiting = {
        negatives: {query.id for query in queries[negatives]}
        - set(files[negatives].resume([query.id for query in queries[negatives]]))
        for negatives in kinds
    }
    if any(waiting.values()):
        material = read_material(folders[kinds[0]])
        with open_recommender(material) as recommender:
            of_fold, whole = affinities_of(recommender, taught or queries[kinds[0]], None)
            fold_of = {query.user_id: at % len(of_fold) for at, query in enumerate(queries[kinds[0]])}
            system = SignalSystem(
                recommender,
                lambda query: whole if taught else of_fold[fold_of[query.user_id]],
                basis="history",
                strategy=strategy,
            )
            by_person = {
                negatives: {query.user_id: query for query in queries[negatives]} for negatives in kinds
            }
            began = time.perf_counter()
            for number, query in enumerate(queries[kinds[0]], start=1):
                # What the model read of a person is still there for the other candidates.
                for negatives in kinds:
                    own_query = by_person[negatives].get(query.user_id)
                    if own_query is None or own_query.id not in waiting[negatives]:
                        continue
                    with files[negatives].appending() as writer:
                        writer.write(own_query.id, system.scores(own_query))
                if number % 20 == 0:
                    spent = time.perf_counter() - began
                    print(
                        f"{source.path.name} {part}: {number} of {len(fold_of)}, {spent:.0f} s",
                        file=sys.stderr,
                        flush=True,
                    )
    scored = {negatives: files[negatives].read([q.id for q in queries[negatives]]) for negatives in kinds}
    return Measured(folders, queries, scored)


def open_recommender(material: Material) -> Recommender:
    """The embedded model over a catalogue and a log; profiles are made without the model."""
    return Recommender("embedded", material.catalog, log=material.log, labelled_by_model=0, language="en")


def labelled(
    source: DataSource, measured: Measured, negatives: str, users: int | None, signals: SignalsOf
) -> list[LabelledCase]:
    """The learning people's cases, with these signals by person."""
    taken = judge.targets(source, protocol(negatives, "learning", users))
    return [
        LabelledCase(
            query.user_id,
            signals[query.user_id],
            [item_id in taken[query.id] for item_id in query.candidates],
        )
        for query in measured.queries[negatives]
        if query.user_id in signals
    ]


def signals_of(measured: Measured, negatives: str) -> SignalsOf:
    """What was measured, by person."""
    scored = measured.scored[negatives]
    return {
        query.user_id: scored[query.id].signals for query in measured.queries[negatives] if query.id in scored
    }


def with_model(base: SignalsOf, asked: SignalsOf, model_signal: str) -> SignalsOf:
    """The signals of those whom the model was asked about, its own beside the others."""
    return {
        person: {**base[person], model_signal: own[model_signal]}
        for person, own in asked.items()
        if model_signal in own
    }


def without(signals: Mapping[str, Sequence[float]], names: Sequence[str]) -> dict[str, Sequence[float]]:
    """Signals less some."""
    return {name: values for name, values in signals.items() if name not in names}


def taught_weights(
    cases: Sequence[LabelledCase], starts: Mapping[str, SignalWeights], model_signal: str | None
) -> dict[str, SignalWeights]:
    """The weights of each kind, learned from the cases."""
    found = {}
    for title, names in LEFT_OUT.items():
        own = [LabelledCase(case.person, without(case.signals, names), case.taken) for case in cases]
        found[title] = learn_weights(own, starts[title], model_signal=model_signal).weights
    return found


def report(
    source: DataSource,
    folder: Path,
    users: tuple[int | None, int | None],
    strategy: str,
    kinds: Sequence[str],
) -> list[str]:
    """Measure, learn, and tell the figures of one data set; returns what was missed."""
    name = source.path.name
    learning = measure(source, folder / NO_MODEL, "learning", None, NO_MODEL, (), kinds)
    taught = learning.queries[kinds[0]]
    reporting = measure(source, folder / NO_MODEL, "reporting", None, NO_MODEL, taught, kinds)
    missed: list[str] = []
    weights: dict[str, dict[str, SignalWeights]] = {}
    for negatives in kinds:
        starts = {title: _shipped(title) for title in LEFT_OUT}
        cases = labelled(source, learning, negatives, None, signals_of(learning, negatives))
        weights[negatives] = taught_weights(cases, starts, None)
        rankings = {**SHIPPED, **weights[negatives]}
        figures = judged(source, reporting, negatives, None, rankings, signals_of(reporting, negatives))
        tell(name, f"{negatives}, no model", figures, weights[negatives])
        tell_gains(
            figures, [("tuned, text", "bm25"), ("shipped, text", "bm25"), ("tuned, log", "shipped, log")]
        )
        if strategy == NO_MODEL:
            missed += compared_with_targets(name, negatives, figures)
    if strategy == NO_MODEL:
        return missed
    people = {"learning": users[0], "reporting": users[1]}
    asked = {
        part: measure(source, folder / strategy, part, own, strategy, taught, kinds)
        for part, own in people.items()
    }
    for negatives in kinds:
        learned_signals = with_model(
            signals_of(learning, negatives), signals_of(asked["learning"], negatives), strategy
        )
        cases = labelled(source, asked["learning"], negatives, users[0], learned_signals)
        starts = {
            title: found.model_copy(update={"model": 0.1}) for title, found in weights[negatives].items()
        }
        modelled = taught_weights(cases, starts, strategy)
        rankings = {
            **SHIPPED,
            **modelled,
            **{f"{title}, no model": found for title, found in weights[negatives].items()},
        }
        signals = with_model(
            signals_of(reporting, negatives), signals_of(asked["reporting"], negatives), strategy
        )
        figures = judged(source, asked["reporting"], negatives, users[1], rankings, signals)
        tell(name, f"{negatives}, {strategy}", figures, modelled)
        tell_gains(
            figures,
            [
                ("tuned, text", "bm25"),
                ("shipped, text", "bm25"),
                *((title, f"{title}, no model") for title in LEFT_OUT),
            ],
        )
        missed += compared_with_targets(name, negatives, figures)
        seconds = [one.seconds for one in asked["reporting"].scored[negatives].values()]
        print(f"  seconds a person, 20 candidates: median {np.median(seconds):.2f}")
    return missed


def _shipped(title: str) -> SignalWeights:
    return LogFusionWeights() if "log" in title else FusionWeights()


def tell(
    name: str, what: str, figures: Mapping[str, Sequence[float]], learned: Mapping[str, SignalWeights]
) -> None:
    """Write the figures of one data set and protocol."""
    print(f"\n{name}, {what}: {len(figures['bm25'])} people of the reported half, {AT} x 100")
    for title, values in figures.items():
        found = interval(values)
        print(f"  {title:<34}{100 * found.mean:6.1f}  [{100 * found.low:.1f}, {100 * found.high:.1f}]")
    for title, found_weights in learned.items():
        kept = {key: value for key, value in found_weights.model_dump().items() if value}
        print(f"  weights, {title}: {json.dumps(kept)}")


def tell_gains(figures: Mapping[str, Sequence[float]], pairs: Sequence[tuple[str, str]]) -> None:
    """Write paired differences."""
    for one, other in pairs:
        gain = paired(figures[one], figures[other])
        ends = f"[{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]"
        print(f"  {one} - {other}: {100 * gain.mean:+.1f} {ends}")


def compared_with_targets(name: str, negatives: str, figures: Mapping[str, Sequence[float]]) -> list[str]:
    """Write what was to be reached beside what was; returns what was missed."""
    missed = []
    for kind in ("text", "log"):
        wanted = TARGETS.get((name, negatives, kind))
        if wanted is None:
            continue
        got = 100 * float(np.mean(figures[f"tuned, {kind}"]))
        print(f"  to reach, {kind}: {wanted}; reached: {got:.1f}")
        if got < wanted:
            missed.append(f"{name}, {negatives}, {kind}: {got:.1f} of {wanted}")
    return missed


def judged(
    source: DataSource,
    measured: Measured,
    negatives: str,
    users: int | None,
    rankings: Mapping[str, SignalWeights],
    signals: SignalsOf,
) -> dict[str, list[float]]:
    """NDCG@10 of each person: of the baselines, each signal alone, and the fused rankings."""
    folder = measured.folders[negatives]
    queries = [query for query in measured.queries[negatives] if query.user_id in signals]
    titles: dict[str, str] = {}

    def keep(title: str, scores_of: Mapping[str, Sequence[float]]) -> None:
        key = f"ranking-{len(titles)}"
        titles[key] = title
        file = ScoreFile(folder, key)
        file.remove()
        with file.appending() as writer:
            for query in queries:
                writer.write(query.id, Scored(scores=tuple(map(float, scores_of[query.id]))))

    lines, _ = baselines(read_material(folder), seed=0)
    for line in lines:
        titles[line.name] = line.name
        score_queries(line, queries, ScoreFile(folder, line.name), stage=line.name)
    first = signals[queries[0].user_id]
    model_signal = next((name for name in first if name in STRATEGIES), None)
    for name in first:
        keep(f"signal {name}", {query.id: signals[query.user_id][name] for query in queries})
    for title, weights in rankings.items():
        kept = set(first) if "log" in title else set(first) - set(LOG_SIGNALS)
        kept -= {model_signal} if "no model" in title else set()
        keep(
            title,
            {
                query.id: fused_scores(
                    {name: signals[query.user_id][name] for name in first if name in kept},
                    weights,
                    model_signal=model_signal,
                )
                for query in queries
            },
        )
    judge.measure(folder, source, protocol(negatives, "reporting", users), at=(10,))
    figures: dict[str, dict[str, float]] = {}
    for row in read_figures(folder):
        if row.system in titles:
            figures.setdefault(titles[row.system], {})[row.query] = row.figures[AT]
    return {title: [figures[title][query.id] for query in queries] for title in titles.values()}


def main() -> None:
    """Run the data sets; exit code 1 when something that was to be reached is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder of the data sets")
    parser.add_argument("--folder", type=Path, required=True, help="where what was measured is kept")
    parser.add_argument("--only", choices=["games", "movielens", "food-kitchen"], action="append")
    parser.add_argument("--negatives", choices=["random", "popular"], action="append")
    parser.add_argument("--learning-users", type=int, help="people who teach the model's weight (all)")
    parser.add_argument("--users", type=int, help="people of the figures with the model (all of the half)")
    parser.add_argument("--strategy", default="likelihood_ratio", help="how the model is asked, or none")
    options = parser.parse_args()
    print(json.dumps(describe_machine()), flush=True)
    missed: list[str] = []
    for dataset in options.only or ["games", "movielens", "food-kitchen"]:
        source = DataSource(path=options.data / dataset)
        folder = options.folder / dataset
        people = (options.learning_users, options.users)
        kinds = [f"{kind}_negatives" for kind in options.negatives or ["random", "popular"]]
        missed += report(source, folder, people, options.strategy, kinds)
    print("\nmissed: " + "; ".join(missed) if missed else "\nall reached")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
