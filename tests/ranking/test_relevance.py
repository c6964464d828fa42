"""Grades by a model that gives no log-probabilities."""

from __future__ import annotations

from typing import Any

import pytest

from llmrec.errors import AnswerError
from llmrec.llm.scripted import ScriptedModel
from llmrec.recommender import Recommender
from tests.builders import writing_model

ITEMS = [
    {"id": "alien", "title": "Alien", "categories": ["Horror"], "description": "Hunted."},
    {"id": "plenty", "title": "Plenty", "categories": ["Cookbooks"]},
    {"id": "moon", "title": "Moon", "categories": ["Science fiction"]},
]
SAID = [{"user_id": "a", "action": "say", "text": "something quiet"}]
NO_INTERESTS: dict[str, Any] = {"interests": []}


def grades(*numbers: int) -> dict[str, Any]:
    return {"grades": [{"item": at, "grade": number} for at, number in enumerate(numbers, start=1)]}


def recommend(model: ScriptedModel, **options: Any) -> Any:
    with Recommender(model, ITEMS) as recommender:
        return recommender.recommend(recommender.profile(SAID), **options)


def test_grades_become_the_signal_and_the_order() -> None:
    model = writing_model(NO_INTERESTS, grades(3, 0, 9))
    ranking = recommend(model)
    assert [placed.item.id for placed in ranking] == ["moon", "alien", "plenty"]
    assert [placed.signals["relevance"].value for placed in ranking] == [9, 3, 0]
    assert "likelihood_ratio" not in ranking[0].signals
    assert ranking[0].why == "the model's relevance: 9.0"
    asked = model.history[-1].messages[-1].content
    assert "1. Alien (Horror): Hunted." in asked
    assert "Said: something quiet" in asked
    assert set(ranking.prompts) == {"ranking/relevance.en", "ranking/relevance_system.en"}


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        (grades(3, 0), "grades: item 3 has no grade"),
        (
            {"grades": [*grades(1, 2, 3)["grades"], {"item": 4, "grade": 1}]},
            "no item 4, only 1 to 3",
        ),
        ({"grades": [*grades(1, 2, 3)["grades"], {"item": 2, "grade": 1}]}, "item 2 has more than one grade"),
        (grades(3, 0, 11), "grades.2.grade: "),
        ("Alien is best.", "answer: "),
    ],
)
def test_a_wrong_answer_is_corrected_by_a_second_question(wrong: Any, fault: str) -> None:
    model = writing_model(NO_INTERESTS, wrong, grades(3, 0, 9))
    assert [placed.item.id for placed in recommend(model)] == ["moon", "alien", "plenty"]
    assert fault in model.history[-1].messages[-1].content


def test_an_answer_that_stays_wrong_is_an_error_and_no_ranking() -> None:
    model = writing_model(NO_INTERESTS, *[grades(3)] * 5)
    with Recommender(model, ITEMS) as recommender:
        profile = recommender.profile(SAID)
        with pytest.raises(AnswerError):
            recommender.recommend(profile)
        assert recommender.store.rankings("a") == []


def test_many_items_are_graded_in_lists_of_twenty() -> None:
    items = [{"id": f"{number:03}", "title": f"Film {number}"} for number in range(45)]
    model = writing_model(NO_INTERESTS, grades(*[1] * 20), grades(*[2] * 20), grades(*[3] * 5))
    with Recommender(model, items) as recommender:
        ranking = recommender.recommend(recommender.profile(SAID), k=45)
    assert ranking.candidates == 45
    assert [placed.item.id for placed in ranking][:5] == ["040", "041", "042", "043", "044"]
    assert [placed.signals["relevance"].value for placed in ranking][-1] == 1
