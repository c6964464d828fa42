"""What the repository keeps to, checked by the tools that define it and by reading the sources."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = REPOSITORY / "llmrec"
TESTS = REPOSITORY / "tests"
LONGEST_FILE = 400

TOOLS = {
    "ruff check": ("ruff", ["-m", "ruff", "check", "--no-cache", "."]),
    "ruff format": ("ruff", ["-m", "ruff", "format", "--check", "--no-cache", "."]),
    "mypy": ("mypy", ["-m", "mypy"]),
    "lint-imports": (
        "importlinter",
        ["-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"],
    ),
}

# Modules whose tests are those of the module they serve, or that only a whole run can test.
COVERED_ELSEWHERE = {
    "__main__": "cli/test_*",
    "behavior/columns": "behavior/test_readers",
    "behavior/rows": "behavior/test_readers",
    "behavior/sources": "behavior/test_readers",
    "behavior/text": "behavior/test_cleaning",
    "cli/*": "cli/test_*",
    "demo": "cli/test_*",
    "errors": "test_robustness",
    "evaluation/types": "evaluation/test_run",
    "interests/extraction": "interests/test_organization",
    "interests/name_evidence": "interests/test_anchored",
    "interests/title_words": "interests/test_own_words",
    "interests/profile": "test_recommender",
    "llm/base": "llm/contract",
    "llm/background": "llm/test_streaming",
    "llm/openai_answers": "llm/test_openai",
    "llm/openai_chat": "llm/test_openai",
    "llm/openai_failures": "llm/test_openai_client",
    "llm/openai_lines": "llm/test_openai_streams",
    "llm/openai_probes": "llm/test_openai",
    "llm/openai_scores": "llm/test_openai",
    "llm/openai_traits": "llm/test_openai",
    "ranking/base": "ranking/test_ranker_contract",
    "ranking/context": "ranking/test_likelihood",
    "ranking/types": "test_recommender",
}

MODULES = sorted(
    path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"
)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_finds_nothing(tool: str) -> None:
    module, arguments = TOOLS[tool]
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed: pip install -e '.[dev]'")
    done = subprocess.run(
        [sys.executable, *arguments], cwd=REPOSITORY, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, f"{tool}:\n{done.stdout[-6000:]}{done.stderr[-3000:]}"


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_every_module_has_its_tests(module: Path) -> None:
    mirror = TESTS / module.parent / f"test_{module.name}.py"
    elsewhere = next((where for place, where in COVERED_ELSEWHERE.items() if module.match(place)), None)
    if elsewhere is not None and not mirror.is_file():
        assert list(TESTS.glob(f"{elsewhere}.py")), (
            f"tests/{elsewhere}.py, said to test {module}, is not there"
        )
    else:
        assert mirror.is_file(), f"write {mirror.relative_to(REPOSITORY)}, or say here what tests {module}"


def test_what_is_said_to_be_tested_elsewhere_exists() -> None:
    stale = [place for place in COVERED_ELSEWHERE if not any(module.match(place) for module in MODULES)]
    assert stale == []


def test_every_test_module_can_be_found() -> None:
    """Without a package of their own, two test modules of one name would hide each other."""
    names = [path.name for path in TESTS.rglob("test_*.py") if not (path.parent / "__init__.py").is_file()]
    assert len(names) == len(set(names))


def test_no_file_of_the_package_is_too_long() -> None:
    long = {
        str(path.relative_to(REPOSITORY)): lines
        for folder in (PACKAGE, REPOSITORY / "examples", REPOSITORY / "benchmarks")
        for path in folder.rglob("*.py")
        if (lines := len(path.read_text("utf-8").splitlines())) > LONGEST_FILE
    }
    assert long == {}, f"give these a second door: more than {LONGEST_FILE} lines"


def test_nothing_is_printed_and_no_log_is_set_up_by_the_library() -> None:
    found = []
    for path in PACKAGE.rglob("*.py"):
        # The command line is a program of its own: what to log, and where, is for it to say.
        forbidden = {"print", "breakpoint"}
        if "cli" not in path.parts:
            forbidden |= {"basicConfig", "addHandler", "setLevel"}
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                bare = isinstance(node.func, ast.Name)
                called = node.func.id if bare else getattr(node.func, "attr", "")
                if called in forbidden and (bare or called != "print"):
                    found.append(f"{path.relative_to(REPOSITORY)}:{node.lineno} {called}")
    assert found == []


def test_every_public_text_file_is_utf8_with_unix_lines() -> None:
    wrong = []
    for folder in ("llmrec", "prompts", "tests", "docs", "examples", "benchmarks"):
        for path in (REPOSITORY / folder).rglob("*"):
            if path.suffix in {".py", ".jinja", ".jsonl", ".json", ".md", ".txt", ".toml"}:
                content = path.read_bytes()
                content.decode("utf-8")
                if b"\r\n" in content or (content and not content.endswith(b"\n") and path.suffix == ".py"):
                    wrong.append(str(path.relative_to(REPOSITORY)))
    assert wrong == []
