"""From a file of scores to figures, by hand, and rows that are no ranking."""

from __future__ import annotations

import json
import math

import pytest

from llmrec.behavior.events import Catalog, Event
from llmrec.errors import InputError
from llmrec.evaluation.measuring import measure_system
from llmrec.evaluation.protocols import Case
from llmrec.evaluation.types import Query

CATALOG = Catalog({"id": i, "title": i} for i in "abcdefgh")


def case(user="u", candidates="abcd", targets="c", events="e", consumed="ef"):
    shown = tuple(Event(user_id=user, action="purchase", item_id=item) for item in events)
    query = Query(id=user, user_id=user, events=shown, candidates=tuple(candidates))
    return Case(query, tuple(targets), frozenset(consumed), len(candidates))


def measured(tmp_path, *rows, cases=None, at=(1, 2, 3)):
    path = tmp_path / "system.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return list(measure_system("system", path, cases or [case()], CATALOG, at))


def test_figures_by_hand(tmp_path):
    (row,) = measured(tmp_path, {"query": "u", "scores": [0.5, -1, 0.25, 0]})
    assert (row.query, row.user_id, row.system, row.history_length) == ("u", "u", "system", 1)
    assert row.top == ("a", "c", "d")
    assert row.figures["ndcg@1"] == 0
    assert row.figures["ndcg@2"] == pytest.approx(1 / math.log2(3))
    assert row.figures["mrr"] == 0.5
    assert row.figures["hit@3"] == 1
    assert row.figures["auc"] == pytest.approx(2 / 3)
    assert row.target_probability is None
    assert row.failed == ""


def test_probabilities(tmp_path):
    probabilities = [0.1, 0.2, 0.6, 0.1]
    (row,) = measured(tmp_path, {"query": "u", "scores": [1, 2, 3, 4], "probabilities": probabilities})
    assert row.target_probability == 0.6
    assert row.probabilities == tuple(probabilities)
    assert row.taken == (False, False, True, False)


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        ([1, 2, 3], "it has 3 scores for 4 candidates"),
        ([1, 2, 3, math.nan], "score number 4 is not a finite number"),
        ([1, -math.inf, 3, 4], "score number 2 is not a finite number"),
        ([None, 2, 3, 4], "score number 1 is not a finite number"),
        ([1, 2, True, 4], "score number 3 is not a finite number"),
        ([1, 2, 3, 10**400], "score number 4 is not a finite number"),
        ("1234", "it has no list of scores"),
    ],
)
def test_a_row_that_is_no_ranking_has_the_worst_figures(tmp_path, scores, reason):
    (row,) = measured(tmp_path, {"query": "u", "scores": scores})
    assert reason in row.failed
    assert set(row.figures.values()) == {0.0}
    good = measured(tmp_path, {"query": "u", "scores": [1, 2, 3, 4]})[0]
    assert set(row.figures) == set(good.figures)
    assert row.top == ()


def test_a_failure_is_told_in_the_systems_own_words(tmp_path):
    (row,) = measured(tmp_path, {"query": "u", "scores": [], "error": "the server did not answer"})
    assert row.failed == "the server did not answer"


def test_the_last_row_counts_and_a_torn_one_does_not(tmp_path):
    path = tmp_path / "system.jsonl"
    first, last = ({"query": "u", "scores": scores} for scores in ([0, 0, 0, 9], [0, 0, 9, 0]))
    path.write_text(f'{json.dumps(first)}\n{json.dumps(last)}\n{{"query": "u", "scor')
    (row,) = measure_system("system", path, [case(), case("v")], CATALOG, (1,))
    assert row.figures["hit@1"] == 1


def test_the_whole_catalogue_less_what_was_consumed(tmp_path):
    # Shown is e alone: f is ranked too, and its place is not held against the system.
    whole = case(candidates="", targets="c")
    (row,) = measured(tmp_path, {"query": "u", "scores": [1, 2, 3, 4, 9, 5, 0]}, cases=[whole])
    assert row.top == ("g", "d", "c")
    assert row.figures["mrr"] == pytest.approx(1 / 3)
    assert row.probabilities == ()


def test_rows_of_another_run_or_of_nothing(tmp_path):
    with pytest.raises(InputError, match="a query 'x' that was not asked"):
        measured(tmp_path, {"query": "x", "scores": [1]})
    with pytest.raises(InputError, match="line 1 is not a row of scores"):
        measured(tmp_path, {"scores": [1]})
    with pytest.raises(InputError, match="cannot be read"):
        list(measure_system("s", tmp_path / "none.jsonl", [case()], CATALOG, (1,)))
