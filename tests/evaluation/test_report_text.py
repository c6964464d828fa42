"""The sentences at the head of a report."""

from __future__ import annotations

import pytest

from llmrec.evaluation.report_text import (
    by_headline,
    cautions,
    headline_sentence,
    protocol_sentence,
    verdict_of,
)
from llmrec.evaluation.types import (
    Comparison,
    EvaluationResult,
    Interval,
    ProtocolOptions,
    SystemResult,
)


def interval(mean: float, low: float, high: float) -> Interval:
    return Interval(mean=mean, low=low, high=high, people=200)


def system(name: str, mean: float | None, *, is_baseline: bool = False, failures: int = 0) -> SystemResult:
    return SystemResult(
        name=name,
        metrics={"ndcg@10": interval(mean, mean - 0.02, mean + 0.02)} if mean is not None else {},
        seconds_per_query=0.1,
        tokens_per_query=0,
        failures=failures,
        is_baseline=is_baseline,
    )


def result(*systems: SystemResult, difference: Interval | None = None, people: int = 200) -> EvaluationResult:
    compared = Comparison(
        metric="ndcg@10", system="llmrec", baseline="bm25", difference=difference or interval(0, 0, 0)
    )
    return EvaluationResult(
        dataset="films",
        fingerprint="f",
        protocol=ProtocolOptions(),
        people=people,
        items=100,
        candidates_per_query=20,
        chance={},
        systems=systems,
        comparisons=(compared,) if difference else (),
    )


@pytest.mark.parametrize(
    ("difference", "verdict", "words"),
    [
        (interval(0.042, 0.01, 0.07), "better", "+4.2 points (+1.0 to +7.0), exceeds"),
        (interval(-0.042, -0.07, -0.01), "worse", "The baseline is better: the difference, −4.2 points"),
        (interval(0.01, -0.01, 0.03), "even", "cannot be told apart with these people"),
        (interval(0.0, 0.0, 0.0), "even", "cannot be told apart"),
    ],
)
def test_the_best_is_held_against_the_best_baseline(difference: Interval, verdict: str, words: str) -> None:
    both = (system("popularity", 0.3, is_baseline=True), system("llmrec", 0.6))
    sentence = headline_sentence(result(*both, system("bm25", 0.55, is_baseline=True), difference=difference))
    assert verdict_of(difference) == verdict
    assert "llmrec reaches NDCG@10 60.0 (58.0 to 62.0)" in sentence
    assert "The best baseline, bm25, reaches 55.0" in sentence
    assert words in sentence


def test_runs_of_one_kind_say_what_they_can() -> None:
    assert headline_sentence(result(system("bm25", 0.5, is_baseline=True))).startswith("bm25 reaches")
    assert headline_sentence(result(system("llmrec", 0.5))).count(".") == 4
    assert headline_sentence(result(system("llmrec", None))) == "No system has a figure for NDCG@10."
    assert headline_sentence(result()) == "No system has a figure for NDCG@10."


def test_systems_are_ordered_by_the_headline_and_unmeasured_ones_last() -> None:
    found = by_headline(result(system("a", None), system("b", 0.2), system("c", 0.4)))
    assert [one.name for one in found] == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "last liked item; it is ranked among 19 other items, drawn evenly. Seed 0."),
        ({"negatives": "given", "negatives_name": "popular_negatives"}, "own negatives (popular_negatives)"),
        ({"split": "temporal", "temporal_share": 0.2}, "the last 20% of events"),
        ({"negatives": "retriever", "count": 50}, "the 50 items that BM25 finds closest"),
        ({"negatives": "all"}, "the whole catalogue"),
        ({"history_length": 1}, "Only the last 1 event of each history"),
        ({"part": "learning"}, "their figures flatter"),
        ({"part": "reporting"}, "These people are the half that llmrec tune leaves out"),
        ({"least_rating": 3.5, "users": 1500}, "at least 3.5 is a like. Up to 1,500 people are drawn"),
    ],
)
def test_a_protocol_in_words(options: dict, words: str) -> None:
    assert words in protocol_sentence(ProtocolOptions(**options))


def test_few_people_and_failures_are_cautioned_of() -> None:
    found = cautions(result(system("llmrec", 0.5, failures=3), system("bm25", 0.4), people=12))
    assert "12 people" in found[0]
    assert "llmrec 3" in found[1]
    assert cautions(result(system("llmrec", 0.5))) == []
