"""An evaluation as a run would give it, made of simulated people."""

from __future__ import annotations

import numpy as np

from llmrec.evaluation.calibration import reliability
from llmrec.evaluation.intervals import interval, intervals, paired_intervals, without_interval
from llmrec.evaluation.metrics import chance, figures_of_rows
from llmrec.evaluation.types import (
    Comparison,
    EvaluationResult,
    HistoryBand,
    Interval,
    ProbeResult,
    ProtocolOptions,
    SystemResult,
)

# Name, how much better than the others it scores the target, seconds, tokens, failures, whether a baseline.
SYSTEMS = [
    ("random", 0.0, 0.00002, 0, 0, True),
    ("popularity", 0.75, 0.00009, 0, 0, True),
    ("bm25", 1.25, 0.0021, 0, 0, True),
    ("co-occurrence", 1.55, 0.0032, 0, 0, True),
    ("bm25+popularity+co-occurrence", 1.95, 0.0055, 0, 0, True),
    ("llmrec", 2.3, 0.62, 2150, 0, False),
    ("llmrec, ungated", 2.2, 0.61, 2150, 0, False),
    ("likelihood ratio", 1.15, 0.55, 2000, 0, False),
    ("query likelihood", 1.0, 0.71, 2600, 3, False),
    ("问答相关性 (yes/no)", 0.6, 0.58, 2100, 0, False),
]
BANDS = ["1–2", "3–5", "6–10", "11–20", "21+"]


def sample_result(people: int = 400, draws: int = 300) -> EvaluationResult:
    generator = np.random.default_rng(42)
    targets = np.zeros((people, 20), dtype=bool)
    targets[:, 0] = True
    common = generator.normal(size=(people, 20))
    band_of = generator.choice(5, size=people, p=[0.1, 0.25, 0.3, 0.25, 0.1])
    figures: dict[str, dict[str, np.ndarray]] = {}
    for name, better, *_ in SYSTEMS:
        scores = 0.6 * common + 0.8 * generator.normal(size=(people, 20))
        scores[:, 0] += better * (0.5 + 0.2 * band_of)
        figures[name] = figures_of_rows(np.zeros((people, 20)) if name == "random" else scores, targets)
    systems = []
    for name, better, seconds, tokens, failures, is_baseline in SYSTEMS:
        metrics = intervals(figures[name], draws=draws)
        metrics["coverage@10"] = without_interval(0.31 + better / 10, people)
        metrics["gini@10"] = without_interval(0.62 - better / 20, people)
        metrics["word_diversity@10"] = interval(0.9 + 0.05 * generator.random(people), draws=draws)
        metrics["novelty@10"] = interval(9 - better + generator.normal(size=people), draws=draws)
        metrics["popularity_lift@10"] = Interval(
            mean=0.8 + better / 2, low=0.7 + better / 2, high=0.9 + better / 2, people=people
        )
        systems.append(
            SystemResult(
                name=name,
                metrics=metrics,
                seconds_per_query=seconds,
                tokens_per_query=tokens,
                failures=failures,
                is_baseline=is_baseline,
            )
        )
    headline = {name: found["ndcg@10"] for name, found in figures.items()}
    baselines = {name: headline[name] for name, *_, is_baseline in SYSTEMS if is_baseline}
    comparisons = [
        Comparison(metric="ndcg@10", system=name, baseline=baseline, difference=difference)
        for (name, baseline), difference in paired_intervals(headline, baselines, draws=draws).items()
    ]
    bands = [
        HistoryBand(
            label=label,
            people=int((band_of == at).sum()),
            metrics={
                name: {"ndcg@10": interval(values[band_of == at], draws=draws)}
                for name, values in headline.items()
            },
        )
        for at, label in enumerate(BANDS)
    ]
    said = generator.beta(0.6, 8.0, size=people * 20)
    taken = generator.random(people * 20) < 0.75 * said + 0.012
    return EvaluationResult(
        dataset="games",
        fingerprint="3f9c02d177aa41e0",
        protocol=ProtocolOptions(users=people, part="reporting"),
        people=people,
        items=17408,
        candidates_per_query=20.0,
        chance=chance(20),
        systems=tuple(systems),
        comparisons=tuple(comparisons),
        bands=tuple(bands),
        probes=(
            probe(
                "candidate-order",
                "Does the ranking stay when the candidates are listed in another order?",
                (0.571, 0.571),
                "No ranking of 400 changes with the order of the candidates.",
            ),
            probe(
                "other-history",
                "Does the ranking need this person's history, or does any history do?",
                (0.571, 0.312),
                "The history is needed: with another person's the ranking loses 25.9 points of "
                "NDCG@10, and what remains above chance (22.7) is not about the person.",
            ),
            probe(
                "history-shuffled",
                "Does it matter in which order the person did things?",
                (0.571, 0.566),
                "The order of the history makes no difference that can be measured.",
            ),
        ),
        reliability=(reliability("llmrec", said, taken),),
        settings={
            "model": "embedded (SmolLM2-135M-Instruct, Q8_0)",
            "weights": "likelihood_ratio 0.21, bm25 0.34, popularity 0.18, co_occurrence 0.27",
            "llmrec": "0.1.0",
            "machine": "2 cores, x86_64",
            "draws": "2,000, seed 0",
        },
        command="llmrec evaluate data/games --users 400 --part reporting --report report.html",
        notes=("Popularity and co-occurrence read a log of 15,264 people, without anything held out.",),
    )


def probe(name: str, question: str, means: tuple[float, float], verdict: str) -> ProbeResult:
    before, after = means
    return ProbeResult(
        name=name,
        question=question,
        system="llmrec",
        before=Interval(mean=before, low=before - 0.03, high=before + 0.03, people=400),
        after=Interval(mean=after, low=after - 0.028, high=after + 0.028, people=400),
        difference=Interval(
            mean=after - before, low=after - before - 0.01, high=min(after - before + 0.01, 0.02), people=400
        ),
        verdict=verdict,
    )
