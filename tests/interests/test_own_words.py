"""Labels from the items' own words: what is a phrase, what is not, and how titles spell it."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.behavior.events import Catalog, Item
from llmrec.interests.own_words import MIN_ITEMS, OwnWords
from llmrec.interests.title_words import EMPTY_WORDS, FUNCTION_WORDS, UNITS, without_amounts

PRODUCTS = [
    "Fire Emblem: The Sacred Stones",
    "Fire Emblem Awakening - Nintendo 3DS",
    "FIRE EMBLEM Fates",
    "Fire hose, 21-Ounce (Pack of 12)",
    "Garden hose, 50 feet (Pack of 2)",
    "Lord of the Rings: The Two Towers",
    "The Lord of the Rings Quest",
    "Cereal with oats, 18 Ounce (Pack of 12)",
    "Steel-cut oats, 30 oz",
    "Black & Decker Drill 20V",
    "Black & Decker Toaster",
    "Xbox 360 Controller",
    "Forza - Xbox 360",
    "Large Blue Bowl",
    "Large Blue Vase",
    "Madden 2005",
    "2005 calendar",
]
SHOP_ZH = [
    "飞利浦空气净化器 家用",
    "小米空气净化器4 Pro",
    "格力空调 1.5匹",
    "美的空调 大1匹",
    "哈利波特与魔法石",
    "哈利波特与密室",
    "东方树叶 乌龙茶 500ml*15瓶",
    "东方树叶 茉莉花茶 900ml*12瓶",
    "一箱12瓶 矿泉水",
    "整箱24瓶 啤酒",
]


def catalog_of(titles: list[str]) -> Catalog:
    return Catalog(Item(id=str(at), title=title) for at, title in enumerate(titles))


def phrases_of(titles: list[str], most: int = 3) -> dict[str, list[str]]:
    catalog = catalog_of(titles)
    words = OwnWords(catalog)
    return {item.title: [p.label for p in words.phrases(item, most)] for item in catalog.values()}


def test_names_that_several_titles_share_are_found_whole_and_as_most_spell_them() -> None:
    found = phrases_of(PRODUCTS)
    assert found["Fire Emblem: The Sacred Stones"] == ["Fire Emblem"]
    assert found["FIRE EMBLEM Fates"] == ["Fire Emblem"], "two of three titles spell it so"
    assert found["The Lord of the Rings Quest"] == ["Lord of the Rings"]
    assert found["Black & Decker Toaster"] == ["Black & Decker"]
    assert found["Forza - Xbox 360"] == ["Xbox 360"]
    assert "oats" in found["Cereal with oats, 18 Ounce (Pack of 12)"]


def test_amounts_packaging_colours_and_numbers_are_no_names() -> None:
    found = {label for labels in phrases_of(PRODUCTS, most=20).values() for label in labels}
    for label in found:
        words = set(label.casefold().split())
        assert not words & UNITS, label
        assert not words <= EMPTY_WORDS, label
        assert not label.isdigit(), label
        assert label.split()[0].casefold() not in FUNCTION_WORDS, label
    assert phrases_of(PRODUCTS)["Large Blue Bowl"] == []
    assert phrases_of(PRODUCTS)["2005 calendar"] == []


def test_chinese_runs_are_joined_to_the_longest_that_stay_together() -> None:
    found = phrases_of(SHOP_ZH)
    assert found["小米空气净化器4 Pro"] == ["空气净化器"]
    assert found["哈利波特与密室"] == ["哈利波特"]
    assert found["格力空调 1.5匹"] == ["空调"]
    assert found["东方树叶 乌龙茶 500ml*15瓶"] == ["东方树叶"]
    assert not any("瓶" in label or "箱" in label for labels in found.values() for label in labels)


def test_the_share_is_half_the_normalised_self_information() -> None:
    catalog = catalog_of(PRODUCTS)
    (phrase,) = OwnWords(catalog).phrases(catalog["0"])
    assert phrase.items == 3
    assert phrase.slug == "fire-emblem"
    assert phrase.share == pytest.approx(0.5 * math.log(17 / 3) / math.log(17))


def test_a_phrase_is_recognised_in_an_item_that_was_not_in_the_catalogue() -> None:
    words = OwnWords(catalog_of(PRODUCTS + SHOP_ZH))
    assert "fire-emblem" in words.slugs(Item(id="x", title="Advance Wars and fire emblem"))
    assert "空气净化器" in words.slugs(Item(id="x", title="戴森空气净化器"))
    assert "fire-emblem" not in words.slugs(Item(id="x", title="Emblem of fire"))


def test_what_every_item_has_tells_nothing() -> None:
    titles = [f"Acme {name}" for name in ["spoon"] * 2 + [f"thing{at}" for at in range(40)]]
    assert phrases_of(titles)["Acme spoon"] == ["spoon"]


@pytest.mark.parametrize("titles", [[], ["Alone"], ["Same", "Same"]])
def test_a_small_catalogue_has_no_phrases_or_harmless_ones(titles: list[str]) -> None:
    words = OwnWords(catalog_of(titles))
    for phrase in words.phrases(Item(id="x", title="Same thing alone")):
        assert 0 <= phrase.share <= 0.5
        assert phrase.items >= MIN_ITEMS


@given(st.lists(st.text(min_size=1, max_size=30).filter(str.strip), min_size=1, max_size=8))
def test_any_titles_can_be_read(titles: list[str]) -> None:
    catalog = catalog_of(titles * 2)
    words = OwnWords(catalog)
    for item in catalog.values():
        found = words.phrases(item, most=50)
        assert {phrase.slug for phrase in found} <= words.slugs(item)
        assert len({phrase.slug for phrase in found}) == len(found)
        for phrase in found:
            assert phrase.label
            assert phrase.label == " ".join(phrase.label.split())
            assert 0 <= phrase.share <= 0.5


def test_ten_thousand_titles_are_read_in_time() -> None:
    titles = [
        f"Maker{at % 300} Model{at % 77} thing{at % 1000} for the home, {at} Ounce" for at in range(10_000)
    ]
    started = time.perf_counter()
    catalog = catalog_of(titles)
    words = OwnWords(catalog)
    assert words.phrases(catalog["7"])
    # About a second on an idle core; the bound is for a machine under load.
    assert time.perf_counter() - started < 20


def test_a_title_without_its_amounts() -> None:
    told = "Enfamil Soy Formula, 13 Ounce (Pack of 12) 500ml"
    assert without_amounts(told) == "enfamil soy formula of"
    assert without_amounts("小米空气净化器4 Pro") == "小米空气净化器 pro"
