"""A catalogue's own categories as a vocabulary: what is broader, what is the same, what stays apart."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.behavior.events import Catalog
from llmrec.errors import InputError
from llmrec.interests.catalog_vocabulary import MAX_DEPTH
from llmrec.interests.taxonomy import Vocabulary
from tests.builders import SHOP


def goods(*categories: tuple[str, ...], domain: str | None = None) -> list[dict[str, Any]]:
    return [
        {"id": f"{domain}{at}", "title": f"Thing {at}", "categories": list(found), "domain": domain}
        for at, found in enumerate(categories)
    ]


def parents(vocabulary: Vocabulary) -> dict[str, str | None]:
    return {node.id: node.parent for node in vocabulary}


def test_a_category_within_another_goes_below_the_narrowest_that_holds_it() -> None:
    items = goods(
        *[("Sports",)] * 4,
        *[("Sports", "Cycling")] * 3,
        *[("Sports", "Cycling", "Helmets")] * 2,
        *[("Music",)] * 2,
        domain="Shop",
    )
    assert parents(Vocabulary.from_catalog(Catalog(items))) == {
        "shop": None,
        "shop/sports": "shop",
        "shop/cycling": "shop/sports",
        "shop/helmets": "shop/cycling",
        "shop/music": "shop",
    }


def test_categories_that_only_overlap_stand_side_by_side() -> None:
    items = goods(*[("Comedy",)] * 3, *[("Comedy", "Romance")] * 3, *[("Romance",)] * 2)
    assert parents(Vocabulary.from_catalog(Catalog(items))) == {"comedy": None, "romance": None}


def test_domains_stand_at_the_top_and_keep_their_categories_apart() -> None:
    items = goods(*[("Drama",)] * 2, ("Films", "Rare"), domain="films") + goods(
        *[("Drama",)] * 2, domain="books"
    )
    vocabulary = Vocabulary.from_catalog(Catalog(items))
    assert parents(vocabulary) == {
        "books": None,
        "films": None,
        "books/drama": "books",
        "films/drama": "films",
    }, "the category that is the domain itself, and the rare one, are left out"


def test_names_that_differ_in_capitals_are_one_spelt_as_most_do() -> None:
    items = goods(("Sci-Fi",), ("Sci-Fi",), ("sci fi",), ("C++",), ("C++",), ("C",), ("C",))
    vocabulary = Vocabulary.from_catalog(Catalog(items))
    assert {node.id: node.en for node in vocabulary} == {"sci-fi": "Sci-Fi", "cplusplus": "C++", "c": "C"}


def test_chinese_categories_are_found_in_texts() -> None:
    vocabulary = Vocabulary.from_catalog(Catalog(SHOP))
    assert parents(vocabulary)["拍照手机"] == "手机"
    assert "拍照手机" in {mention.node_id for mention in vocabulary.mentions("想买拍照手机")}


def test_ids_stay_when_items_are_added() -> None:
    few = goods(*[("A",)] * 3, *[("B",)] * 2, domain="d")
    more = few + [{"id": f"x{at}", "title": "T", "categories": ["A", "B"], "domain": "d"} for at in range(20)]
    first, second = Vocabulary.from_catalog(Catalog(few)), Vocabulary.from_catalog(Catalog(more))
    assert {node.id for node in first} == {node.id for node in second}
    assert parents(first)["d/b"] == "d"


@pytest.mark.parametrize("items", [[], goods((), (), domain="films"), goods(("A",), ("B",))])
def test_a_catalogue_without_categories_is_refused(items: list[dict[str, Any]]) -> None:
    with pytest.raises(InputError, match="no category of the catalogue is on 2 items: give the items"):
        Vocabulary.from_catalog(Catalog(items))


NAMES = st.sampled_from(["a", "b", "c", "d", "e", "f", "A", "手机", " "])


@given(
    st.lists(
        st.tuples(st.sampled_from([None, "a", "shop"]), st.lists(NAMES, max_size=6)), min_size=1, max_size=30
    ),
    st.integers(1, 3),
)
def test_any_categories_make_a_forest_of_bounded_depth(
    found: list[tuple[str | None, list[str]]], least: int
) -> None:
    items = [
        {"id": str(at), "title": "T", "categories": names, "domain": domain}
        for at, (domain, names) in enumerate(found)
    ]
    try:
        vocabulary = Vocabulary.from_catalog(Catalog(items), least)
    except InputError:
        return
    for node in vocabulary:
        path = vocabulary.ancestors(node.id)
        assert len(path) == len(set(path)) <= MAX_DEPTH
