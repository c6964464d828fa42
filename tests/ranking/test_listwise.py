"""Windows that slide, and rounds that are averaged."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrec.errors import AnswerError, InputError
from llmrec.llm.base import LanguageModel
from llmrec.ranking.listwise import Listwise, windows
from tests.builders import WRITES_ONLY, writing_model
from tests.ranking.asking_models import LIBRARY, Judge, films, ranked_ids, request_of


def judged(quality: dict[int, float], seed: int = 0, **options: Any) -> tuple[list[str], Judge]:
    model = Judge(quality, capabilities=WRITES_ONLY)
    request = request_of(films(len(quality)), seed=seed)
    return ranked_ids(request, Listwise(model, LIBRARY, **options).score(request)), model


def best_first(quality: dict[int, float]) -> list[str]:
    return [f"f{n:02}" for n in sorted(quality, key=lambda n: -quality[n])]


def test_windows_slide_from_the_end_to_the_front() -> None:
    assert windows(40, 20, 10, 10) == [(20, 40), (10, 30), (0, 20)]
    assert windows(35, 20, 10, 10) == [(15, 35), (5, 25), (0, 20)]
    assert windows(20, 20, 10, None) == [(0, 20)]
    assert windows(30, 20, 10, None) == [(10, 30), (0, 20), (10, 30)]
    assert windows(2, 20, 10, 10) == [(0, 2)]
    assert windows(1, 20, 10, 10) == windows(0, 20, 10, None) == []


@given(st.integers(2, 60), st.integers(2, 20), st.integers(1, 19), st.none() | st.integers(1, 30))
def test_windows_stay_in_the_list_and_never_are_too_wide(
    items: int, window: int, step: int, top: int | None
) -> None:
    step = min(step, window - 1)
    parts = windows(items, window, step, top)
    assert all(0 <= begin < end <= items and 2 <= end - begin <= window for begin, end in parts)
    assert parts[0][1] == items
    assert (0, min(window, items)) in parts


@settings(max_examples=25)
@given(
    st.integers(2, 30).flatmap(lambda n: st.permutations(range(n))),
    st.integers(3, 20),
    st.integers(1, 19),
    st.integers(0, 9),
)
def test_a_hidden_order_comes_out(hidden: list[int], window: int, step: int, seed: int) -> None:
    quality = {n: float(place) for n, place in enumerate(hidden)}
    ranked, _ = judged(quality, seed, window=window, step=min(step, window - 1), top=None)
    assert ranked == best_first(quality)


def test_one_pass_settles_the_top_and_no_more() -> None:
    quality = {n: float(n) for n in range(40)}
    ranked, model = judged(quality)
    assert ranked[:10] == best_first(quality)[:10]
    assert model.asked == 3


def test_items_are_shown_shuffled_and_differently_each_round() -> None:
    _, model = judged({n: float(n) for n in range(8)}, rounds=3)
    shown = [tuple(model.films(call.messages[1].content).values()) for call in model.history]
    assert len({*shown, tuple(range(8))}) == 4
    assert all(sorted(films_shown) == list(range(8)) for films_shown in shown)


def test_rounds_are_averaged() -> None:
    answers = iter([[2, 0, 1], [2, 1, 0], [0, 2, 1]])

    def answer(shown: list[int], wanted: int) -> dict[str, Any]:
        return {"order": [shown.index(film) + 1 for film in next(answers)]}

    model = Judge({}, capabilities=WRITES_ONLY, answer=answer)
    scores = Listwise(model, LIBRARY, rounds=3).score(request_of(films(3)))
    assert scores.signals["listwise"] == pytest.approx(((2 + 1 + 3) / 9, (1 + 2 + 1) / 9, (3 + 3 + 2) / 9))
    assert scores.scores == (2 / 3, 1 / 3, 1.0)


def test_a_missing_item_keeps_its_order_behind_the_named_ones() -> None:
    def answer(shown: list[int], wanted: int) -> dict[str, Any]:
        return {"order": [shown.index(2) + 1]}

    model = Judge({}, capabilities=WRITES_ONLY, answer=answer)
    request = request_of(films(4))
    scores = Listwise(model, LIBRARY).score(request)
    assert ranked_ids(request, scores) == ["f02", "f00", "f01", "f03"]
    assert model.asked == 1
    (failure,) = scores.failures
    assert failure.what == "order of f00, f01, f02, f03"
    assert "f00, f01, f03" in failure.stand_in


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"window": 1}, "window of 2 to 50"),
        ({"window": 51}, "window of 2 to 50"),
        ({"step": 20}, "less than the window of 20"),
        ({"step": 0}, "step of at least 1"),
        ({"rounds": 0}, "at least one of rounds"),
        ({"top": 0}, "top of at least 1"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, int], fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        Listwise(writing_model(), LIBRARY, **options)


@pytest.mark.embedded
def test_the_embedded_model_gives_a_ranking_or_an_error(embedded_model: LanguageModel) -> None:
    request = request_of(films(8))
    try:
        scores = Listwise(embedded_model, LIBRARY).score(request)
    except AnswerError as error:
        assert "more than once" in str(error)  # noqa: PT017 - the schema leaves nothing else to go wrong
    else:
        assert sorted(ranked_ids(request, scores)) == [item.id for item in request.items]
