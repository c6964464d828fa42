"""The examples do what the documents say: run as a user runs them, with the embedded model."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run_example(name: str, cache_dir: Path, folder: Path) -> list[str]:
    """The lines that an example prints, run in an empty folder, where it must write nothing."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name)],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTHONIOENCODING": "utf-8",
            "LLMREC_CACHE_DIR": str(cache_dir),
        },
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert list(folder.iterdir()) == [], "nothing is written where nobody asked for it"
    return done.stdout.splitlines()


@pytest.mark.embedded
def test_quickstart(prepared_gguf: Path, tmp_path: Path) -> None:
    lines = run_example("quickstart.py", prepared_gguf.parent, tmp_path)
    assert re.fullmatch(r"[\w&, ]+  -?\d\.\d\d  \(\d\)", lines[0])
    tree = [line for line in lines if re.search(r"  -?\d\.\d\d  \(\d\)$", line)]
    assert any(re.fullmatch(r"Films  0\.\d\d  \(4\)", line) for line in tree)
    assert any(re.search(r"Horror  -0\.\d\d  \(2\)", line) for line in tree), "disliked twice over"
    assert any(line.startswith("Cooking & food") for line in tree)
    first, second, third, best = lines[len(tree) :]
    assert first.startswith("1. Arrival: ")
    assert "Solaris" in first
    assert second.startswith("2. ")
    assert third.startswith("3. ")
    assert all(len(line.split(": ", 1)[1]) > 20 for line in (first, second, third))
    assert re.fullmatch(r"Best of three: Stalker \(\+\d\.\d\d\)", best)


@pytest.mark.embedded
def test_changing_profile(prepared_gguf: Path, tmp_path: Path) -> None:
    lines = run_example("changing_profile.py", prepared_gguf.parent, tmp_path)
    assert any(re.search(r"Horror  -0\.\d\d  \(3\)", line) for line in lines)
    assert any(line.startswith("ended: ['films/horror'") for line in lines)
    assert any(re.fullmatch(r"\+ Music › Jazz  \+0\.\d\d", line) for line in lines)
    assert any(re.search(r"~ Films › Horror .* ended", line) for line in lines)
    assert not any("Quiet films" in line for line in lines), "that edit was undone"
    assert lines[-1] == "forgotten: 3 events, traces left: []"


@pytest.mark.embedded
def test_local_model(prepared_gguf: Path, tmp_path: Path) -> None:
    pytest.importorskip("wordllama")
    *scores, film, cancelled, said, cosines = run_example("local_model.py", prepared_gguf.parent, tmp_path)
    nats = [float(re.fullmatch(r" *(-\d+\.\d) nats in \d+ tokens: [\w ]+", line)[1]) for line in scores]  # type: ignore[index]
    assert len(nats) == 3
    assert min(nats) == nats[2]
    assert re.fullmatch(r"title='.{0,30}' year=(19|20)\d\d genres=\['.*'\]", film)
    assert cancelled == "cancelled after 5 pieces"
    assert len(said.split()) >= 5
    near, far = map(float, cosines.split(" and "))
    assert near > far + 0.2


@pytest.mark.embedded
def test_graph_and_facets(prepared_gguf: Path, tmp_path: Path) -> None:
    pytest.importorskip("wordllama")
    lines = run_example("graph_and_facets.py", prepared_gguf.parent, tmp_path)
    films, *written, chart, english, chinese, places, cosines = lines
    assert films == "['Solaris', 'The Ring']"
    assert written == [f"ana.{end} True" for end in ("html", "json", "graphml", "mmd")]
    assert chart == "flowchart LR"
    assert re.search(r"Horror: -0\.\d+", english)
    assert re.search(r"恐怖: -0\.\d+", chinese)
    assert re.fullmatch(r"\d+ of \d+ places; \(256,\)", places)
    near, far = map(float, cosines.split(" > "))
    assert near > far + 0.1


@pytest.mark.embedded
def test_ranking(prepared_gguf: Path, tmp_path: Path) -> None:
    lines = run_example("ranking.py", prepared_gguf.parent, tmp_path)
    assert re.fullmatch(r"pairwise would take \d+ calls at most; the likelihood ratio takes 2", lines[0])
    assert [line[:3] for line in lines[1:4]] == ["1. ", "2. ", "3. "]
    assert all(re.search(r"\(\d+%\): \w", line) for line in lines[1:4])
    assert lines[4] == "failed: []"
    found = {
        line.partition(": NDCG@10 ")[0]: float(line.partition(": NDCG@10 ")[2].split()[0])
        for line in lines[5:]
    }
    assert {"words-and-meaning", "random", "popularity", "bm25", "co-occurrence"} < set(found)
    assert found["co-occurrence"] > found["random"], "people buy things of one kind"
