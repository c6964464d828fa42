"""The odds of Yes, item by item."""

from __future__ import annotations

import pytest

from llmrec.behavior.events import Item
from llmrec.llm.base import LanguageModel
from llmrec.ranking.yes_no import YesNo
from tests.builders import scoring_model
from tests.ranking.asking_models import LIBRARY, request_of, viewer

ITEMS = [
    Item(id="moon", title="Moon", categories=("Drama",), description="Alone."),
    Item(id="up", title="Up"),
]


def test_the_score_is_the_difference_of_the_log_probabilities() -> None:
    model = scoring_model(lambda prefix, answer: {" Yes": -1.0, " No": -3.5}[answer] - ("Up" in prefix) * 0.5)
    scores = YesNo(model, LIBRARY).score(request_of(ITEMS))
    assert scores.scores == scores.signals["yes_no"] == (2.5, 2.5)
    assert [call.continuations for call in model.history] == [(" Yes", " No")] * 2


def test_the_person_comes_first_and_is_the_same_for_all_items() -> None:
    model = scoring_model()
    YesNo(model, LIBRARY).score(request_of(ITEMS))
    moon, up = (call.prefix for call in model.history)
    shared = moon.partition("<items>")[0]
    assert up.startswith(shared)
    assert "Liked: Liked film 0\nLiked: Liked film 1" in shared
    assert moon.endswith(
        "Moon (Drama): Alone.\n</items>\nWould this person choose this item? Answer Yes or No.\nAnswer:"
    )


def test_in_chinese_the_answers_are_chinese() -> None:
    model = scoring_model({"是": -1.0, "否": -2.0})
    scores = YesNo(model, LIBRARY).score(request_of(ITEMS[:1], profile=viewer(language="zh")))
    assert scores.scores == (1.0,)
    assert model.history[0].prefix.endswith("回答：")


def test_a_language_without_prompts_gets_english_ones_and_english_answers() -> None:
    model = scoring_model()
    scores = YesNo(model, LIBRARY).score(request_of(ITEMS[:1], profile=viewer(language="fr")))
    assert model.history[0].continuations == (" Yes", " No")
    assert set(scores.prompts) == {"ranking/yes_no.en"}


@pytest.mark.embedded
def test_the_embedded_model_answers(embedded_model: LanguageModel) -> None:
    ranker, request = YesNo(embedded_model, LIBRARY), request_of(ITEMS)
    before = embedded_model.usage
    scores = ranker.score(request)
    spent, told = embedded_model.usage - before, ranker.cost(request)
    assert spent.calls <= told.calls
    assert spent.prompt_tokens <= told.prompt_tokens
    assert scores.scores[0] != scores.scores[1]
