"""Questions that show several items: letters scored, numbers written."""

from __future__ import annotations

from typing import Any

import pytest

from llmrec.errors import AnswerError
from llmrec.ranking.asking import AskingRun
from llmrec.ranking.choices import choice_cost, choose_best, choose_in_order, label_logprobs
from llmrec.ranking.context import ItemLine, PersonContext
from llmrec.ranking.metering import MeteredModel
from tests.builders import scoring_model, writing_model
from tests.ranking.asking_models import LIBRARY, films, request_of, viewer

PERSON = PersonContext((), (), (ItemLine("Solaris", "Drama"),))


def run_of(model: Any, count: int = 4, **options: Any) -> AskingRun:
    return AskingRun(
        strategy="test",
        request=request_of(films(count), **options),
        model=MeteredModel(model, second_askings=1),
        library=LIBRARY,
        shown=PERSON,
        most_questions=1,
        progress=lambda done, total: None,
    )


def test_letters_stand_for_the_items_in_the_order_shown() -> None:
    model = scoring_model({" A": -3.0, " B": -1.0, " C": -2.0})
    run = run_of(model)
    assert label_logprobs(run, [2, 0, 3]) == [-3.0, -1.0, -2.0]
    assert "<items>\nA. Film 2\nB. Film 0\nC. Film 3\n</items>\n" in model.history[0].prefix
    assert choose_best(run, [2, 0, 3], scored=True) == 0
    assert choose_in_order(run, [2, 0, 3], wanted=2, scored=True, what="") == [0, 3]
    assert set(run.prompts) == {"ranking/choice.en"}


def test_equal_letters_leave_the_earlier_order() -> None:
    run = run_of(scoring_model(), first_scores=(0.0, 0.0, 5.0, 9.0))
    assert choose_best(run, [0, 2, 1], scored=True) == 2
    assert choose_in_order(run, [1, 0, 2, 3], wanted=3, scored=True, what="") == [3, 2, 0]


def test_a_number_is_written_for_the_best() -> None:
    model = writing_model({"best": 2})
    run = run_of(model)
    assert choose_best(run, [3, 1, 0], scored=False) == 1
    system, asked = model.history[0].messages
    assert "1. Film 3\n2. Film 1\n3. Film 0" in asked.content
    assert system.content.startswith("You judge which items suit one person best.")
    assert model.history[0].schema is not None
    assert set(run.prompts) == {"ranking/choice.en", "ranking/judge_system.en"}


@pytest.mark.parametrize("wrong", [{"best": 4}, {"best": 0}, {"best": "Film 1"}, "the second"])
def test_a_wrong_choice_is_asked_for_once_more_and_then_an_error(wrong: Any) -> None:
    model = writing_model(wrong, {"best": 1})
    assert choose_best(run_of(model), [3, 1, 0], scored=False) == 3
    with pytest.raises(AnswerError):
        choose_best(run_of(writing_model(wrong, wrong)), [3, 1, 0], scored=False)


def test_an_order_is_read_as_places() -> None:
    run = run_of(writing_model({"order": [3, 1, 2]}))
    assert choose_in_order(run, [3, 1, 0], wanted=3, scored=False, what="w") == [0, 3, 1]
    assert run.failures == []


def test_more_than_were_wanted_are_left_out() -> None:
    model = writing_model({"order": [3, 1, 2]})
    assert choose_in_order(run_of(model), [3, 1, 0], wanted=2, scored=False, what="w") == [0, 3]
    assert "Choose the 2 items" in model.history[0].messages[1].content


def test_what_an_order_leaves_out_follows_in_the_earlier_order_and_is_told() -> None:
    run = run_of(writing_model({"order": [2]}), first_scores=(0.0, 1.0, 2.0, 3.0))
    assert choose_in_order(run, [0, 1, 2, 3], wanted=3, scored=False, what="the window") == [1, 3, 2]
    (failure,) = run.failures
    assert (failure.what, failure.reason) == ("the window", "the answer named 1 of 3 items")
    assert failure.stand_in == "the earlier order of f02, f03, behind those it named"


@pytest.mark.parametrize("wrong", [{"order": [1, 9]}, {"order": [1, 1]}, {"order": []}, {"order": [-1]}])
def test_a_wrong_order_is_asked_for_once_more(wrong: Any) -> None:
    model = writing_model(wrong, {"order": [2, 1]})
    assert choose_in_order(run_of(model), [0, 1], wanted=2, scored=False, what="w") == [1, 0]
    assert len(model.history) == 2


def test_in_chinese_letters_follow_without_a_space() -> None:
    model = scoring_model()
    label_logprobs(run_of(model, profile=viewer(language="zh")), [0, 1])
    assert model.history[0].continuations == ("A", "B")
    assert model.history[0].prefix.endswith("请只回答它的字母。\n回答：")


def test_the_cost_is_that_of_the_longest_items() -> None:
    items = films(6)
    scored = choice_cost(scoring_model(), LIBRARY, "en", PERSON, items, count=3, scored=True)
    model = scoring_model()
    label_logprobs(run_of(model), [0, 1, 2])
    assert (scored.calls, scored.prompt_tokens) == (1, model.usage.prompt_tokens)
    more = choice_cost(scoring_model(), LIBRARY, "en", PERSON, items, count=6, scored=True)
    assert more.prompt_tokens > scored.prompt_tokens
    written = choice_cost(scoring_model(), LIBRARY, "en", PERSON, items, count=6, wanted=3, scored=False)
    assert written.completion_tokens == 60 + 3 * 8
