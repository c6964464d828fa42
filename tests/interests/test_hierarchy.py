"""The hierarchy: what it refuses, and how it is read."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from llmrec.interests.hierarchy import MAX_LEVEL, InterestHierarchy
from tests.builders import interest

FOREST = InterestHierarchy(
    interests=(
        interest("films", "e1", "e2", "e3", weight=0.75),
        interest("films/horror", "e1", "e2", weight=0.5),
        interest("films/horror/zombies", "e2", weight=0.25),
        interest("films/comedy", "e3", weight=0.125, polarity="negative"),
        interest("books", "e4", weight=0.2),
    )
)


@pytest.mark.parametrize(
    ("interests", "fault"),
    [
        pytest.param([interest("films"), interest("films")], "there twice", id="an id twice"),
        pytest.param([interest("films/horror")], "parent of 'films/horror' is missing", id="no parent"),
        pytest.param(
            [interest("films/horror"), interest("films")], "missing or comes after", id="parent after child"
        ),
        pytest.param(
            [interest("a", parent_id="b", level=2), interest("b", parent_id="a", level=2)],
            "missing or comes after",
            id="a cycle",
        ),
        pytest.param([interest("a", parent_id="a", level=2)], "missing or comes after", id="its own parent"),
        pytest.param([interest("films", level=2)], "level must be 1", id="a root below the top"),
        pytest.param(
            [interest("films"), interest("films/horror", level=3)], "parent's plus one", id="a level left out"
        ),
        pytest.param(
            [interest("films", "e1"), interest("films/horror", "e1", "e2")],
            "supports 'films/horror' and not its parent",
            id="evidence that the parent lacks",
        ),
    ],
)
def test_what_is_no_forest_is_refused(interests: list[Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        InterestHierarchy(interests=tuple(interests))


@pytest.mark.parametrize(
    "fields",
    [
        {"weight": 1.01},
        {"weight": -0.1},
        {"weight": float("nan")},
        {"confidence": 1.5},
        {"label": ""},
        {"evidence": ()},
        {"level": 0},
        {"level": MAX_LEVEL + 1},
        {"polarity": "mixed"},
        {"mood": "good"},
    ],
)
def test_an_interest_outside_its_ranges_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        interest("films", **fields)


def test_the_tree_shows_label_weight_sign_and_support() -> None:
    assert FOREST.tree().splitlines() == [
        "Films  0.75  (3)",
        "├─ Horror  0.50  (2)",
        "│  └─ Zombies  0.25  (1)",
        "└─ Comedy  -0.12  (1)",
        "Books  0.20  (1)",
    ]
    assert InterestHierarchy().tree() == ""


def test_walking_reading_and_looking_up() -> None:
    assert [found.id for found in FOREST.walk()] == [
        "films",
        "films/horror",
        "films/horror/zombies",
        "films/comedy",
        "books",
    ]
    assert [found.id for found in FOREST.leaves()] == ["films/horror/zombies", "films/comedy", "books"]
    assert FOREST.path("films/horror/zombies") == ("Films", "Horror", "Zombies")
    assert [found.id for found in FOREST.children()] == ["films", "books"]
    assert [found.id for found in FOREST.children("films")] == ["films/horror", "films/comedy"]
    assert FOREST.children("books") == []
    assert FOREST["films/horror"].support == 2
    assert "films/comedy" in FOREST
    assert "films/western" not in FOREST
    assert len(FOREST) == 5
    with pytest.raises(KeyError):
        FOREST.path("films/western")


def test_a_walk_keeps_children_with_their_parents_whatever_the_order_of_the_list() -> None:
    mixed = InterestHierarchy(
        interests=(interest("a"), interest("b"), interest("a/x"), interest("b/y"), interest("a/x/z"))
    )
    assert [found.id for found in mixed.walk()] == ["a", "a/x", "a/x/z", "b", "b/y"]


def test_json_gives_it_back() -> None:
    assert InterestHierarchy.model_validate_json(FOREST.model_dump_json()) == FOREST


@pytest.mark.parametrize(
    ("broader_of_a", "broader_of_b"),
    [
        (("top",), ()),
        (("b", "b"), ()),
        (("a",), ()),
        (("b",), ("a",)),
        (("nothing",), ()),
    ],
)
def test_further_broader_interests_that_cannot_be(
    broader_of_a: tuple[str, ...], broader_of_b: tuple[str, ...]
) -> None:
    a = interest("a", parent_id="top", level=2, broader=broader_of_a)
    with pytest.raises(ValidationError, match="broader"):
        InterestHierarchy(interests=(interest("top"), a, interest("b", broader=broader_of_b)))


def test_a_further_broader_interest() -> None:
    a = interest("a", parent_id="top", level=2, broader=("b",))
    hierarchy = InterestHierarchy(interests=(interest("top"), a, interest("b")))
    assert hierarchy["a"].broader == ("b",)
