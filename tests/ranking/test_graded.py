"""Expected grades, and written ones."""

from __future__ import annotations

import math
from typing import Any

import pytest

from llmrec.errors import ContextLengthError, ModelError
from llmrec.llm.base import Score
from llmrec.ranking.graded import Graded, expected_grade
from tests.builders import scoring_model, writing_model
from tests.ranking.asking_models import LIBRARY, Judge, films, request_of, viewer


def scores_of(*probabilities: float) -> list[Score]:
    return [Score(logprob=math.log(p), tokens=1) for p in probabilities]


def test_the_grade_is_expected_over_the_grades_alone() -> None:
    assert expected_grade(scores_of(0.1, 0.1, 0.1, 0.1, 0.1)) == pytest.approx(2.0)
    assert expected_grade(scores_of(1e-9, 1e-9, 1e-9, 0.3, 0.1)) == pytest.approx(3.25, abs=1e-6)
    assert expected_grade([Score(logprob=-2000.0 - 50 * g, tokens=1) for g in range(5)]) == pytest.approx(0)


def test_every_grade_is_scored_after_each_item() -> None:
    model = scoring_model(
        lambda prefix, grade: -0.1 if grade == (" 4" if "Film 1" in prefix else " 1") else -50.0
    )
    scores = Graded(model, LIBRARY).score(request_of(films(2), profile=viewer(1)))
    assert scores.scores == pytest.approx((1.0, 4.0), abs=1e-6)
    assert model.history[0].continuations == (" 0", " 1", " 2", " 3", " 4")


def test_written_grades_come_to_the_same_scale() -> None:
    grades = {"grades": [{"item": 1, "grade": 10}, {"item": 2, "grade": 5}]}
    model = writing_model(grades)
    scores = Graded(model, LIBRARY).score(request_of(films(2)))
    assert sorted(scores.scores) == [2.0, 4.0]
    assert set(scores.prompts) == {"ranking/relevance.en", "ranking/relevance_system.en"}


def test_a_list_longer_than_the_context_is_halved_within_what_may_be_asked_again() -> None:
    class Narrow(Judge):
        def generate(self, messages: Any, **options: Any) -> Any:
            if len(self.films(messages[1].content)) > 3:
                self.asked += 1
                raise ContextLengthError("too long")
            return super().generate(messages, **options)

    model = Narrow({n: 4.0 * n for n in range(10)}, capabilities=writing_model().capabilities)
    scores = Graded(model, LIBRARY).score(request_of(films(10)))
    assert scores.scores == pytest.approx([0.4 * n for n in range(10)])
    assert scores.notes == ()


def test_many_items_are_graded_in_lists_and_a_failed_one_keeps_its_places() -> None:
    def broken(number: int) -> None:
        if number == 2:
            raise ModelError("no")

    model = Judge(dict.fromkeys(range(45), 20.0), capabilities=writing_model().capabilities, broken=broken)
    scores = Graded(model, LIBRARY).score(request_of(films(45)))
    assert model.asked == 3
    assert len(scores.failures) == 1
    assert set(scores.scores) == {2.0}
