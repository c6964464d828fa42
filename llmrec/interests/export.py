"""The graph of a profile for other programs: GraphML, node-link JSON, Mermaid; and one page for people."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import secrets
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import networkx as nx

from llmrec.behavior.text import clean_text
from llmrec.errors import InputError
from llmrec.interests.graph import PERSON, InterestGraph, node_name, profile_graph
from llmrec.interests.page import page_words, signed_weight, to_page

if TYPE_CHECKING:
    from llmrec.interests.profile import InterestProfile

GraphFormat = Literal["graphml", "json", "mermaid", "html"]
GRAPH_FORMATS: tuple[GraphFormat, ...] = get_args(GraphFormat)
SUFFIXES: Mapping[str, GraphFormat] = {
    ".graphml": "graphml",
    ".json": "json",
    ".mmd": "mermaid",
    ".mermaid": "mermaid",
    ".html": "html",
    ".htm": "html",
}
"""The format that the end of a file's name stands for."""

LONGEST_MERMAID_LABEL = 60
# What XML 1.0 cannot hold (section 2.2), and the carriage return, which readers turn into a line end.
_NOT_IN_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# What Mermaid takes for formulas and icons even where it is written as entities.
_MERMAID_SIGNS = re.compile(r"\$(?=\$)|:(?=fa-)")
_MERMAID_CLASSES = """\
classDef person fill:#f4f4f4,color:#1b2024,stroke:#59636b
classDef core fill:#0b5c8e,color:#ffffff,stroke:#063a5b,stroke-width:3px
classDef regular fill:#a8d3ee,color:#10222e,stroke:#0b5c8e
classDef occasional fill:#eaf4fb,color:#10222e,stroke:#7fb2d4
classDef disliked fill:#fbdcc4,color:#3a1800,stroke:#b34700
classDef predicted fill:#ffffff,color:#444444,stroke:#777777,stroke-dasharray:5 4"""


def to_graphml(profile: InterestProfile) -> str:
    """Write the graph of a profile as GraphML, which Gephi, yEd, Cytoscape and networkx read.

    Nodes are named `interest:ID`, `event:ID`, `item:ID` and `person:ID`, and keep their attributes; so do
    edges. Characters that XML cannot hold are written as `\\u0000`.
    `from_graph(networkx.read_graphml(file))` gives the hierarchy back, where there are no such characters.
    """
    graph = nx.DiGraph()
    named = _named(profile_graph(profile))
    names: dict[str, str] = {}
    taken: set[str] = set()
    for name in named:
        safe = _for_xml(name)
        # Two names that differ in what XML cannot hold alone stay two.
        while safe in taken:
            safe += "~"
        taken.add(safe)
        names[name] = safe
    for name, data in named.nodes(data=True):
        graph.add_node(names[name], **{key: _for_xml(value) for key, value in data.items()})
    for source, target, data in named.edges(data=True):
        graph.add_edge(names[source], names[target], **{key: _for_xml(value) for key, value in data.items()})
    written = io.BytesIO()
    nx.write_graphml_xml(graph, written, encoding="utf-8", prettyprint=True)
    return written.getvalue().decode("utf-8")


def to_node_link(profile: InterestProfile) -> dict[str, Any]:
    """The graph of a profile in the node-link form of networkx, with the edges under `edges`; made for JSON.

    Nodes are named as in `to_graphml`. `from_graph(networkx.node_link_graph(data, edges="edges"))` gives the
    hierarchy back.
    """
    # By hand: from version to version, node_link_data names the edges otherwise and warns of its own default.
    graph = _named(profile_graph(profile))
    return {
        "directed": True,
        "multigraph": False,
        "graph": {},
        "nodes": [{**data, "id": name} for name, data in graph.nodes(data=True)],
        "edges": [
            {**data, "source": source, "target": target} for source, target, data in graph.edges(data=True)
        ],
    }


def to_mermaid(profile: InterestProfile) -> str:
    """Write the tree of interests as a Mermaid flowchart, which GitHub and many editors draw.

    The person stands left, narrower interests to the right of broader ones, each with its weight and
    coloured by its tier, or as turned away. Dotted arrows lead to further broader interests, and from
    predicted interests to what they were inferred from. Events and items are left out.
    """
    words = page_words(profile.language)
    hierarchy = profile.hierarchy
    lines = ["flowchart LR", f'  person(["{_for_mermaid(profile.user_id)}"])']
    names: dict[str, str] = {}
    classes: dict[str, list[str]] = defaultdict(list)
    classes["person"].append("person")
    for at, interest in enumerate(hierarchy.walk()):
        name = names[interest.id] = f"n{at}"
        lines.append(f'  {name}["{_for_mermaid(interest.label)}<br/>{signed_weight(interest)}"]')
        lines.append(f"  {names.get(interest.parent_id or '', 'person')} --- {name}")
        classes[interest.tier].append(name)
        if interest.polarity == "negative":
            classes["disliked"].append(name)
    for interest in hierarchy.walk():
        lines += [f"  {names[interest.id]} -. {words['broader']} .-> {names[b]}" for b in interest.broader]
    shown = [one for one in profile.predicted if one.id not in hierarchy]
    for at, one in enumerate(shown):
        lines.append(f'  p{at}["{_for_mermaid(one.label)}<br/>{words["predicted_tag"]}"]')
        classes["predicted"].append(f"p{at}")
        sources = [names[source] for source in one.inferred_from if source in names]
        lines += [f"  p{at} -. {words['predicted_from']} .-> {source}" for source in sources]
    lines += [f"  {line}" for line in _MERMAID_CLASSES.splitlines()]
    lines += [f"  class {','.join(found)} {kind}" for kind, found in classes.items()]
    return "\n".join(lines) + "\n"


def graph_text(profile: InterestProfile, kind: GraphFormat) -> str:
    """The graph of a profile in one of the formats, as the text of a file. Raises InputError for another."""
    writers: dict[GraphFormat, Callable[[InterestProfile], str]] = {
        "graphml": to_graphml,
        "json": lambda one: json.dumps(to_node_link(one), ensure_ascii=False, indent=1) + "\n",
        "mermaid": to_mermaid,
        "html": to_page,
    }
    if kind not in writers:
        raise InputError(f"there is no format {kind!r} of a graph: choose among {', '.join(GRAPH_FORMATS)}")
    return writers[kind](profile)


def format_of(path: str | Path) -> GraphFormat:
    """The format that a file's name stands for. Raises InputError for a name without a known end."""
    found = SUFFIXES.get(Path(path).suffix.lower())
    if found is None:
        raise InputError(
            f"the name {str(path)!r} does not tell the format: let it end in {', '.join(SUFFIXES)}"
        )
    return found


def write_graph(profile: InterestProfile, path: str | Path, kind: GraphFormat | None = None) -> Path:
    """Write the graph of a profile to a file in UTF-8, in the format that its name or `kind` says.

    The file appears whole or not at all: one that was there stays until the new one is written. Returns the
    path. Raises InputError for a name that tells no format, and where the file cannot be written.
    """
    kind = kind if kind is not None else format_of(path)
    content = graph_text(profile, kind).encode("utf-8")
    try:
        target = Path(os.path.realpath(path))
        beside = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}")
        try:
            with beside.open("xb") as file:
                file.write(content)
            beside.replace(target)
        except BaseException:
            with contextlib.suppress(OSError):
                beside.unlink()
            raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} cannot be written ({reason}): name a file in a folder of yours") from error
    return Path(path)


def _named(graph: InterestGraph) -> nx.DiGraph[str]:
    """The same graph with texts as the names of nodes; the person first, as one reads it."""
    named: nx.DiGraph[str] = nx.DiGraph()
    for node, data in sorted(graph.nodes(data=True), key=lambda pair: pair[0][0] != PERSON):
        named.add_node(node_name(node), **data)
    for source, target, data in graph.edges(data=True):
        named.add_edge(node_name(source), node_name(target), **data)
    return named


def _for_xml(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return _NOT_IN_XML.sub(lambda found: f"\\u{ord(found.group()):04x}", value)


def _for_mermaid(text: str) -> str:
    """A text that stays a text inside the quotes of a label: all but letters and digits as entities."""
    cleaned = " ".join(clean_text(text).split())
    if len(cleaned) > LONGEST_MERMAID_LABEL:
        cleaned = cleaned[: LONGEST_MERMAID_LABEL - 1] + "…"
    cleaned = _MERMAID_SIGNS.sub("\\g<0>\u200b", cleaned)
    return "".join(c if c.isalnum() or c == " " else f"#{ord(c)};" for c in cleaned) or "…"
