"""The hierarchy as a networkx graph: there and back without loss, and edits that make no sense."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.errors import InputError
from llmrec.interests.graph import InterestGraph, from_graph, to_graph
from llmrec.interests.hierarchy import MAX_LEVEL, Evidence, Interest, InterestHierarchy
from tests.builders import interest

HIERARCHY = InterestHierarchy(
    interests=(
        interest("films", "e1", "e2", "e3"),
        interest("films/horror", "e1", "e2"),
        interest("films/horror/zombies", "e2"),
        interest("books", "e3"),
    )
)
HORROR = ("interest", "films/horror")

unit = st.floats(0, 1, allow_nan=False)


@st.composite
def forests(draw: st.DrawFn) -> InterestHierarchy:
    """Any hierarchy: any texts as ids, parents and evidence at random."""
    ids = draw(st.lists(st.text(min_size=1, max_size=6), unique=True, max_size=12))
    events = draw(st.lists(st.text(min_size=1, max_size=6), unique=True, min_size=1, max_size=8))
    interests: list[Interest] = []
    for interest_id in ids:
        possible = [None, *(above for above in interests if above.level < MAX_LEVEL)]
        parent = draw(st.sampled_from(possible))
        above = [evidence.event_id for evidence in parent.evidence] if parent else events
        supporting = draw(st.lists(st.sampled_from(above), unique=True, min_size=1))
        interests.append(
            Interest(
                id=interest_id,
                label=draw(st.text(min_size=1, max_size=8)),
                parent_id=parent.id if parent else None,
                level=parent.level + 1 if parent else 1,
                weight=draw(unit),
                confidence=draw(unit),
                polarity=draw(st.sampled_from(["positive", "negative"])),
                evidence=tuple(Evidence(event_id=event, share=draw(unit)) for event in supporting),
            )
        )
    return InterestHierarchy(interests=tuple(interests))


@given(forests())
def test_any_hierarchy_comes_back_equal(hierarchy: InterestHierarchy) -> None:
    assert from_graph(to_graph(hierarchy)) == hierarchy


@given(forests())
def test_any_hierarchy_comes_back_equal_through_json(hierarchy: InterestHierarchy) -> None:
    text = json.dumps(nx.node_link_data(to_graph(hierarchy), edges="edges"))
    assert from_graph(nx.node_link_graph(json.loads(text), edges="edges")) == hierarchy


def test_edges_run_to_the_broader_interest_and_to_the_events() -> None:
    graph = to_graph(HIERARCHY)
    assert graph.number_of_nodes() == 4 + 3
    assert graph.edges[HORROR, ("interest", "films")]["kind"] == "broader"
    assert graph.edges[HORROR, ("event", "e2")] == {"kind": "supported_by", "share": 1.0, "order": 1}
    assert graph.nodes[HORROR]["label"] == "Horror"
    assert graph.nodes[HORROR]["support"] == 2
    above_zombies = nx.descendants(graph, ("interest", "films/horror/zombies"))
    assert {node for node in above_zombies if node[0] == "interest"} == {HORROR, ("interest", "films")}


def test_edits_that_make_sense_are_taken() -> None:
    graph = to_graph(HIERARCHY)
    graph.nodes[HORROR]["label"] = "Scary films"
    graph.nodes[HORROR]["weight"] = 0.25
    graph.remove_node(("interest", "books"))
    graph.add_node("a note of my own", kind="note")
    graph.add_edge(HORROR, "a note of my own", kind="see")
    edited = from_graph(graph)
    assert [found.id for found in edited.interests] == ["films", "films/horror", "films/horror/zombies"]
    assert edited.path("films/horror/zombies") == ("Films", "Scary films", "Zombies")
    assert edited["films/horror"].weight == 0.25


def _remove_the_parent(graph: InterestGraph) -> None:
    graph.remove_node(("interest", "films"))


def _two_parents(graph: InterestGraph) -> None:
    graph.add_edge(HORROR, ("interest", "books"), kind="broader")


def _a_cycle(graph: InterestGraph) -> None:
    graph.add_edge(("interest", "films"), ("interest", "films/horror/zombies"), kind="broader")


def _its_own_parent(graph: InterestGraph) -> None:
    graph.add_edge(("interest", "books"), ("interest", "books"), kind="broader")


def _an_event_for_a_parent(graph: InterestGraph) -> None:
    graph.add_edge(("interest", "books"), ("event", "e3"), kind="broader")


def _no_evidence(graph: InterestGraph) -> None:
    graph.remove_edge(("interest", "books"), ("event", "e3"))


def _evidence_that_the_parent_lacks(graph: InterestGraph) -> None:
    graph.add_edge(HORROR, ("event", "e9"), kind="supported_by", share=1.0, order=9)


def _no_label(graph: InterestGraph) -> None:
    del graph.nodes[HORROR]["label"]


def _no_share(graph: InterestGraph) -> None:
    del graph.edges[HORROR, ("event", "e1")]["share"]


def _an_order_that_is_a_word(graph: InterestGraph) -> None:
    graph.nodes[HORROR]["order"] = "second"


def _the_parent_last(graph: InterestGraph) -> None:
    graph.nodes[("interest", "films")]["order"] = 99


def _a_weight_that_is_no_number(graph: InterestGraph) -> None:
    graph.nodes[HORROR]["weight"] = float("nan")


def _a_share_above_one(graph: InterestGraph) -> None:
    graph.edges[HORROR, ("event", "e1")]["share"] = 1.5


def _a_level_of_its_own(graph: InterestGraph) -> None:
    graph.nodes[HORROR]["level"] = 5


def _a_node_named_by_a_word(graph: InterestGraph) -> None:
    graph.add_node("horror", **{**graph.nodes[HORROR], "order": 50})


def _a_node_named_by_a_number(graph: InterestGraph) -> None:
    graph.add_node(7, **{**graph.nodes[HORROR], "order": 50})


@pytest.mark.parametrize(
    "edit",
    [
        _remove_the_parent,
        _two_parents,
        _a_cycle,
        _its_own_parent,
        _an_event_for_a_parent,
        _no_evidence,
        _evidence_that_the_parent_lacks,
        _no_label,
        _no_share,
        _an_order_that_is_a_word,
        _the_parent_last,
        _a_weight_that_is_no_number,
        _a_share_above_one,
        _a_level_of_its_own,
        _a_node_named_by_a_word,
        _a_node_named_by_a_number,
    ],
)
def test_edits_that_make_no_sense_are_refused(edit: Callable[[Any], None]) -> None:
    graph = to_graph(HIERARCHY)
    edit(graph)
    with pytest.raises(InputError):
        from_graph(graph)


def test_a_graph_without_directions_is_refused() -> None:
    with pytest.raises(InputError, match="not a hierarchy"):
        from_graph(to_graph(HIERARCHY).to_undirected())
