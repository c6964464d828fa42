"""Values of single questions, and gaps that keep their place."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.errors import ModelError
from llmrec.llm.base import Score
from llmrec.ranking.base import Budget
from llmrec.ranking.pointwise import values_kept_in_place
from llmrec.ranking.yes_no import YesNo
from tests.ranking.asking_models import LIBRARY, Judge, films, ranked_ids, request_of

GAPS = st.lists(st.none() | st.integers(-5, 5).map(float), min_size=1, max_size=12)


def test_a_gap_keeps_its_place_between_its_neighbours() -> None:
    assert values_kept_in_place([1.0, None, 3.0], [0, 1, 2]) == (1.0, 2.0, 3.0)
    above, *known = values_kept_in_place([None, 1.0, 3.0], [0, 1, 2])
    assert above > 3.0
    assert known == [1.0, 3.0]
    assert values_kept_in_place([None, None], [1, 0]) == (0.5, 1.0)
    assert values_kept_in_place([], []) == ()


@given(GAPS, st.randoms())
def test_gaps_stay_where_they_stood_and_what_is_known_is_kept(
    values: list[float | None], random: Any
) -> None:
    first = random.sample(range(len(values)), len(values))
    filled = values_kept_in_place(values, first)
    if any(value is not None for value in values):
        assert all(known in (None, value) for known, value in zip(values, filled, strict=True))
    # Each gap has as many at or above it as it had before.
    for rank, at in enumerate(first):
        if values[at] is None:
            above = sum(value > filled[at] for value in filled)
            level = sum(value == filled[at] for value in filled)
            assert above <= rank < above + level


class Batched(Judge):
    """Scores prefixes together, as a local model does."""

    def score_prefixes(self, prefixes: Any, continuations: Any, **options: Any) -> list[list[Score]]:
        self.batches.append(len(prefixes))
        return [self.score(prefix, continuations) for prefix in prefixes]

    batches: list[int] = []


@pytest.mark.parametrize(("calls", "batches"), [(None, [8, 8, 4]), (11, [8, 3])])
def test_a_model_that_reads_like_prefixes_at_once_gets_several(calls: Any, batches: list[int]) -> None:
    model = Batched({n: float(n) for n in range(20)})
    model.batches = []
    request = request_of(films(20))
    scores = YesNo(model, LIBRARY).score(request, budget=Budget(calls=calls))
    assert model.batches == batches
    best = [f"f{n:02}" for n in range(20)]
    asked = sum(batches)
    assert ranked_ids(request, scores) == best[:asked][::-1] + best[asked:]


def test_a_question_that_failed_leaves_its_item_where_it_stood() -> None:
    def broken(number: int) -> None:
        if number == 2:
            raise ModelError("no")

    request = request_of(films(4))
    scores = YesNo(Judge({n: float(n) for n in range(4)}, broken=broken), LIBRARY).score(request)
    assert ranked_ids(request, scores) == ["f03", "f01", "f02", "f00"]
    assert scores.failures[0].what == "yes_no of f01"
    assert scores.failures[0].stand_in == "its place in the earlier order"


@pytest.mark.parametrize(("calls", "told"), [(17, True), (19, True), (20, False)])
def test_a_last_batch_that_is_paid_in_part_is_told(calls: int, told: bool) -> None:
    model = Batched({n: float(n) for n in range(20)})
    model.batches = []
    scores = YesNo(model, LIBRARY).score(request_of(films(20)), budget=Budget(calls=calls))
    assert sum(model.batches) == calls
    assert any(f"the budget of {calls} calls is spent" in note for note in scores.notes) == told
