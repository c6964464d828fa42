"""Labels from an item's facts: values with a place, categories nobody knows, and when it is from."""

from __future__ import annotations

from typing import Any

import pytest

from llmrec.behavior.events import Item
from llmrec.interests.extraction import EventLabel
from llmrec.interests.fact_labels import OWN_CATEGORY, PERIOD, fact_labels
from llmrec.interests.subjects import Subject, item_subject
from llmrec.interests.taxonomy import Vocabulary, VocabularyNode

NODES: list[dict[str, Any]] = [
    {"id": "films", "en": "Films", "zh": "电影"},
    {"id": "films/horror", "parent": "films", "en": "Horror", "zh": "恐怖"},
    {"id": "films/director", "parent": "films", "en": "Directors", "zh": "导演", "attribute": "director"},
    {
        "id": "films/director/varda",
        "parent": "films/director",
        "en": "Agnès Varda",
        "zh": "瓦尔达",
        "aliases": ("Varda",),
    },
    {"id": "phones", "en": "Phones", "zh": "手机"},
    {"id": "phones/brand", "parent": "phones", "en": "Brand", "zh": "品牌", "attribute": "brand"},
    {
        "id": "phones/brand/xiaomi",
        "parent": "phones/brand",
        "en": "Xiaomi",
        "zh": "小米",
        "aliases": ("mi phones",),
    },
    {"id": "xiaomi-tv", "en": "Mi TV", "aliases": ("sony",)},
]
VOCABULARY = Vocabulary(VocabularyNode.model_validate(node) for node in NODES)


def facts(area: str = "films", language: str = "en", **fields: Any) -> list[EventLabel]:
    subject = item_subject(Item(id="1", **{"title": "Untold", **fields}))
    return fact_labels(subject, VOCABULARY, language, area)


def told(labels: list[EventLabel]) -> list[tuple[str, str, float, bool, bool]]:
    return [
        (label.path[-1].id, label.path[-1].label, label.share, label.proposed, label.minor)
        for label in labels
    ]


def test_a_value_with_a_place_stands_below_it_by_the_vocabularys_name_or_its_own() -> None:
    (known,) = facts(attributes={"director": "varda"})
    assert [step.id for step in known.path] == ["films", "films/director", "films/director/varda"]
    assert [step.label for step in known.path] == ["Films", "Directors", "Agnès Varda"]
    assert (known.share, known.proposed, known.minor) == (1.0, False, False)
    (unknown,) = facts(attributes={"director": "Wong Kar-wai", "mood": "blue"})
    assert [step.id for step in unknown.path] == ["films", "films/director", "films/director/wong-kar-wai"]
    assert (unknown.path[-1].label, unknown.share, unknown.proposed) == ("Wong Kar-wai", 1.0, True)


def test_a_name_from_elsewhere_is_a_value_of_its_own() -> None:
    """Sony names an interest, but none of the brands of phones."""
    (brand,) = facts("phones", attributes={"brand": "Sony"})
    assert told([brand]) == [("phones/brand/sony", "Sony", 1.0, True, False)]


def test_each_area_has_its_own_places() -> None:
    attributes = {"brand": "小米", "director": "Varda"}
    assert [label.path[-1].id for label in facts("phones", attributes=attributes)] == ["phones/brand/xiaomi"]
    assert [label.path[-1].id for label in facts("films", attributes=attributes)] == ["films/director/varda"]
    assert facts("xiaomi-tv", attributes=attributes) == []


def test_categories_the_vocabulary_does_not_know_are_proposed_in_the_area() -> None:
    labels = facts(categories=("Horror", " Slow cinema ", "Other", "modern horror classics"))
    assert told(labels) == [("films/slow-cinema", "Slow cinema", OWN_CATEGORY, True, False)]
    assert [step.label for step in labels[0].path] == ["Films", "Slow cinema"]
    assert facts(domain="films", categories=("films",)) == []
    assert facts(domain="Paintings") == [], "what kind of thing it is, is no part of films"
    assert [label.path[-1].id for label in facts(categories=("Paintings",))] == ["films/paintings"]


@pytest.mark.parametrize(
    ("title", "year", "found"),
    [
        ("Cléo", "1962", 1962),
        ("Cléo (1962)", "", 1962),
        ("Cléo (1962) ", "unknown", 1962),
        ("Cléo (1962)", "1963", 1963),
        ("2001: A Space Odyssey", "", None),
        ("Blade Runner 2049", "", None),
        ("Metropolis (1927) restored", "", None),
        ("Cléo (1862)", "", None),
        ("Cléo", "62", None),
        ("Cléo", "1962-64", None),
        ("Cléo", " 1962 ", 1962),
    ],
)
def test_the_year_is_the_attribute_or_stands_in_brackets_after_the_title(
    title: str, year: str, found: int | None
) -> None:
    labels = facts(title=title, attributes={"year": year})
    if found is None:
        assert labels == []
    else:
        decade = f"{found // 10 * 10}s"
        assert told(labels) == [
            (f"films/{decade}", decade, PERIOD, True, True),
            (f"films/{found}", str(found), PERIOD, True, True),
        ]


def test_a_sentence_has_no_year() -> None:
    sentence = Subject(title="films like Alien (1979)", is_text=True)
    assert fact_labels(sentence, VOCABULARY, "en", "films") == []


def test_labels_in_chinese() -> None:
    labels = facts(
        "phones", "zh", title="小米14（旗舰）", categories=("折叠屏",), attributes={"brand": "mi phones"}
    )
    assert [[step.label for step in label.path] for label in labels] == [
        ["手机", "品牌", "小米"],
        ["手机", "折叠屏"],
    ]
    assert labels[1].path[-1].id == "phones/折叠屏"
    film = facts("films", "zh", title="花样年华 (2000)", attributes={"director": "王家卫"})
    assert [[step.label for step in label.path] for label in film] == [
        ["电影", "导演", "王家卫"],
        ["电影", "2000年代"],
        ["电影", "2000"],
    ]


def test_the_same_value_has_one_id_however_it_is_spelt() -> None:
    spellings = [
        facts(attributes={"director": name})[0].path[-1].id for name in ("Bong Joon-ho", "BONG JOON HO")
    ]
    assert len(set(spellings)) == 1
    plus, sharp = (facts(categories=(name,))[0].path[-1].id for name in ("C++", "C#"))
    assert plus != sharp


def test_values_of_other_signs_are_told_apart_and_a_kind_without_a_letter_is_none() -> None:
    first, second = (facts(attributes={"director": name})[0] for name in ("दाल", "दिल"))
    assert first.path[-1].id != second.path[-1].id
    assert facts(categories=("---", "Other")) == []
