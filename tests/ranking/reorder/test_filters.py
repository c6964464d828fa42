from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from llmrec.behavior.events import Item
from llmrec.errors import InputError
from llmrec.ranking.reorder.filters import (
    OPERATORS,
    Filter,
    field_values,
    parse_filter,
    passes,
    passing,
)
from llmrec.ranking.reorder.membership import InterestMembership
from tests.ranking.reorder.builders import by_category, film, person

ZELDA = Item(
    id="z1",
    title="The Legend of Zelda",
    categories=("Adventure", "Action"),
    attributes={"Brand": "Nintendo", "price": "$19.99", "year": "1998", "released": "1998-11-21"},
    domain="games",
)
XIAOMI = Item(
    id="mi14",
    title="小米14 手机",
    categories=("手机", "拍照手机"),
    attributes={"品牌": "小米", "价格": "3,999元", "上市": "2023年10月"},
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("year>=1990", True),
        ("year>1998", False),
        ("year<=1998", True),
        ("year = 1998", True),
        ("released=1998", True),
        ("released<1998-11", False),
        ("released<=1998-11", True),
        ("price<20", True),
        ("price<$19.99", False),
        ("price<=19.99", True),
        ("price=19.99", True),
        ("price<20€", False),
        ("brand=nintendo", True),
        ("brand=NINTENDO", True),
        ("brand=Ninten", False),
        ("brand!=EA", True),
        ("brand!=Nintendo", False),
        ("brand~tend", True),
        ("brand!~tend", False),
        ("category=action", True),
        ("categories=Adventure", True),
        ("category!=Action", False),
        ("category!=Horror", True),
        ("domain=games", True),
        ("domain!=films", True),
        ("language=en", True),
        ("language=zh", False),
        ("title~zelda", True),
        ("title=zelda", False),
        ('title~"zelda"', True),
        ("id=z1", True),
        # What it lacks meets no condition but the negated ones.
        ("platform=Switch", False),
        ("platform~switch", False),
        ("platform<3", False),
        ("platform>3", False),
        ("platform!=Switch", True),
        ("platform!~switch", True),
    ],
)
def test_a_filter_says_what_passes(text: str, expected: bool) -> None:
    assert passes(ZELDA, [parse_filter(text)]) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("品牌=小米", True),
        ("品牌!=华为", True),
        ("价格<4000", True),
        ("价格<＝4000元", True),
        ("价格＜3000", False),
        ("价格≥3999", True),
        ("上市>=2023-10", True),
        ("上市＞2023", False),
        ("category=拍照手机", True),
        ("category≠手机", False),
        ("title～小米", True),
        ("title!~“红米”", True),
        ("language=zh", True),
        ("language!=zh", False),
    ],
)
def test_chinese_names_values_and_signs_are_understood(text: str, expected: bool) -> None:
    assert passes(XIAOMI, [parse_filter(text)]) is expected


def test_a_language_with_a_region_counts_without_it_as_well() -> None:
    item = Item(id="a", title="Book", language="zh-TW")
    assert passes(item, [parse_filter("language=zh"), parse_filter("language=zh-tw")])
    assert not passes(item, [parse_filter("language=zh-CN")])


def test_a_value_that_begins_with_a_sign_goes_in_quotes() -> None:
    one = parse_filter('title~"<3"')
    assert (one.field, one.operator, one.value) == ("title", "~", "<3")
    assert passes(Item(id="a", title="I <3 you"), [one])


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("horror", "has no comparison"),
        ("", "has no comparison"),
        (">=1990", "does not say what to compare"),
        ("year>=", "does not say what to compare year with"),
        ("year=>1990", "compares by '=>', which is none of"),
        ("title~<3", "put a value that begins with such a sign in quotes"),
        ("price<cheap", "'cheap' is neither"),
        ("title>5", "title is text"),
        ("interest>0.5", "interest is text"),
        ("a\x1b[31m", r"\\u001b"),
    ],
)
def test_a_bad_filter_is_told_in_one_sentence(text: str, wrong: str) -> None:
    with pytest.raises(InputError, match=wrong) as caught:
        parse_filter(text)
    assert "\n" not in str(caught.value)
    assert "pydantic" not in str(caught.value)


def test_a_filter_made_in_code_is_checked_as_well() -> None:
    assert passes(ZELDA, [Filter(field="year", operator=">=", value="1990")])
    with pytest.raises(ValidationError):
        Filter(field="year", operator=">=", value="old")


def test_filters_by_interest_read_the_profile() -> None:
    membership = InterestMembership(person(horror=0.6, comedy=0.2), by_category)
    horror, comedy, other = film("a", "horror"), film("b", "comedy"), film("c")

    def passed(text: str) -> list[str]:
        one = parse_filter(text)
        return [item.id for item in (horror, comedy, other) if passes(item, [one], membership=membership)]

    assert passed("interest!=Films › Horror") == ["b", "c"]
    assert passed("interest=films/horror") == ["a"]
    assert passed("interest=films") == ["a", "b"]
    assert passed("interest~COM") == ["b"]
    assert passed("interest!~com") == ["a", "c"]
    with pytest.raises(InputError, match="there is no interest 'westerns'"):
        passed("interest!=westerns")
    with pytest.raises(InputError, match="needs a profile"):
        passes(horror, [parse_filter("interest=Films")])


def test_what_was_left_out_is_told_with_its_numbers() -> None:
    items = [ZELDA, XIAOMI, film("c", attributes={"year": "1980"})]
    left, notes = passing(items, [parse_filter("year>=1990"), parse_filter("brand=EA")])
    assert left == []
    assert notes == [
        "the filter year>=1990 left out 2 of 3 items, 1 of them without year",
        "the filter brand=EA left out 1 of 3 items",
    ]
    assert passing(items, []) == ([0, 1, 2], [])


def test_all_values_of_a_field_are_found() -> None:
    item = Item(
        id="a", title="T", categories=("One", "ONE", "Two"), attributes={"Genre": "Épée", "genre ": "b"}
    )
    assert field_values(item, "Categories") == ("one", "two")
    assert field_values(item, "GENRE") == ("épée", "b")
    assert field_values(item, "domain") == ()


names = st.text(alphabet="abcxyz年品 _-", min_size=1, max_size=8).filter(lambda name: bool(name.strip()))
values = st.text(alphabet="abc0129 米元$.-", min_size=1, max_size=10).filter(
    lambda value: bool(value.strip())
)


@given(names, st.sampled_from(["=", "!=", "~", "!~"]), values)
def test_a_filter_is_read_back_from_its_text(name: str, operator: str, value: str) -> None:
    one = parse_filter(f"{name}{operator}{value}")
    assert parse_filter(str(one)) == one
    assert (one.field, one.operator, one.value) == (name.strip(), operator, value.strip())


@given(st.text(max_size=30))
def test_any_text_is_a_filter_or_a_sentence(text: str) -> None:
    try:
        one = parse_filter(text)
    except InputError:
        return
    assert one.operator in OPERATORS
    if one.field.strip().casefold() not in ("interest", "interests"):
        passes(ZELDA, [one])


@given(values, values)
def test_a_negated_filter_passes_what_the_other_does_not(own: str, wanted: str) -> None:
    item = Item(id="a", title="T", attributes={"x": own})
    for operator in ("=", "~"):
        plain = passes(item, [Filter(field="x", operator=operator, value=wanted)])
        negated = passes(item, [Filter(field="x", operator=f"!{operator}", value=wanted)])
        assert plain is not negated
