from __future__ import annotations

import pytest
from pydantic import ValidationError

from llmrec.behavior.events import validate_record
from llmrec.errors import InputError
from llmrec.ranking.reorder.filters import parse_filter
from llmrec.ranking.reorder.types import Placement, Reordered, Reordering, parse_cap


def test_nothing_is_asked_for_unless_told() -> None:
    assert not Reordering().active
    assert Reordering().relevance == 1.0
    for asked in ({"diversity": 0.1}, {"caps": {"brand": 1}}, {"filters": ("a=b",)}):
        assert Reordering.model_validate(asked).active


def test_what_the_weights_leave_is_relevances() -> None:
    options = Reordering(diversity=0.2, calibration=0.3, novelty=0.1)
    assert options.relevance == pytest.approx(0.4)
    assert Reordering(diversity=0.3, calibration=0.3, novelty=0.4).relevance == pytest.approx(0)


def test_texts_become_filters_and_names_of_caps_are_folded() -> None:
    options = Reordering.model_validate({"filters": ["year>=1990"], "caps": {"Brand": 2, "categories": 3}})
    assert options.filters == (parse_filter("year>=1990"),)
    assert options.caps == {"brand": 2, "category": 3}
    assert Reordering.model_validate_json(options.model_dump_json()) == options


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"diversity": 0.6, "novelty": 0.5}, "sum to more than 1: lower one"),
        ({"diversity": -0.1}, "diversity: "),
        ({"calibration": float("nan")}, "calibration: "),
        ({"caps": {"brand": 0}}, "caps.brand: "),
        ({"caps": {" ": 1}}, "a cap has no name"),
        ({"caps": {"interest": 1}}, "no cap on interests"),
        ({"caps": {"Brand": 1, "brand": 2}}, "two caps on 'brand'"),
        ({"filters": ["horror"]}, "filters.0: the filter 'horror' has no comparison"),
        ({"variety": 1}, "variety: "),
    ],
)
def test_what_cannot_be_asked_for_is_told(fields: dict[str, object], wrong: str) -> None:
    with pytest.raises(InputError) as caught:
        validate_record(Reordering, fields, "reordering")
    assert wrong in str(caught.value)


def test_options_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Reordering().diversity = 0.5  # type: ignore[misc]


@pytest.mark.parametrize(("text", "cap"), [("brand=2", ("brand", 2)), (" 品牌 = 3 ", ("品牌", 3))])
def test_a_cap_is_read_from_text(text: str, cap: tuple[str, int]) -> None:
    assert parse_cap(text) == cap


@pytest.mark.parametrize(
    "text", ["", "brand", "=2", "brand=", "brand=0", "brand=-1", "brand=two", "b=" + "9" * 5000]
)
def test_a_bad_cap_is_told(text: str) -> None:
    with pytest.raises(InputError, match="write it as brand=2"):
        parse_cap(text)


def test_only_what_moved_is_among_the_moved() -> None:
    parts = {"relevance": 0.0, "diversity": 0.0, "calibration": 0.0, "novelty": 0.0}
    stayed = Placement(item_id="a", from_rank=1, to_rank=1, **parts)
    rose = Placement(item_id="b", from_rank=3, to_rank=2, **parts)
    assert Reordered(order=(0, 2), rest=(1,), placements=(stayed, rose)).moved == (rose,)
