"""Queries through a system: what a failure leaves, when it stops, and how it goes on."""

from __future__ import annotations

import json

import pytest

from llmrec.errors import InputError
from llmrec.evaluation.score_files import ScoreFile
from llmrec.evaluation.scoring import Job, fingerprint_of, score_queries
from llmrec.evaluation.systems import FunctionSystem
from tests.evaluation.made_systems import Failing, query

QUERIES = [query(f"u{at}") for at in range(8)]


def test_every_query_is_scored_once(tmp_path):
    file, system, told = ScoreFile(tmp_path, "failing"), Failing(set()), []
    prices = score_queries(system, QUERIES, file, stage="ranking", progress=told.append)
    assert list(prices) == system.asked == [q.id for q in QUERIES]
    assert prices["u0"].tokens == 7
    assert set(file.read(list(prices))) == set(prices)
    assert [(one.done, one.total) for one in told] == [(at, 8) for at in range(9)]
    assert told[0].queries_per_second is None
    assert told[4].queries_per_second > 0
    assert told[-1].seconds_left == 0
    job = Job(system, QUERIES, file, "ranking")
    assert job.is_done()
    assert job.run(told.append) == prices
    assert len(told) == 9
    assert len(system.asked) == 8


def test_a_failure_is_recorded_and_the_run_goes_on(tmp_path):
    file, system = ScoreFile(tmp_path, "failing"), Failing({"u2", "u5"})
    prices = score_queries(system, QUERIES, file, stage="ranking")
    assert len(system.asked) == 8
    assert set(prices) == {q.id for q in QUERIES} - {"u2", "u5"}
    rows = {row["query"]: row for row in map(json.loads, file.path.read_text().splitlines())}
    assert rows["u2"]["error"] == "the server did not answer: try again"
    assert rows["u2"]["scores"] == []
    assert not Job(system, QUERIES, file, "ranking").is_done()

    better = Failing(set())
    assert len(score_queries(better, QUERIES, file, stage="ranking")) == 8
    assert better.asked == ["u2", "u5"]


def test_failures_in_a_row_stop_the_run(tmp_path):
    file, system = ScoreFile(tmp_path, "failing"), Failing({"u1", "u2", "u3"})
    with pytest.raises(
        InputError, match=r"failing failed at 3 queries in a row.*did not answer: try again\)"
    ):
        score_queries(system, QUERIES, file, stage="ranking", most_failures_in_a_row=3)
    assert system.asked == ["u0", "u1", "u2", "u3"]
    mended = Failing(set())
    score_queries(mended, QUERIES, file, stage="ranking")
    assert "u0" not in mended.asked
    assert len(mended.asked) == 7


def test_failures_apart_do_not_stop_it(tmp_path):
    system = Failing({"u1", "u2", "u4", "u5"})
    assert (
        len(score_queries(system, QUERIES, ScoreFile(tmp_path, "x"), stage="", most_failures_in_a_row=3)) == 4
    )


def test_a_stop_by_hand_loses_nothing_that_was_scored(tmp_path):
    def stopped(asked):
        if asked.id == "u3":
            raise KeyboardInterrupt
        return [0.0] * 4

    file = ScoreFile(tmp_path, "stopped")
    with pytest.raises(KeyboardInterrupt):
        score_queries(FunctionSystem("stopped", stopped), QUERIES, file, stage="ranking")
    assert list(file.read([q.id for q in QUERIES])) == ["u0", "u1", "u2"]


def test_a_fault_in_a_system_is_told_by_its_type_and_counts_as_a_failure(tmp_path):
    def faulty(asked):
        return [1 / 0] if asked.id == "u3" else [0.0] * 4

    file = ScoreFile(tmp_path, "f")
    prices = score_queries(FunctionSystem("faulty", faulty), QUERIES, file, stage="")
    assert set(prices) == {q.id for q in QUERIES} - {"u3"}
    rows = {row["query"]: row for row in map(json.loads, file.path.read_text().splitlines())}
    assert rows["u3"]["error"] == "ZeroDivisionError: division by zero"

    broken = FunctionSystem("broken", lambda asked: [1 / 0])
    with pytest.raises(InputError, match=r"broken failed at 5 queries in a row.*\(ZeroDivisionError"):
        score_queries(broken, QUERIES, ScoreFile(tmp_path, "b"), stage="")


@pytest.mark.parametrize("bad", [[1.0], [1.0] * 5, [1.0, float("nan"), 0.0, 0.0], [float("inf")] * 4])
def test_scores_that_are_no_number_a_candidate_are_tried_again(tmp_path, bad):
    file = ScoreFile(tmp_path, "mine")
    score_queries(FunctionSystem("mine", lambda asked: bad), QUERIES, file, stage="")
    assert not Job(Failing(set()), QUERIES, file, "").is_done()
    better = Failing(set())
    assert len(score_queries(better, QUERIES, file, stage="")) == len(better.asked) == 8


def test_notes_of_scores_are_kept(tmp_path):
    class Noting(Failing):
        def scores(self, query):
            return super().scores(query).model_copy(update={"notes": ("the weights are old",)})

    file = ScoreFile(tmp_path, "noting")
    told = score_queries(Noting(set()), QUERIES, file, stage="")
    assert told["u0"].notes == ("the weights are old",)
    assert score_queries(Noting(set()), QUERIES, file, stage="") == told


def test_what_a_system_says_that_it_is():
    assert fingerprint_of(Failing(set())) == "1"
    assert fingerprint_of(object()) == ""
