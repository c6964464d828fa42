"""The hierarchy as a networkx graph, and back, without loss."""

from __future__ import annotations

from typing import Any, TypeAlias

import networkx as nx
from pydantic import ValidationError

from llmrec.behavior.events import describe_validation_error
from llmrec.errors import InputError
from llmrec.interests.hierarchy import Evidence, Interest, InterestHierarchy

InterestGraph: TypeAlias = "nx.DiGraph[Any]"

INTEREST = "interest"
EVENT = "event"
BROADER = "broader"
SUPPORTED_BY = "supported_by"


def to_graph(hierarchy: InterestHierarchy) -> InterestGraph:
    """Turn a hierarchy into a directed graph.

    Nodes are `("interest", id)` and `("event", id)`, with their kind and fields as attributes. Edges run
    from an interest to the broader one (`kind="broader"`, as in SKOS) and from an interest to each event
    behind it (`kind="supported_by"`, with the share and the place in the list of evidence).
    """
    graph: InterestGraph = nx.DiGraph()
    for order, interest in enumerate(hierarchy.interests):
        node = (INTEREST, interest.id)
        graph.add_node(
            node,
            kind=INTEREST,
            order=order,
            label=interest.label,
            level=interest.level,
            weight=interest.weight,
            confidence=interest.confidence,
            polarity=interest.polarity,
            support=interest.support,
        )
        if interest.parent_id is not None:
            graph.add_edge(node, (INTEREST, interest.parent_id), kind=BROADER)
        for place, evidence in enumerate(interest.evidence):
            event = (EVENT, evidence.event_id)
            graph.add_node(event, kind=EVENT)
            graph.add_edge(node, event, kind=SUPPORTED_BY, share=evidence.share, order=place)
    return graph


def from_graph(graph: InterestGraph) -> InterestHierarchy:
    """Turn a graph made by `to_graph`, or edited since, back into a hierarchy.

    Nodes and edges of other kinds are left out. Raises InputError when what is left is not a forest of
    interests with evidence.
    """
    try:
        found = [(node, data) for node, data in graph.nodes(data=True) if data.get("kind") == INTEREST]
        interests = [
            _interest(graph, node, data) for node, data in sorted(found, key=lambda pair: pair[1]["order"])
        ]
        return InterestHierarchy(interests=tuple(interests))
    except KeyError as error:
        fault = f"{error} is missing on a node or an edge"
    except ValidationError as error:
        fault = describe_validation_error(error)
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        fault = f"its nodes, edges or their order are not as to_graph makes them ({error})"
    raise InputError(f"the graph is not a hierarchy of interests: {fault}")


def _interest(graph: InterestGraph, node: Any, data: dict[str, Any]) -> Interest:
    if not isinstance(node, tuple) or node[:1] != (INTEREST,):
        raise TypeError(f"the interest {node!r} is not named ({INTEREST!r}, id)")
    edges = list(graph.out_edges(node, data=True))
    parents = [target[1] for _, target, edge in edges if edge.get("kind") == BROADER]
    if len(parents) > 1:
        raise InputError(f"the interest {node[1]!r} has {len(parents)} broader ones: leave one of them")
    evidence = sorted(
        (
            (edge["order"], target[1], edge["share"])
            for _, target, edge in edges
            if edge.get("kind") == SUPPORTED_BY
        )
    )
    return Interest(
        id=node[1],
        label=data["label"],
        parent_id=parents[0] if parents else None,
        level=data["level"],
        weight=data["weight"],
        confidence=data["confidence"],
        polarity=data["polarity"],
        evidence=tuple(Evidence(event_id=event_id, share=share) for _, event_id, share in evidence),
    )
