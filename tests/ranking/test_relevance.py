"""Grades by a model that gives no log-probabilities."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from llmrec.behavior.events import Item
from llmrec.errors import AnswerError, ContextLengthError
from llmrec.llm.base import Completion
from llmrec.llm.scripted import ScriptedModel
from llmrec.prompting.templates import PromptLibrary
from llmrec.ranking.context import ItemLine, PersonContext
from llmrec.ranking.relevance import relevance_grades
from llmrec.recommender import Recommender
from llmrec.weights import SIGNAL_FIELDS
from tests.builders import WRITES_ONLY, writing_model

ITEMS = [
    {"id": "alien", "title": "Alien", "categories": ["Horror"], "description": "Hunted."},
    {"id": "plenty", "title": "Plenty", "categories": ["Cookbooks"]},
    {"id": "moon", "title": "Moon", "categories": ["Science fiction"]},
]
SAID = [{"user_id": "a", "action": "say", "text": "something quiet"}]
NO_INTERESTS: dict[str, Any] = {"interests": []}


ONLY_MODEL = {**dict.fromkeys(SIGNAL_FIELDS, 0), "model": 1}


def grades(*numbers: int) -> dict[str, Any]:
    return {"grades": [{"item": at, "grade": number} for at, number in enumerate(numbers, start=1)]}


# The model is shown them shuffled: Plenty, Alien, Moon.
SHOWN_GRADES = grades(0, 3, 9)


def recommend(model: ScriptedModel, **options: Any) -> Any:
    with Recommender(model, ITEMS, fusion=ONLY_MODEL) as recommender:
        return recommender.recommend(recommender.profile(SAID), **options)


def test_grades_become_the_signal_and_the_order() -> None:
    model = writing_model(NO_INTERESTS, SHOWN_GRADES)
    ranking = recommend(model)
    assert [placed.item.id for placed in ranking] == ["moon", "alien", "plenty"]
    # Grades of 0 to 10, on the scale of 0 to 4 that all grades have.
    assert [placed.signals["graded"].value for placed in ranking] == pytest.approx([3.6, 1.2, 0])
    assert "likelihood_ratio" not in ranking[0].signals
    assert ranking[0].why == "the model's grade: 3.6 of 4"
    asked = model.history[-1].messages[-1].content
    assert "2. Alien (Horror): Hunted." in asked
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
    model = writing_model(NO_INTERESTS, wrong, SHOWN_GRADES)
    assert [placed.item.id for placed in recommend(model)] == ["moon", "alien", "plenty"]
    assert fault in model.history[-1].messages[-1].content


def test_an_answer_that_stays_wrong_is_an_error_and_no_ranking() -> None:
    model = writing_model(NO_INTERESTS, *[grades(3)] * 5)
    with Recommender(model, ITEMS, fusion=ONLY_MODEL) as recommender:
        profile = recommender.profile(SAID)
        with pytest.raises(AnswerError):
            recommender.recommend(profile)
        assert recommender.store.rankings("a") == []


def test_many_items_are_graded_in_lists_of_twenty() -> None:
    items = [{"id": f"{number:03}", "title": f"Film {number}"} for number in range(45)]
    model = writing_model(NO_INTERESTS, grades(*[1] * 20), grades(*[2] * 20), grades(*[3] * 5))
    with Recommender(model, items, fusion=ONLY_MODEL) as recommender:
        ranking = recommender.recommend(recommender.profile(SAID), candidates=items, k=45)
    assert ranking.candidates == 45
    assert [placed.item.id for placed in ranking][:5] == ["040", "041", "042", "043", "044"]
    assert [placed.signals["graded"].value for placed in ranking][-1] == pytest.approx(0.4)


class NarrowModel(ScriptedModel):
    """Grades `Film N` by N modulo 11, and refuses more than so many liked things and candidates together."""

    def __init__(self, most: int) -> None:
        super().__init__(capabilities=WRITES_ONLY)
        self.most = most
        self.asked: list[tuple[int, int]] = []
        """How many liked things and how many candidates each question showed."""
        self.liked: list[str] = []

    def generate(self, messages: Any, **options: Any) -> Completion:
        content = messages[-1].content
        self.liked = re.findall(r"Liked (\d+)", content)
        candidates = re.findall(r"(?m)^\d+\. Film (\d+)", content)
        self.asked.append((len(self.liked), len(candidates)))
        if sum(self.asked[-1]) > self.most:
            self.enqueue(ContextLengthError("too long"))
        else:
            self.enqueue(grades(*(int(number) % 11 for number in candidates)))
        return super().generate(messages, **options)


def grade_films(model: ScriptedModel, films: int, liked: int) -> tuple[list[float], list[str], list[int]]:
    person = PersonContext((), (), tuple(ItemLine(f"Liked {number}", "") for number in range(liked)))
    items = [Item(id=str(number), title=f"Film {number}") for number in range(films)]
    done: list[int] = []
    values, _, notes = relevance_grades(
        model, PromptLibrary(), "en", person, items, lambda at, total: done.append(at)
    )
    return values, notes, done


def test_a_list_longer_than_the_context_is_halved_and_no_grade_is_misplaced() -> None:
    model = NarrowModel(10)
    values, notes, done = grade_films(model, films=25, liked=4)
    assert values == [number % 11 for number in range(25)]
    assert [candidates for _, candidates in model.asked] == [20, 10, 5, 5, 10, 5, 5, 5]
    assert done == [5, 10, 15, 20, 25]
    assert notes == []


def test_a_history_longer_than_the_context_loses_the_oldest_and_all_are_graded_alike() -> None:
    model = NarrowModel(6)
    values, notes, done = grade_films(model, films=4, liked=20)
    assert values == [0, 1, 2, 3]
    too_long = [(liked, candidates) for liked in (20, 10) for candidates in (4, 2, 1)]
    assert model.asked == [*too_long, (5, 4), (5, 2), (5, 1), (5, 1), (5, 2), (5, 1), (5, 1)]
    assert model.liked == ["15", "16", "17", "18", "19"]
    assert notes == ["the model read all but the 15 oldest events, which do not fit its context"]
    assert done == [1, 2, 3, 4]


def test_a_context_for_not_even_one_of_each_is_an_error() -> None:
    model = NarrowModel(1)
    with pytest.raises(ContextLengthError):
        grade_films(model, films=2, liked=4)
    assert model.asked == [(4, 2), (4, 1), (2, 2), (2, 1), (1, 2), (1, 1)]


def test_an_unusable_answer_costs_no_history() -> None:
    model = writing_model(*["Alien is best."] * 3)
    with pytest.raises(AnswerError):
        grade_films(model, films=2, liked=4)
    assert len(model.history) == 3


def test_grades_are_stored_under_the_fingerprint_of_their_prompt(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    with Recommender(writing_model(NO_INTERESTS, SHOWN_GRADES), ITEMS, store=path) as recommender:
        profile = recommender.profile(SAID)
        ranking = recommender.recommend(profile)
    with closing(sqlite3.connect(path)) as connection:
        stored = {prompt for (prompt,) in connection.execute("SELECT prompt_id FROM model_calls")}
    assert stored == {profile.prompts["interests/open.en"], ranking.prompts["ranking/relevance.en"]}
