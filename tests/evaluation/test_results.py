"""From the judge's rows to figures, by hand."""

from __future__ import annotations

import math

import pytest

from llmrec.errors import InputError
from llmrec.evaluation.prepared import QueryFigures
from llmrec.evaluation.results import (
    BANDS,
    SystemFigures,
    band,
    bands,
    by_system,
    columns,
    comparisons,
    reliabilities,
    system_result,
)
from llmrec.evaluation.score_files import Price
from tests.evaluation.made_systems import MATERIAL, query

QUERIES = [query(f"u{at}", "a" * at, "bcde") for at in range(14)]


def figures(system, value, *, top=("b", "c"), **fields):
    return {
        asked.id: QueryFigures(
            query=asked.id,
            user_id=asked.user_id,
            system=system,
            history_length=len(asked.events),
            figures={"ndcg@10": value(at), "hit@10": 1.0, "mrr": 0.5},
            top=top,
            **fields,
        )
        for at, asked in enumerate(QUERIES)
    }


def system(name, value, *, is_baseline=False, **fields):
    found = figures(name, value, **fields)
    prices = {q.id: Price(seconds=at, tokens=10 * at, failures=at == 3) for at, q in enumerate(QUERIES)}
    return SystemFigures(name=name, figures=found, prices=prices, is_baseline=is_baseline)


GOOD = system("good", lambda at: 0.8 + at % 2 / 10)
LINE = system("line", lambda at: 0.3 + at % 2 / 10, is_baseline=True)


def test_rows_are_sorted_out():
    rows = [*GOOD.figures.values(), *LINE.figures.values()]
    assert by_system(rows) == {"good": GOOD.figures, "line": LINE.figures}


def test_columns_are_in_the_order_of_the_queries():
    table = columns({"u3": GOOD.figures["u3"]}, QUERIES[2:5], ("ndcg@10",))
    assert list(table) == ["ndcg@10"]
    assert math.isnan(table["ndcg@10"][0])
    assert table["ndcg@10"][1] == pytest.approx(0.9)
    assert columns({}, QUERIES) == {}


def test_a_system_has_all_figures_and_its_price():
    found = system_result(GOOD, QUERIES, MATERIAL)
    assert found.name == "good"
    assert found.metrics["ndcg@10"].mean == pytest.approx(0.85)
    assert found.metrics["ndcg@10"].low < 0.85 < found.metrics["ndcg@10"].high
    assert found.metrics["coverage@10"].mean == pytest.approx(2 / 6)
    assert {"gini@10", "novelty@10"} <= set(found.metrics)
    assert (found.seconds_per_query, found.tokens_per_query, found.failures) == (6.5, 65, 1)
    assert not found.is_baseline


def test_failed_queries_count_and_have_no_list():
    failed = {
        q: row.model_copy(update={"failed": "no answer", "top": ()}) if q in ("u1", "u2") else row
        for q, row in GOOD.figures.items()
    }
    found = system_result(SystemFigures("good", failed, {}, False), QUERIES, MATERIAL)
    assert found.failures == 2
    assert found.seconds_per_query == 0
    assert found.metrics["coverage@10"].people == 12
    with pytest.raises(InputError, match="nothing was measured of good"):
        system_result(SystemFigures("good", {}, {}, False), QUERIES, MATERIAL)


def test_everyone_is_compared_with_every_baseline_but_itself():
    other = system("other", lambda at: 0.3, is_baseline=True)
    found = comparisons([GOOD, LINE, other], QUERIES)
    pairs = [(one.system, one.baseline) for one in found if one.metric == "ndcg@10"]
    assert sorted(pairs) == [
        ("good", "line"),
        ("good", "other"),
        ("line", "other"),
        ("other", "line"),
    ]
    first = next(
        one for one in found if (one.system, one.baseline, one.metric) == ("good", "line", "ndcg@10")
    )
    # The same people in both: the difference has no spread, though both systems have.
    assert first.difference.mean == first.difference.low == first.difference.high == pytest.approx(0.5)
    assert {one.metric for one in found} == {"ndcg@10", "hit@10", "mrr"}


def test_bands_follow_the_length_of_the_history():
    found = bands([GOOD, LINE], QUERIES)
    assert [(one.label, one.people) for one in found] == [
        ("0", 1),
        ("1", 1),
        ("2", 1),
        ("3-5", 3),
        ("6-10", 5),
        ("11+", 3),
    ]
    assert found[3].metrics["good"]["ndcg@10"].mean == pytest.approx((0.9 + 0.8 + 0.9) / 3)
    assert [one.label for one in bands([GOOD], QUERIES[6:8])] == ["6-10"]
    assert [label for label, _, _ in BANDS] == ["0", "1", "2", "3-5", "6-10", "11+"]
    assert band("5", [GOOD, SystemFigures("none", {}, {}, True)], QUERIES[:2]).metrics.keys() == {"good"}


def test_probabilities_are_held_against_what_was_taken():
    sure = system(
        "sure",
        lambda at: 1.0,
        probabilities=(0.7, 0.1, 0.1, 0.1),
        taken=(True, False, False, False),
    )
    found = reliabilities([GOOD, sure])
    assert [one.system for one in found] == ["sure"]
    assert found[0].count == 4 * len(QUERIES)
    assert found[0].brier == pytest.approx((0.09 + 3 * 0.01) / 4)
