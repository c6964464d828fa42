"""The profile as a networkx graph; the hierarchy there and back without loss; edits that make no sense."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import networkx as nx
import pytest
from hypothesis import given

from llmrec.errors import InputError
from llmrec.interests.anticipation import PredictedInterest
from llmrec.interests.graph import InterestGraph, from_graph, profile_graph, to_graph
from llmrec.interests.hierarchy import Ending, InterestHierarchy
from tests.builders import NOON, interest
from tests.interests.made_profiles import film_lover, forests

HIERARCHY = InterestHierarchy(
    interests=(
        interest("films", "e1", "e2", "e3"),
        interest("films/horror", "e1", "e2"),
        interest("films/horror/zombies", "e2"),
        interest("books", "e3"),
    )
)
HORROR = ("interest", "films/horror")


@given(forests())
def test_any_hierarchy_comes_back_equal(hierarchy: InterestHierarchy) -> None:
    assert from_graph(to_graph(hierarchy)) == hierarchy


@given(forests())
def test_any_hierarchy_comes_back_equal_from_the_graph_of_a_profile(hierarchy: InterestHierarchy) -> None:
    guess = PredictedInterest(
        id="a guess of this test", path=("Guess",), score=1.0, inferred_from=("a guess of this test",)
    )
    profile = film_lover().model_copy(update={"hierarchy": hierarchy, "predicted": (guess,)})
    graph = profile_graph(profile)
    assert ("interest", guess.id) in graph
    assert from_graph(graph) == hierarchy


@given(forests())
def test_any_hierarchy_comes_back_equal_through_json(hierarchy: InterestHierarchy) -> None:
    graph = to_graph(hierarchy)
    nodes, edges = json.loads(json.dumps([list(graph.nodes(data=True)), list(graph.edges(data=True))]))
    read: InterestGraph = nx.DiGraph()
    read.add_nodes_from((tuple(node), data) for node, data in nodes)
    read.add_edges_from((tuple(source), tuple(target), data) for source, target, data in edges)
    assert from_graph(read) == hierarchy


def test_the_graph_of_a_profile_holds_the_person_the_events_and_their_items() -> None:
    profile = film_lover()
    graph = profile.graph
    person = ("person", "ana")
    assert set(graph.successors(person)) == {("interest", "films"), ("interest", "books")}
    assert all(graph.edges[person, top]["kind"] == "has" for top in graph.successors(person))
    assert graph.nodes[person]["events"] == 5
    by_kind = {
        kind: [n for n, d in graph.nodes(data=True) if d["kind"] == kind] for kind in ("event", "item")
    }
    assert {name for _, name in by_kind["item"]} == {"alien", "ring", "solaris", "unknown"}
    assert {name for _, name in by_kind["event"]} == {entry.event.id for entry in profile.entries}
    rated, _, said, _, viewed = [("event", entry.event.id) for entry in profile.entries]
    assert graph.edges[rated, ("item", "alien")] == {"kind": "about"}
    assert list(graph.successors(said)) == []
    assert list(graph.predecessors(viewed)) == []
    assert graph.nodes[rated]["action"] == "rate"
    assert graph.nodes[rated]["value"] == 5.0
    assert graph.nodes[rated]["timestamp"] == NOON
    assert graph.nodes[rated]["weight"] == profile.entries[0].weight
    assert graph.nodes[said]["label"] == graph.nodes[said]["text"] == "quiet science fiction"
    assert "value" not in graph.nodes[said]
    assert graph.nodes["item", "alien"]["categories"] == "Horror, Space"
    assert graph.nodes["item", "unknown"] == {"kind": "item", "label": "unknown"}
    supported = graph.edges[("interest", "films/horror"), rated]
    assert supported == {"kind": "supported_by", "share": 0.9, "order": 0}


def test_every_number_of_an_interest_is_an_attribute() -> None:
    profile = film_lover()
    graph = profile.graph
    for found in profile.interests:
        node = graph.nodes["interest", found.id]
        fields = found.model_dump(exclude={"id", "parent_id", "broader", "ended", "evidence"})
        assert {name: node[name] for name in fields} == fields
        assert (node["support"], node["predicted"]) == (found.support, False)


def test_further_broader_interests_are_edges_apart_from_the_tree() -> None:
    graph = film_lover().graph
    scifi = ("interest", "films/scifi")
    assert graph.edges[scifi, ("interest", "films")] == {"kind": "broader", "tree": True}
    assert graph.edges[scifi, ("interest", "books")] == {"kind": "broader", "tree": False, "order": 0}
    tree = [(a, b) for a, b, edge in graph.edges(data=True) if edge.get("tree")]
    assert nx.is_forest(nx.Graph(tree))


def test_an_ending_is_told_by_attributes_and_comes_back() -> None:
    ended = Ending(event_id="e2", timestamp=1.7e9, weight=0.25)
    hierarchy = InterestHierarchy(interests=(interest("films", ended=ended, polarity="negative"),))
    graph = to_graph(hierarchy)
    node = graph.nodes["interest", "films"]
    assert (node["ended"], node["ended_by"], node["ended_at"], node["ended_weight"]) == (
        True,
        "e2",
        1.7e9,
        0.25,
    )
    assert from_graph(graph) == hierarchy


def test_a_prediction_points_to_what_it_was_inferred_from_and_has_no_evidence() -> None:
    profile = film_lover()
    graph = profile.graph
    guess = ("interest", "films/space-opera")
    assert graph.nodes[guess]["predicted"] is True
    assert graph.nodes[guess]["label"] == "Space opera"
    assert (graph.nodes[guess]["score"], graph.nodes[guess]["score_model"]) == (0.4, 0.1)
    assert [(target, edge["kind"]) for _, target, edge in graph.out_edges(guess, data=True)] == [
        (("interest", "films/scifi"), "predicted_from")
    ]
    assert graph.in_degree(guess) == 0
    assert "films/space-opera" not in from_graph(graph)


def test_what_was_shown_since_is_no_prediction() -> None:
    profile = film_lover()
    shown = profile.predicted[0].model_copy(update={"id": "films/horror"})
    graph = profile.model_copy(update={"predicted": (shown,)}).graph
    assert graph.nodes["interest", "films/horror"]["predicted"] is False
    assert from_graph(graph) == profile.hierarchy


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


def _a_circle_of_further_links(graph: InterestGraph) -> None:
    graph.add_edge(("interest", "films"), ("interest", "books"), kind="broader", tree=False, order=0)
    graph.add_edge(("interest", "books"), HORROR, kind="broader", tree=False, order=0)


def _a_further_link_without_an_order(graph: InterestGraph) -> None:
    graph.add_edge(HORROR, ("interest", "books"), kind="broader", tree=False)


def _an_ending_without_an_event(graph: InterestGraph) -> None:
    graph.nodes[HORROR]["ended"] = True


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
        _a_circle_of_further_links,
        _a_further_link_without_an_order,
        _an_ending_without_an_event,
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
