"""Exports of a profile's graph: what other programs read, hostile labels, and files that appear whole."""

from __future__ import annotations

import inspect
import io
import json
import os
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrec.errors import InputError
from llmrec.interests.export import (
    GRAPH_FORMATS,
    SUFFIXES,
    format_of,
    graph_text,
    to_graphml,
    to_mermaid,
    to_node_link,
    write_graph,
)
from llmrec.interests.graph import from_graph
from llmrec.interests.hierarchy import InterestHierarchy
from llmrec.interests.profile import InterestProfile
from tests.builders import interest
from tests.interests.made_profiles import HOSTILE, film_lover, forests, hostile_profile, made_profile


def read_graphml(text: str) -> Any:
    return nx.read_graphml(io.BytesIO(text.encode("utf-8")))


def read_node_link(text: str) -> Any:
    data = json.loads(text)
    # The argument has had another name before networkx 3.4.
    name = "edges" if "edges" in inspect.signature(nx.node_link_graph).parameters else "link"
    return nx.node_link_graph(data, **{name: "edges"})


def chinese() -> InterestProfile:
    return made_profile(
        [{"text": "格力空调", "action": "search"}, {"item_id": "mi", "action": "purchase"}],
        [["jd"], ["sj"]],
        items=[{"id": "mi", "title": "小米14 手机"}],
        names={"jd": "家电", "sj": "手机"},
        user_id="小雨",
        language="zh",
    )


@pytest.mark.parametrize(("write", "read"), [(to_graphml, read_graphml), ("json", read_node_link)])
def test_networkx_reads_it_back_with_everything(write: Any, read: Any) -> None:
    profile = film_lover()
    text = graph_text(profile, "json") if write == "json" else write(profile)
    graph, own = read(text), profile.graph
    assert set(graph) == {f"{kind}:{name}" for kind, name in own}
    assert graph.number_of_edges() == own.number_of_edges()
    for (kind, name), data in own.nodes(data=True):
        assert graph.nodes[f"{kind}:{name}"] == data
    for source, target, data in own.edges(data=True):
        assert graph.edges[":".join(source), ":".join(target)] == data
    assert from_graph(graph) == profile.hierarchy


@settings(max_examples=40)
@given(forests())
def test_any_hierarchy_comes_back_from_node_link_json(hierarchy: InterestHierarchy) -> None:
    profile = film_lover().model_copy(update={"hierarchy": hierarchy, "predicted": ()})
    assert from_graph(read_node_link(json.dumps(to_node_link(profile)))) == hierarchy


def test_graphml_has_one_key_for_each_attribute() -> None:
    root = ElementTree.fromstring(to_graphml(film_lover()))
    keys = [key for key in root if key.tag.endswith("}key")]
    assert len({key.get("id") for key in keys}) == len(keys)
    assert len({(key.get("for"), key.get("attr.name")) for key in keys}) == len(keys)


@settings(max_examples=40)
@given(st.lists(st.text(min_size=1, max_size=5), unique=True, min_size=1, max_size=4))
def test_graphml_is_well_formed_and_loses_no_node_whatever_the_names(names: list[str]) -> None:
    hierarchy = InterestHierarchy(
        interests=tuple(
            interest(f"i{at}", f"e{at}", id=name, label=name, parent_id=None, level=1)
            for at, name in enumerate(names)
        )
    )
    profile = film_lover().model_copy(update={"hierarchy": hierarchy})
    graph = read_graphml(to_graphml(profile))
    assert len(graph) == len(profile.graph)
    assert graph.number_of_edges() == profile.graph.number_of_edges()


@pytest.mark.parametrize("kind", GRAPH_FORMATS)
def test_chinese_is_intact_in_every_format(kind: Any, tmp_path: Path) -> None:
    path = write_graph(chinese(), tmp_path / "图", kind)
    text = path.read_bytes().decode("utf-8")
    for word in ("家电", "手机", "小雨"):
        assert word in text
    assert ("格力空调" in text) == (kind != "mermaid")


# Every line of a flowchart that is not one of these would be somebody's text at work.
MERMAID_LINES = re.compile(
    r'flowchart LR|  person\(\["[^"]*"\]\)|  [np]\d+\["[^"<>]*<br/>[^"<>]*"\]|  (person|n\d+) --- n\d+'
    r"|  [np]\d+ -\. [\w ]+ \.-> n\d+|  classDef \w+ [\w:#,\- ]+|  class [\w,]+ \w+"
)
MERMAID_ENTITIES = re.compile(r"#(\d+);")


def shown_labels(text: str) -> list[str]:
    """The labels of a flowchart as a reader sees them."""
    found = re.findall(r'\["([^"]*)"\]', text)
    return [
        MERMAID_ENTITIES.sub(lambda entity: chr(int(entity[1])), label.partition("<br/>")[0])
        for label in found
    ]


def test_mermaid_draws_the_tree_with_weights_and_tiers() -> None:
    profile = film_lover()
    lines = [line.strip() for line in to_mermaid(profile).splitlines()]
    at = {found.id: f"n{place}" for place, found in enumerate(profile.hierarchy.walk())}
    scifi, horror = profile.hierarchy["films/scifi"], profile.hierarchy["films/horror"]
    assert f'{at["films/scifi"]}["Scifi<br/>{scifi.weight:.2f}"]' in lines
    assert f"{at['films']} --- {at['films/scifi']}" in lines
    assert f"person --- {at['books']}" in lines
    assert f"{at['films/scifi']} -. broader .-> {at['books']}" in lines
    assert f"p0 -. Inferred from .-> {at['films/scifi']}" in lines
    assert horror.polarity == "negative"
    assert f'{at["films/horror"]}["Horror<br/>−{horror.weight:.2f}"]' in lines
    of_class = {line.split()[2]: line.split()[1].split(",") for line in lines if line.startswith("class ")}
    for found in profile.interests:
        assert at[found.id] in of_class[found.tier]
        assert (at[found.id] in of_class["disliked"]) == (found.polarity == "negative")
    assert of_class["predicted"] == ["p0"]


def test_no_label_breaks_out_of_a_mermaid_chart() -> None:
    text = to_mermaid(hostile_profile())
    for line in text.splitlines():
        assert MERMAID_LINES.fullmatch(line), line
    shown = {label.replace("\u200b", "") for label in shown_labels(text)}
    assert {
        "<img src=x onerror=alert(1)>",
        'a"b`c` click n0 call x()',
        "$$x^2$$",
        "日本 “引号” 你好",
    } <= shown


@given(st.text(max_size=80))
def test_any_label_stays_in_its_quotes(label: str) -> None:
    hierarchy = InterestHierarchy(interests=(interest("a", label=label or "x"),))
    profile = film_lover().model_copy(update={"hierarchy": hierarchy, "predicted": ()})
    for line in to_mermaid(profile).split("\n")[:-1]:
        assert MERMAID_LINES.fullmatch(line), line


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_the_name_tells_the_format(suffix: str, tmp_path: Path) -> None:
    profile = film_lover()
    path = write_graph(profile, str(tmp_path / f"Ana.b{suffix.upper()}"))
    assert path.read_text("utf-8") == graph_text(profile, SUFFIXES[suffix])


@pytest.mark.parametrize("name", ["graph.pdf", "graph", "html", ".html", ""])
def test_a_name_that_tells_no_format_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="let it end in"):
        write_graph(film_lover(), tmp_path / name if name else tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(InputError, match="choose among graphml, json, mermaid, html"):
        graph_text(film_lover(), "pdf")  # type: ignore[arg-type]


def test_a_file_that_is_there_stays_when_the_new_one_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ana.html"
    path.write_text("old")

    def refused(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refused)
    with pytest.raises(InputError, match="No space left"):
        write_graph(film_lover(), path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["no/such/folder/ana.html", "a\x00b.html", "f" * 300 + ".html"])
def test_where_nothing_can_be_written(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        write_graph(film_lover(), f"{tmp_path}/{name}")


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_is_followed(tmp_path: Path) -> None:
    target, link = tmp_path / "target.json", tmp_path / "link.json"
    target.write_text("old")
    link.symlink_to(target)
    write_graph(film_lover(), link)
    assert link.is_symlink()
    assert json.loads(target.read_text("utf-8"))["directed"] is True


@pytest.mark.parametrize("kind", GRAPH_FORMATS)
def test_a_profile_of_nothing_can_be_exported(kind: Any, tmp_path: Path) -> None:
    empty = made_profile([], [])
    assert write_graph(empty, tmp_path / "x", kind).stat().st_size > 0
    assert len(empty.graph) == 1


def test_hostile_texts_come_back_as_they_were() -> None:
    profile = hostile_profile()
    graph = read_node_link(graph_text(profile, "json"))
    assert {data["label"] for node, data in graph.nodes(data=True) if node.startswith("item:")} == set(
        HOSTILE
    )
    assert from_graph(graph) == profile.hierarchy


def test_the_format_of_a_path() -> None:
    assert format_of(Path("x/ana.GraphML")) == "graphml"
