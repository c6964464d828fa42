"""What a run of questions does with budgets, failures and shuffles."""

from __future__ import annotations

from typing import Any

import pytest

from llmrec.behavior.events import Item
from llmrec.errors import ContextLengthError, ModelError, StoreError
from llmrec.ranking.asking import AskingRun, longest_items, order_by, second_askings
from llmrec.ranking.context import ItemLine, PersonContext
from llmrec.ranking.metering import BudgetSpentError, MeteredModel
from tests.builders import scoring_model
from tests.ranking.asking_models import LIBRARY, films, request_of


def run_of(count: int = 6, **options: Any) -> AskingRun:
    return AskingRun(
        strategy="test",
        request=request_of(options.pop("items", films(count)), **options),
        model=MeteredModel(scoring_model()),
        library=LIBRARY,
        shown=PersonContext((), (), tuple(ItemLine(f"Film {n}", "") for n in range(4))),
        most_questions=count,
        progress=lambda done, total: None,
    )


def fails(error: Exception) -> Any:
    def question() -> None:
        raise error

    return question


def test_a_shuffle_depends_on_the_seed_and_the_numbers_and_not_on_the_order_of_items() -> None:
    first, second = run_of(6, seed=3), run_of(6, seed=3, items=films(6)[::-1])
    drawn = [first.item(at).id for at in first.shuffled([0, 2, 4, 5], 1)]
    assert sorted(drawn) == ["f00", "f02", "f04", "f05"]
    assert [second.item(at).id for at in second.shuffled([1, 0, 5, 3], 1)] == drawn
    others = {
        tuple(run_of(6, seed=seed).shuffled(range(6), number)) for seed in (0, 1, -1) for number in (0, 1)
    }
    assert len(others) == 6


def test_the_earlier_order_is_that_of_the_first_scores() -> None:
    run = run_of(3, first_scores=(0.5, 2.0, 0.5))
    assert run.first == [1, 0, 2]
    assert run.first_rank == {1: 0, 0: 1, 2: 2}
    assert order_by({0: 1.0, 1: 1.0, 2: 5.0}, run.first_rank) == [2, 1, 0]


def test_an_error_is_noted_and_the_next_question_asked() -> None:
    run = run_of()
    assert run.attempt("this", fails(ModelError("no")), stand_in="a tie") is None
    assert run.attempt("that", lambda: 5) == 5
    (failure,) = run.failures
    assert (failure.what, failure.reason, failure.stand_in) == ("this", "no", "a tie")
    run.raise_for_nothing()


def test_five_failures_in_a_row_end_the_run() -> None:
    run = run_of()
    for at in range(7):
        run.attempt(f"question {at}", fails(ModelError("no")))
    assert [failure.what for failure in run.failures][4:] == ["question 4", "the rest of test"]
    assert run.attempt("more", lambda: 1) is None
    with pytest.raises(ModelError, match=r"^no$"):
        run.raise_for_nothing()


def test_a_spent_budget_is_a_note_and_no_failure() -> None:
    run = run_of()
    assert run.attempt("this", fails(BudgetSpentError("it is spent"))) is None
    assert run.attempt("that", lambda: 1) is None
    assert run.notes == ["test: it is spent; what was not asked keeps the earlier order"]
    assert run.failures == []
    run.raise_for_nothing()


def test_a_refused_length_takes_history_until_nothing_can_go() -> None:
    run = run_of()
    seen: list[int] = []

    def question() -> None:
        seen.append(len(run.shown.items))
        raise ContextLengthError("too long")

    assert run.attempt("this", question) is None
    assert seen == [4, 2, 1]
    assert run.failures[0].reason == "too long"


def test_what_is_no_failure_of_the_model_passes_through() -> None:
    with pytest.raises(StoreError):
        run_of().attempt("this", fails(StoreError("the disk is full")))


def test_one_answer_in_four_may_be_asked_for_again() -> None:
    assert [second_askings(questions) for questions in (1, 4, 5, 100)] == [2, 2, 3, 26]


def test_the_longest_items_are_those_with_the_longest_lines() -> None:
    short, long, wide = Item(id="1", title="A"), Item(id="2", title="A" * 30), Item(id="3", title="沙" * 10)
    assert longest_items([short, long, wide], 2) == [wide, long]
    endless = Item(id="4", title="A" * 10_000)
    assert longest_items([endless, Item(id="5", title="A" * 120, description="word " * 40)], 1)[0].id == "5"
