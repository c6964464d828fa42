"""`llmrec graph`: from the store or a saved profile to each format."""

from __future__ import annotations

import json
from pathlib import Path

import networkx as nx
import pytest

from llmrec import Store
from llmrec.cli.session import default_store_path
from llmrec.interests.export import graph_text
from llmrec.interests.graph import from_graph
from llmrec.interests.profile import InterestProfile
from tests.cli.conftest import Program
from tests.interests.made_profiles import film_lover


@pytest.fixture
def profile() -> InterestProfile:
    return film_lover()


@pytest.fixture
def saved(profile: InterestProfile, tmp_path: Path) -> str:
    path = tmp_path / "p.json"
    path.write_text(profile.model_dump_json(), "utf-8")
    return str(path)


@pytest.fixture
def both(profile: InterestProfile, tmp_path: Path) -> str:
    path = tmp_path / "both.json"
    everyone = [profile.model_dump(mode="json"), film_lover(user_id="bo").model_dump(mode="json")]
    path.write_text(json.dumps({"profiles": everyone}), "utf-8")
    return str(path)


@pytest.mark.parametrize("name", ["ana.html", "ana.mmd", "ana.json", "ana.graphml"])
def test_a_file_in_the_format_of_its_name(
    llmrec_run: Program, profile: InterestProfile, saved: str, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    outcome = llmrec_run("graph", "--profile", saved, "-o", str(path))
    assert outcome.code == 0, outcome.err
    assert outcome.out == ""
    assert f"ana: 5 interests and 5 events written to {path}" in outcome.err
    kind = {"mmd": "mermaid"}.get(path.suffix[1:], path.suffix[1:])
    assert path.read_text("utf-8") == graph_text(profile, kind)  # type: ignore[arg-type]


def test_the_last_profile_in_the_store(llmrec_run: Program, profile: InterestProfile, home: Path) -> None:
    path = default_store_path()
    path.parent.mkdir(parents=True)
    store = Store(path)
    store.save_profile(profile)
    store.close()
    outcome = llmrec_run("graph", "ana")
    assert outcome.code == 0, outcome.err
    assert outcome.out == graph_text(profile, "mermaid")
    assert "choose among ana" in llmrec_run("graph", "bo").error


@pytest.mark.parametrize("option", [["--json"], ["--format", "json"], ["--format", "json", "--json"]])
def test_json_to_standard_output(
    llmrec_run: Program, profile: InterestProfile, saved: str, option: list[str]
) -> None:
    outcome = llmrec_run("graph", "--profile", saved, *option)
    assert outcome.code == 0, outcome.err
    data = json.loads(outcome.out)
    graph = nx.DiGraph()
    graph.add_nodes_from((node["id"], node) for node in data["nodes"])
    graph.add_edges_from((edge["source"], edge["target"], edge) for edge in data["edges"])
    assert from_graph(graph) == profile.hierarchy


def test_what_was_written_as_json(
    llmrec_run: Program, profile: InterestProfile, saved: str, tmp_path: Path
) -> None:
    path = str(tmp_path / "page")
    outcome = llmrec_run("graph", "--profile", saved, "-o", path, "--format", "html", "--json")
    assert json.loads(outcome.out) == {
        "user_id": "ana",
        "path": path,
        "format": "html",
        "nodes": len(profile.graph),
        "edges": profile.graph.number_of_edges(),
    }
    assert Path(path).read_text("utf-8").startswith("<!DOCTYPE html>")


def test_one_of_several_people(llmrec_run: Program, both: str) -> None:
    assert 'person(["bo"])' in llmrec_run("graph", "bo", "--profile", both).out
    assert "name one of ana, bo" in llmrec_run("graph", "--profile", both).error


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "nobody is named"),
        (["--profile", "/no/such.json"], "there is no file /no/such.json"),
        (["ana"], "llmrec profile EVENTS makes one"),
        (["ana", "-o", "ana.pdf"], "let it end in .graphml"),
        (["ana", "--format", "pdf"], "'mermaid'"),
        (["ana", "--json", "--format", "html"], "leave one of them out"),
    ],
)
def test_wrong_usage(llmrec_run: Program, arguments: list[str], part: str) -> None:
    outcome = llmrec_run("graph", *arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert part in outcome.error


def test_somebody_who_is_not_in_the_file(llmrec_run: Program, saved: str) -> None:
    outcome = llmrec_run("graph", "bo", "--profile", saved)
    assert (outcome.code, outcome.out) == (2, "")
    assert "choose among ana" in outcome.error


def test_where_nothing_can_be_written(llmrec_run: Program, saved: str) -> None:
    outcome = llmrec_run("graph", "--profile", saved, "-o", "/no/such/ana.html")
    assert (outcome.code, outcome.out) == (1, "")
    assert "cannot be written" in outcome.error
