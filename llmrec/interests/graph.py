"""A profile as a networkx graph; and a hierarchy as one and back, without loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import networkx as nx
from pydantic import ValidationError

from llmrec.behavior.events import HistoryEntry, Item, describe_validation_error
from llmrec.errors import InputError
from llmrec.interests.hierarchy import PATH_SEPARATOR, Ending, Evidence, Interest, InterestHierarchy

if TYPE_CHECKING:
    from llmrec.interests.anticipation import PredictedInterest
    from llmrec.interests.profile import InterestProfile

# Any two nodes stand in one relation at most, so the edges need no names of their own.
InterestGraph: TypeAlias = "nx.DiGraph[Any]"

PERSON = "person"
INTEREST = "interest"
ITEM = "item"
EVENT = "event"

HAS = "has"
BROADER = "broader"
SUPPORTED_BY = "supported_by"
ABOUT = "about"
PREDICTED_FROM = "predicted_from"

SCALAR_FIELDS = tuple(
    name for name in Interest.model_fields if name not in ("id", "parent_id", "broader", "ended", "evidence")
)
"""The fields of an interest that are attributes of its node under their own names."""


def profile_graph(profile: InterestProfile) -> InterestGraph:
    """Turn a profile into a new directed graph, yours to edit.

    Nodes are pairs of kind and id: `("person", id)`, `("interest", id)`, `("event", id)` and `("item", id)`;
    each has its `kind`, a `label` for people to read, and its fields as attributes. To what `to_graph` makes
    of the hierarchy it adds edges of the kinds `has` (the person to their top interests), `about` (an event
    to its item; a sentence is about none) and `predicted_from` (a predicted interest to those it was
    inferred from, the strongest first by `order`). Predicted interests have `predicted=True`; no event
    supports them, and `from_graph` leaves them out. What a fact does not say is no attribute: an event
    without a time has no `timestamp`. Suppressed interests are not in the graph.
    """
    graph = to_graph(profile.hierarchy)
    person = (PERSON, profile.user_id)
    graph.add_node(
        person,
        kind=PERSON,
        label=profile.user_id,
        language=profile.language,
        events=len(profile.entries),
        created=profile.created.timestamp(),
    )
    for interest in profile.hierarchy.children():
        graph.add_edge(person, (INTEREST, interest.id), kind=HAS)
    for entry in profile.entries:
        event = (EVENT, entry.event.id)
        graph.add_node(event, **_event_attributes(entry))
        if entry.event.item_id:
            item = (ITEM, entry.event.item_id)
            graph.add_node(item, **_item_attributes(entry.event.item_id, entry.item))
            graph.add_edge(event, item, kind=ABOUT)
    for order, predicted in enumerate(profile.predicted):
        # What the person has shown since is no prediction any more.
        if predicted.id not in profile.hierarchy:
            _add_predicted(graph, predicted, order)
    return graph


def to_graph(hierarchy: InterestHierarchy) -> InterestGraph:
    """Turn a hierarchy into a directed graph.

    Nodes are `("interest", id)` and `("event", id)`, with their kind and fields as attributes. Edges run
    from an interest to the broader ones (`kind="broader"`, as in SKOS; `tree=True` to its parent,
    `tree=False` to further ones, numbered by `order`) and from an interest to each event behind it
    (`kind="supported_by"`, with the `share` and, as `order`, the place in the list of evidence). Where
    `ended` is true, `ended_by`, `ended_at` and `ended_weight` say by which event, when, and from what weight.
    """
    graph: InterestGraph = nx.DiGraph()
    for order, interest in enumerate(hierarchy.interests):
        node = (INTEREST, interest.id)
        fields = {name: getattr(interest, name) for name in SCALAR_FIELDS}
        graph.add_node(
            node,
            kind=INTEREST,
            order=order,
            predicted=False,
            support=interest.support,
            ended=interest.ended is not None,
            **fields,
            **_ending_attributes(interest.ended),
        )
        if interest.parent_id is not None:
            graph.add_edge(node, (INTEREST, interest.parent_id), kind=BROADER, tree=True)
        for place, broader in enumerate(interest.broader):
            graph.add_edge(node, (INTEREST, broader), kind=BROADER, tree=False, order=place)
        for place, evidence in enumerate(interest.evidence):
            event = (EVENT, evidence.event_id)
            graph.add_node(event, kind=EVENT)
            graph.add_edge(node, event, kind=SUPPORTED_BY, share=evidence.share, order=place)
    return graph


def from_graph(graph: InterestGraph) -> InterestHierarchy:
    """Turn a graph made by `to_graph` or `profile_graph`, or edited since, back into a hierarchy.

    So may a graph be that networkx read from an export, whose nodes are named `interest:ID`. Nodes and edges
    of other kinds, and predicted interests, are left out. Raises InputError when what is left is not a
    forest of interests with evidence.
    """
    try:
        found = [
            (node, data)
            for node, data in graph.nodes(data=True)
            if data.get("kind") == INTEREST and not data.get("predicted")
        ]
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


def node_name(node: tuple[str, str]) -> str:
    """The name of a node as one text, `interest:films` for `("interest", "films")`."""
    return f"{node[0]}:{node[1]}"


def _interest(graph: InterestGraph, node: Any, data: dict[str, Any]) -> Interest:
    interest_id = _id_of(node, INTEREST)
    edges = list(graph.out_edges(node, data=True))
    above = [(target, edge) for _, target, edge in edges if edge.get("kind") == BROADER]
    parents = [_id_of(target, INTEREST) for target, edge in above if edge.get("tree", True)]
    if len(parents) > 1:
        raise InputError(
            f"the interest {interest_id!r} has {len(parents)} parents: leave one, and set tree=False on the "
            "edges to further broader interests"
        )
    further = sorted(
        (edge["order"], _id_of(target, INTEREST)) for target, edge in above if not edge.get("tree", True)
    )
    evidence = sorted(
        (edge["order"], _id_of(target, EVENT), edge["share"])
        for _, target, edge in edges
        if edge.get("kind") == SUPPORTED_BY
    )
    ended = None
    if data.get("ended"):
        ended = Ending(event_id=data["ended_by"], timestamp=data.get("ended_at"), weight=data["ended_weight"])
    return Interest(
        id=interest_id,
        parent_id=parents[0] if parents else None,
        broader=tuple(broader for _, broader in further),
        ended=ended,
        evidence=tuple(Evidence(event_id=event_id, share=share) for _, event_id, share in evidence),
        **{name: data[name] for name in SCALAR_FIELDS},
    )


def _id_of(node: Any, kind: str) -> str:
    if isinstance(node, tuple) and len(node) == 2 and node[0] == kind and isinstance(node[1], str):
        return node[1]
    if isinstance(node, str) and node.startswith(f"{kind}:"):
        return node.removeprefix(f"{kind}:")
    raise TypeError(f"{node!r} is not named ({kind!r}, id)")


def _ending_attributes(ended: Ending | None) -> dict[str, Any]:
    if ended is None:
        return {}
    return _known(ended_by=ended.event_id, ended_at=ended.timestamp, ended_weight=ended.weight)


def _event_attributes(entry: HistoryEntry) -> dict[str, Any]:
    event = entry.event
    return _known(
        kind=EVENT,
        label=entry.title or event.item_id,
        action=event.action,
        value=event.value,
        text=event.text,
        timestamp=event.timestamp,
        strength=entry.strength,
        decay=entry.decay,
        weight=entry.weight,
    )


def _item_attributes(item_id: str, item: Item | None) -> dict[str, Any]:
    if item is None:
        return {"kind": ITEM, "label": item_id}
    return _known(
        kind=ITEM,
        label=item.title,
        domain=item.domain,
        language=item.language,
        categories=", ".join(item.categories) or None,
    )


def _add_predicted(graph: InterestGraph, predicted: PredictedInterest, order: int) -> None:
    node = (INTEREST, predicted.id)
    graph.add_node(
        node,
        kind=INTEREST,
        label=predicted.label,
        path=PATH_SEPARATOR.join(predicted.path),
        predicted=True,
        order=order,
        score=predicted.score,
        similar_people=predicted.similar_people,
        **{f"score_{source}": added for source, added in predicted.sources.items()},
    )
    for place, interest_id in enumerate(predicted.inferred_from):
        if graph.nodes.get((INTEREST, interest_id), {}).get("predicted") is False:
            graph.add_edge(node, (INTEREST, interest_id), kind=PREDICTED_FROM, order=place)


def _known(**attributes: Any) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}
