"""A profile as a graph, as files for other programs, and as numbers for other recommenders."""

import tempfile
from pathlib import Path

import networkx as nx

from llmrec import Event, Item, Recommender, open_embedder
from llmrec.interests.export import to_mermaid, write_graph
from llmrec.interests.facets import fuse

items = [
    Item(id="ring", title="The Ring", domain="films", categories=("Horror",)),
    Item(id="solaris", title="Solaris", domain="films", categories=("Science fiction", "Drama")),
    Item(id="dune", title="Dune", domain="books", categories=("Science fiction",)),
]
events = [
    Event(user_id="ana", action="rate", item_id="solaris", value=5, timestamp="2026-01-10"),
    Event(user_id="ana", action="purchase", item_id="dune", timestamp="2026-02-01"),
    Event(user_id="ana", action="dislike", item_id="ring", timestamp="2026-02-14"),
]
with Recommender("embedded", items) as recommender:
    profile = recommender.profile(events)

# The graph: which items stand behind an interest?
graph = profile.graph
behind = nx.descendants(graph, ("interest", "films"))
print(sorted(graph.nodes[node]["label"] for node in behind if node[0] == "item"))

# Its exports: the end of the name tells the format.
with tempfile.TemporaryDirectory() as folder:
    for name in ("ana.html", "ana.json", "ana.graphml", "ana.mmd"):
        print(name, write_graph(profile, Path(folder) / name).stat().st_size > 500)
print(to_mermaid(profile).splitlines()[0])

# The same interests as dimensions, as a sparse vector over the vocabulary, and as a dense one.
embedder = open_embedder("wordllama")
facets = profile.facets(embedder=embedder)
print(facets.text(4))
print(facets.text(2, language="zh"))
assert facets.dense is not None  # there is an embedder
print(len(facets.sparse), "of", len(facets.as_array()), "places;", facets.dense.shape)

# Beside the vectors of another recommender, here with four factors: one dot product counts both.
user_factors, item_factors = [0.2, -0.1, 0.7, 0.3], [0.1, 0.0, 0.9, 0.2]
user = fuse(facets.dense, user_factors, share=0.7)
texts = embedder.embed(["A novel about the far future", "A horror film full of ghosts"])
novel, ghosts = (fuse(text, item_factors, share=0.7) for text in texts)
print(f"{user @ novel:.2f} > {user @ ghosts:.2f}")
