from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.ranking.reorder.quantities import compare, fold, parse_date, parse_quantity

READ = [
    ("1990", 1990.0, set()),
    ("$19.99", 19.99, {"usd"}),
    ("US$ 20", 20.0, {"usd"}),
    ("19.99 USD", 19.99, {"usd"}),
    ("1,299.50", 1299.5, set()),
    ("19,99 €", 19.99, {"eur"}),
    ("1,299元", 1299.0, {"cny"}),
    ("￥８９", 89.0, {"cny", "jpy"}),
    ("1.2万", 12000.0, set()),
    ("3亿元", 3e8, {"cny"}),
    ("-5", -5.0, set()),
    ("−5 °", -5.0, {"°"}),
    (".5", 0.5, set()),
    ("512 GB", 512.0, {"gb"}),
    ("13 英寸", 13.0, {"英寸"}),
    ("45%", 45.0, {"%"}),
]


@pytest.mark.parametrize(("text", "number", "units"), READ)
def test_numbers_are_read_as_they_are_written(text: str, number: float, units: set[str]) -> None:
    quantity = parse_quantity(text)
    assert quantity is not None
    assert quantity.number == pytest.approx(number)
    assert quantity.units == units


@pytest.mark.parametrize(
    "text", ["", "PS5", "7 of 9", "10-20", "1.2.3", "1,29,9", "N/A", "16 GB RAM", "免费"]
)
def test_other_texts_are_no_numbers(text: str) -> None:
    assert parse_quantity(text) is None


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("1990-05", (1990, 5)),
        ("1990-05-03", (1990, 5, 3)),
        ("1990/5/3", (1990, 5, 3)),
        ("1990年5月3日", (1990, 5, 3)),
        ("1990年5月", (1990, 5)),
        ("1990-05-03T10:00:00Z", (1990, 5, 3)),
        ("1990-05-03 10:00", (1990, 5, 3)),
        ("1990", None),
        ("1990-13", None),
        ("1990-12-32", None),
        ("05-03-1990", None),
    ],
)
def test_dates_are_read_from_the_year_down(text: str, date: tuple[int, ...] | None) -> None:
    assert parse_date(text) == date


@pytest.mark.parametrize(
    ("first", "second", "order"),
    [
        ("9", "10", -1),
        ("$19.99", "20", -1),
        ("20.00 usd", "$20", 0),
        ("¥20", "20元", 0),
        ("¥20", "20円", 0),
        ("512 MB", "1 GB", None),
        ("$20", "20€", None),
        ("1990-05-03", "1990", 0),
        ("1990年", "1990-05", 0),
        ("1989-12-31", "1990", -1),
        ("1990-05", "1990-04-30", 1),
        ("1990-05", "30", None),
        ("1990-05", "1990 km", None),
        ("free", "20", None),
    ],
)
def test_what_can_be_compared_is_and_nothing_else(first: str, second: str, order: int | None) -> None:
    assert compare(first, second) == order
    assert compare(second, first) == (None if order is None else -order)


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
def test_whole_numbers_compare_by_value_with_and_without_commas(first: int, second: int) -> None:
    expected = (first > second) - (first < second)
    assert compare(str(first), str(second)) == compare(f"{first:,}", f"{second:,}") == expected


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text_is_read_without_an_error(first: str, second: str) -> None:
    assert compare(first, second) in (None, -1, 0, 1)
    assert fold(fold(first)) == fold(first)


@given(st.text(alphabet="0123456789.,-/年月日$ ", max_size=400))
def test_texts_that_look_like_numbers_are_read_without_an_error(text: str) -> None:
    parse_quantity(text)
    parse_date(text)
