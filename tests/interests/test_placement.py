"""Labels find their place: one tree, no circles, nothing lost, whatever the judge says."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.interests.placement import (
    TOP,
    FreeLabel,
    KindJudge,
    Placement,
    PlacementWeights,
    place_labels,
)
from tests.interests.extraction_tools import ToldEmbedder


class Says(KindJudge):
    """A judge with fixed opinions, by labels."""

    weights = PlacementWeights(similarity=0.0, top=0.0, near=1.0, subsumption=8.0)

    def __init__(self, opinions: Mapping[tuple[str, str], float]) -> None:
        self.opinions = opinions
        self.asked: dict[str, Sequence[str]] = {}

    def judge(
        self, labels: Mapping[str, FreeLabel], candidates: Mapping[str, Sequence[str]]
    ) -> Mapping[tuple[str, str], float]:
        self.asked = dict(candidates)
        names = {label.label: label.id for label in labels.values()}
        return {
            (names[narrow], names.get(broad, TOP)): nats for (narrow, broad), nats in self.opinions.items()
        }


def flat(*labels: str) -> list[FreeLabel]:
    return [FreeLabel(label, label) for label in labels]


def test_flat_labels_become_a_tree() -> None:
    judge = Says(
        {("Cyberpunk", "Science fiction"): 5, ("Science fiction", "Films"): 4, ("Cyberpunk", "Films"): 2}
    )
    placed = place_labels(flat("Cyberpunk", "Science fiction", "Films", "Food"), judge)
    assert placed.parents == {
        "Cyberpunk": "Science fiction",
        "Science fiction": "Films",
        "Films": None,
        "Food": None,
    }
    assert placed.further == {}


def test_a_circle_is_broken_where_it_costs_least() -> None:
    judge = Says({("A", "B"): 5.0, ("B", "C"): 3.0, ("C", "A"): 4.0})
    assert place_labels(flat("A", "B", "C"), judge).parents == {"A": "B", "B": None, "C": "A"}


def test_words_place_labels_without_a_judge() -> None:
    placed = place_labels(flat("Indie games", "Games", "Gardening", "科幻小说", "小说"))
    assert placed.parents["Indie games"] == "Games"
    assert placed.parents["科幻小说"] == "小说"
    assert placed.parents["Gardening"] is None


def test_closeness_counts_where_an_embedder_speaks() -> None:
    embedder = ToldEmbedder({"cyberpunk": [1.0, 0.1], "dystopia": [1.0]})
    labels = [FreeLabel("1", "Cyberpunk"), FreeLabel("2", "Dystopia", placed=True)]
    assert place_labels(labels, embedder=embedder).parents == {"1": "2", "2": None}
    assert place_labels(labels).parents == {"1": None, "2": None}


def test_what_is_placed_stays_and_takes_others_below_it() -> None:
    labels = [
        FreeLabel("f", "Films", placed=True),
        FreeLabel("h", "Horror", parent="f", placed=True),
        FreeLabel("s", "Slashers"),
    ]
    judge = Says({("Slashers", "Horror"): 3, ("Horror", "Slashers"): 9, ("Films", "Slashers"): 9})
    assert place_labels(labels, judge).parents == {"f": None, "h": "f", "s": "h"}
    assert set(judge.asked) == {"s"}


def test_a_sibling_that_is_broader_becomes_the_parent() -> None:
    labels = [
        FreeLabel("h", "Hobbies"),
        FreeLabel("g", "Games", parent="h"),
        FreeLabel("i", "Indie games", parent="h"),
        FreeLabel("b", "Baking", parent="h"),
    ]
    for judge in (None, Says({})):
        assert place_labels(labels, judge).parents == {"h": None, "g": "h", "i": "g", "b": "h"}


def test_a_model_may_say_that_a_label_stands_at_the_top() -> None:
    judge = Says({("Indie games", TOP): 20.0})
    assert place_labels(flat("Indie games", "Games"), judge).parents["Indie games"] is None


def test_deep_labels_are_lifted() -> None:
    names = ["A", "B", "C", "D", "E", "F"]
    chain = {(narrow, broad): 5.0 for broad, narrow in itertools.pairwise(names)}
    placed = place_labels(flat(*names), Says(chain))
    assert placed.parents == {"A": None, "B": "A", "C": "B", "D": "C", "E": "C", "F": "C"}
    assert place_labels(flat(*names), Says(chain), max_depth=2).parents["F"] == "A"


def test_a_second_broader_label_that_is_nearly_as_good_is_named() -> None:
    judge = Says({("Ghost hunts", "Games"): 5.0, ("Ghost hunts", "Horror"): 4.5})
    placed = place_labels(flat("Ghost hunts", "Games", "Horror"), judge)
    assert placed.parents["Ghost hunts"] == "Games"
    assert placed.further == {"Ghost hunts": ("Horror",)}
    far = Says({("Ghost hunts", "Games"): 5.0, ("Ghost hunts", "Horror"): 3.5})
    assert place_labels(flat("Ghost hunts", "Games", "Horror"), far).further == {}


def test_further_links_say_nothing_the_tree_says_already() -> None:
    judge = Says({("C", "B"): 5.0, ("C", "A"): 4.9, ("B", "A"): 5.0})
    assert place_labels(flat("A", "B", "C"), judge).further == {}


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ([FreeLabel("a", "A"), FreeLabel("a", "B")], "unique"),
        ([FreeLabel("", "A")], "not empty"),
        ([FreeLabel("a", "A", parent="b")], "no label 'b'"),
        ([FreeLabel("a", "A", "b", placed=True), FreeLabel("b", "B", "a", placed=True)], "circle"),
        ([FreeLabel("a", "A", "b", placed=True), FreeLabel("b", "B")], "free"),
    ],
)
def test_labels_that_make_no_sense_are_refused(labels: list[FreeLabel], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        place_labels(labels)


def test_no_labels_are_no_tree() -> None:
    assert place_labels([]) == Placement({}, {})


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[FreeLabel], dict[tuple[str, str], float]]:
    names = [
        "Games",
        "Indie games",
        "Films",
        "Horror",
        "Horror & games",
        "科幻",
        "科幻小说",
        "小说",
        "X",
        "Y",
    ]
    chosen = draw(st.lists(st.sampled_from(names), unique=True, max_size=9))
    labels: list[FreeLabel] = []
    for name in chosen:
        above = draw(st.sampled_from([None, *labels]))
        placed = draw(st.booleans()) and (above is None or above.placed)
        labels.append(FreeLabel(name, name, above.id if above else None, placed=placed))
    pairs = st.tuples(st.sampled_from(chosen or ["X"]), st.sampled_from([*chosen, TOP]))
    opinions = draw(st.dictionaries(pairs, st.floats(-9, 9), max_size=20))
    free = {label.id for label in labels if not label.placed}
    return labels, {edge: nats for edge, nats in opinions.items() if edge[0] in free}


@given(worlds(), st.integers(1, 4), st.randoms(use_true_random=False))
def test_any_labels_make_a_tree_of_bounded_depth_in_any_order(
    world: tuple[list[FreeLabel], dict[tuple[str, str], float]], depth: int, chance: random.Random
) -> None:
    labels, opinions = world
    placed = place_labels(labels, Says(opinions), max_depth=depth)
    assert set(placed.parents) == {label.id for label in labels}
    by_id = {label.id: label for label in labels}
    for node_id in placed.parents:
        way = [node_id]
        while (above := placed.parents[way[-1]]) is not None:
            assert above not in way
            way.append(above)
        assert len(way) <= depth or any(by_id[step].placed for step in way)
        if by_id[node_id].placed:
            assert placed.parents[node_id] == by_id[node_id].parent
    above = {i: {p} if p else set() for i, p in placed.parents.items()}
    for node_id, others in placed.further.items():
        assert placed.parents[node_id] not in others
        above[node_id] |= set(others)
    assert not any(_reaches(above, node_id, node_id) for node_id in above)
    shuffled = list(labels)
    chance.shuffle(shuffled)
    assert place_labels(shuffled, Says(opinions), max_depth=depth) == placed


def _reaches(above: Mapping[str, set[str]], start: str, goal: str) -> bool:
    seen: set[str] = set()
    waiting = list(above[start])
    while waiting:
        node_id = waiting.pop()
        if node_id == goal:
            return True
        if node_id not in seen:
            seen.add(node_id)
            waiting += above[node_id]
    return False
