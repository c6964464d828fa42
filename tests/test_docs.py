"""What the README and the docs show is executed, and the two languages show the same."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from llmrec import Event, Item
from llmrec.interests.taxonomy import Vocabulary

ROOT = Path(__file__).resolve().parent.parent
READMES = ("README.md", "README.zh.md")


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def commands(path: Path) -> list[str]:
    lines = [line.partition("  #")[0].strip() for block in blocks(path, "sh") for line in block.splitlines()]
    return [line for line in lines if line.startswith("llmrec ")]


@pytest.mark.parametrize("name", READMES)
def test_the_python_example_is_the_one_that_the_tests_run(name: str) -> None:
    assert (ROOT / "examples" / "quickstart.py").read_text("utf-8") in blocks(ROOT / name, "python")


def test_the_example_of_the_local_engine_is_the_one_that_the_tests_run() -> None:
    shown = blocks(ROOT / "docs" / "local-engine.md", "python")
    assert shown == [(ROOT / "examples" / "local_model.py").read_text("utf-8")]


def test_the_example_of_the_graph_is_the_one_that_the_tests_run() -> None:
    shown = blocks(ROOT / "docs" / "graph.md", "python")
    assert shown == [(ROOT / "examples" / "graph_and_facets.py").read_text("utf-8")]


def test_the_example_of_changing_profiles_is_the_one_that_the_tests_run() -> None:
    shown = blocks(ROOT / "docs" / "interests.md", "python")
    assert shown == [(ROOT / "examples" / "changing_profile.py").read_text("utf-8")]


def test_the_example_of_ranking_is_the_one_that_the_tests_run() -> None:
    shown = blocks(ROOT / "docs" / "ranking.md", "python")
    assert shown == [(ROOT / "examples" / "ranking.py").read_text("utf-8")]


def test_both_readmes_give_the_same_two_lines() -> None:
    installing = [
        [block for block in blocks(ROOT / name, "sh") if block.startswith("python3 -m venv")]
        for name in READMES
    ]
    assert len(installing[0]) == 2
    assert installing[0] == installing[1]


def test_ci_runs_the_test_line_of_the_readme() -> None:
    found = subprocess.run(
        ["sed", "-n", "/<!-- test line -->/,/^```$/p", str(ROOT / "README.md")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert found.splitlines()[2] == blocks(ROOT / "README.md", "sh")[-1].strip()
    assert "test line" in (ROOT / ".ci" / "run").read_text("utf-8")


@pytest.mark.parametrize("name", [*READMES, *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))])
def test_links_lead_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / name).read_text("utf-8")):
        found = (ROOT / name).parent / target.replace("\n", " ")
        assert target.startswith("https://") or found.is_file(), target


@pytest.mark.parametrize("name", [*READMES, *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))])
def test_no_place_is_left_to_fill(name: str) -> None:
    assert not re.findall(r"^[A-Z ]{4,}$", (ROOT / name).read_text("utf-8"), re.MULTILINE)


def test_the_records_in_the_docs_are_valid() -> None:
    kinds = {"user_id": 0, "title": 0, "parent": 0}
    for block in blocks(ROOT / "docs" / "formats.md", "json"):
        for line in block.splitlines():
            record = json.loads(line)
            if "user_id" in record:
                Event.model_validate(record)
                kinds["user_id"] += 1
            elif "title" in record:
                Item.model_validate(record)
                kinds["title"] += 1
            else:
                kinds["parent"] += 1
    assert min(kinds.values()) >= 1


def test_the_vocabulary_in_the_docs_can_be_loaded(tmp_path: Path) -> None:
    lines = blocks(ROOT / "docs" / "formats.md", "json")[-1]
    path = tmp_path / "vocabulary.jsonl"
    path.write_text(lines, "utf-8")
    assert len(Vocabulary.load(path)) == 3


@pytest.fixture
def sample_folder(tmp_path: Path) -> Path:
    """A folder with the files that the README's commands name, of one person."""
    sample = resources.files("llmrec.sample")
    (tmp_path / "items.jsonl").write_text(sample.joinpath("items.jsonl").read_text("utf-8"), "utf-8")
    lines = sample.joinpath("events.jsonl").read_text("utf-8").splitlines(keepends=True)
    (tmp_path / "events.jsonl").write_text("".join(line for line in lines if '"ines"' in line), "utf-8")
    return tmp_path


@pytest.mark.embedded
@pytest.mark.parametrize("name", READMES)
def test_the_commands_of_the_readmes_work_in_their_order(
    name: str, sample_folder: Path, embedded_gguf: Path
) -> None:
    environment = {
        **os.environ,
        "LLMREC_STORE": str(sample_folder / "store.sqlite3"),
        "LLMREC_CANDIDATES": "12",
    }
    for command in commands(ROOT / name):
        command = re.sub(r"llama-cpp:\S+\.gguf", f"llama-cpp:{embedded_gguf}", command)
        done = subprocess.run(
            [sys.executable, "-m", "llmrec", *shlex.split(command)[1:]],
            cwd=sample_folder,
            env=environment,
            input="1\n2\n",
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, (command, done.stderr)
        written = re.search(r" -o (\S+)", command)
        assert (sample_folder / written[1]).stat().st_size if written else done.stdout.strip(), command
        assert "Traceback" not in done.stderr, command
