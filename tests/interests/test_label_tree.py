"""One tree from labels that do not agree about places."""

from __future__ import annotations

from llmrec.interests.edits import Merge, Move
from llmrec.interests.extraction import EventLabel, PathStep
from llmrec.interests.hierarchy import MAX_LEVEL
from llmrec.interests.label_tree import LabelNode, grow_tree
from llmrec.settings import InterestNumbers
from tests.builders import history_of, label, readings
from tests.interests.test_numbers import told


def grown(
    *labels: EventLabel, broader: dict[str, list[str]] | None = None, edits: tuple = ()
) -> dict[str, LabelNode]:
    history = history_of(told(*["like"] * len(labels)))
    return grow_tree(
        history, readings(*labels), edits, broader=broader or {}, numbers=InterestNumbers()
    ).nodes


def by_id(path: str) -> EventLabel:
    """A label whose ids do not tell the place."""
    return EventLabel(tuple(PathStep(part, part.upper()) for part in path.split("/")), 1.0)


def test_the_place_most_labels_name_wins_and_the_other_is_a_further_link() -> None:
    nodes = grown(by_id("films/horror"), by_id("books/horror"), by_id("books/horror"), by_id("films"))
    horror = nodes["horror"]
    assert (horror.parent, horror.level, horror.broader) == ("books", 2, ("films",))
    assert sorted(horror.shares) == [0, 1, 2]
    assert sorted(nodes["books"].shares) == [0, 1, 2], "what supports it supports what it is part of"
    assert sorted(nodes["films"].shares) == [3]


def test_labels_that_go_round_in_a_circle_make_a_tree() -> None:
    nodes = grown(by_id("a/b"), by_id("b/c"), by_id("c/a"))
    tops = [node for node in nodes.values() if node.parent is None]
    assert len(tops) == 1
    assert set(nodes) == {"a", "b", "c"}
    assert sorted(nodes[tops[0].id].shares) == [0, 1, 2]


def test_further_links_close_no_circle() -> None:
    nodes = grown(by_id("a/b"), by_id("c"), broader={"a": ["b"], "b": ["c", "nowhere"], "c": ["b"]})
    assert nodes["a"].broader == ()
    assert nodes["b"].broader == ("c",)
    assert nodes["c"].broader == ()


def test_what_stands_too_deep_stands_at_the_deepest_level() -> None:
    nodes = grown(by_id("/".join("abcdefghij")))
    assert max(node.level for node in nodes.values()) == MAX_LEVEL
    assert nodes["j"].level == MAX_LEVEL


def test_a_move_holds_against_what_labels_say_later() -> None:
    move = Move(interest="horror", under="books")
    nodes = grown(*[by_id("films/horror")] * 5, by_id("books"), edits=(move,))
    assert nodes["horror"].parent == "books"
    assert sorted(nodes["books"].shares) == [0, 1, 2, 3, 4, 5]


def test_a_merge_into_what_only_the_edit_names_keeps_a_name() -> None:
    nodes = grown(label("films/horror"), edits=(Merge(interest="films/horror", into="films/scary"),))
    assert nodes["films/scary"].label == "scary"
    assert sorted(nodes["films/scary"].shares) == [0]
