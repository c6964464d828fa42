"""What a user gets from the package: built, installed and used outside the repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.install

REPOSITORY = Path(__file__).resolve().parent.parent
SHIPPED = ("llmrec", "prompts", "tests", "examples", "benchmarks", "docs")
FILES = ("pyproject.toml", "README.md", "README.zh.md", "CHANGELOG.md", "LICENSE")
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]

# Run outside the repository, with the installed package alone before the environment's own packages.
REPORT = """
import json, pathlib, site, sys
if sys.argv[1:]:
    # Reads .pth files, and puts what they name at the end; another copy may be installed before it.
    before = list(sys.path)
    site.addsitedir(sys.argv[1])
    sys.path[:] = [path for path in sys.path if path not in before] + before
import llmrec
from llmrec.demo import sample_events, sample_items, sample_people
from llmrec.interests.taxonomy import Vocabulary
from llmrec.prompting.templates import PromptLibrary, shipped_prompts
package = pathlib.Path(llmrec.__file__).parent
print(json.dumps({
    "package": str(package),
    "version": llmrec.__version__,
    "public": [name for name in llmrec.__all__ if getattr(llmrec, name, None) is None],
    "prompts_folder": str(shipped_prompts()),
    "prompts": {info.name: info.languages for info in PromptLibrary().list()},
    "rendered": PromptLibrary().render(
        "ranking/item", "zh", item={"title": "Dune", "categories": "", "description": ""}
    ).text,
    "vocabulary": len(Vocabulary.load()),
    "people": len(sample_people()),
    "items": len(sample_items()),
    "events": len(sample_events()),
    "loaded": sorted(name for name in ("llama_cpp", "pyarrow") if name in sys.modules),
}))
"""


def run(*command: str, cwd: Path, **options: Any) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
        **options,
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def report(cwd: Path, *arguments: str, python_path: Path | None = None) -> dict[str, Any]:
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("LLMREC_", "PYTHON"))
    }
    if python_path is not None:
        environment["PYTHONPATH"] = str(python_path)
    answer: dict[str, Any] = json.loads(
        run(sys.executable, "-c", REPORT, *arguments, cwd=cwd, env=environment)
    )
    return answer


def shipped_prompt_names() -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for path in sorted((REPOSITORY / "prompts").glob("*/*/*.jinja")):
        names.setdefault(f"{path.parent.parent.name}/{path.stem}", []).append(path.parent.name)
    return {name: sorted(languages) for name, languages in sorted(names.items())}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository without what building and testing leave in it."""
    for module in ("pip", "hatchling"):
        pytest.importorskip(module)
    target = tmp_path_factory.mktemp("tree")
    unwanted = shutil.ignore_patterns("__pycache__", "*.pyc", ".*", "*.egg-info", "*.gguf", "*.sqlite3")
    for folder in SHIPPED:
        if (REPOSITORY / folder).is_dir():
            shutil.copytree(REPOSITORY / folder, target / folder, ignore=unwanted)
    for name in FILES:
        if (REPOSITORY / name).is_file():
            shutil.copy(REPOSITORY / name, target)
    return target


@pytest.fixture(scope="module")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(*PIP, "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(tree), cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def sdist(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(folder), cwd=tree)
    (built,) = folder.glob("*.tar.gz")
    return built


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


class TestWheel:
    def test_it_holds_the_package_and_its_data(self, wheel: Path) -> None:
        names = names_in(wheel)
        expected = {
            f"llmrec/{path.relative_to(REPOSITORY / 'llmrec').as_posix()}"
            for path in (REPOSITORY / "llmrec").rglob("*")
            if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
        }
        expected |= {
            f"llmrec/_prompts/{path.relative_to(REPOSITORY / 'prompts').as_posix()}"
            for path in (REPOSITORY / "prompts").rglob("*.jinja")
        }
        assert expected <= names
        assert "llmrec/py.typed" in names
        assert "llmrec/interests/vocabulary.jsonl" in names
        page = {"page.html.jinja", "page.css", "page.js", "page.words.json"}
        assert {f"llmrec/interests/{name}" for name in page} <= names
        assert {"llmrec/sample/items.jsonl", "llmrec/sample/events.jsonl"} <= names

    def test_it_holds_nothing_else(self, wheel: Path) -> None:
        tops = {name.split("/")[0] for name in names_in(wheel)}
        assert {top for top in tops if not top.endswith(".dist-info")} == {"llmrec"}
        assert not [name for name in names_in(wheel) if name.endswith((".gguf", ".pyc", ".sqlite3", ".env"))]

    def test_its_metadata_names_the_command_and_the_licence(self, wheel: Path) -> None:
        with zipfile.ZipFile(wheel) as archive:
            (folder,) = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name}
            metadata = archive.read(f"{folder}/METADATA").decode()
            assert "llmrec = llmrec.cli.main:main" in archive.read(f"{folder}/entry_points.txt").decode()
            assert f"{folder}/licenses/LICENSE" in archive.namelist()
        assert "License-Expression: Apache-2.0" in metadata
        assert "Provides-Extra: local" in metadata
        assert wheel.name.endswith("-py3-none-any.whl")


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    run(*PIP, "install", "--no-deps", "--no-index", "--target", str(target), str(wheel), cwd=target)
    return target


@pytest.fixture(scope="module")
def found(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return report(tmp_path_factory.mktemp("elsewhere"), python_path=installed)


class TestInstalled:
    def test_it_is_the_installed_one(self, found: dict[str, Any], installed: Path, wheel: Path) -> None:
        assert found["package"] == str(installed / "llmrec")
        assert found["version"] == wheel.name.split("-")[1]
        assert found["public"] == []

    def test_every_prompt_is_found_in_the_package(self, found: dict[str, Any], installed: Path) -> None:
        assert found["prompts_folder"] == str(installed / "llmrec" / "_prompts")
        assert found["prompts"] == shipped_prompt_names()
        assert found["rendered"] == " Dune"

    def test_no_heavy_library_is_loaded_before_it_is_needed(self, found: dict[str, Any]) -> None:
        assert found["loaded"] == []

    def test_vocabulary_and_sample_are_read(self, found: dict[str, Any]) -> None:
        assert found["vocabulary"] > 100
        assert min(found["people"], found["items"], found["events"]) > 5

    def test_the_command_says_what_it_is(self, installed: Path, tmp_path: Path) -> None:
        environment = {"PYTHONPATH": str(installed), "HOME": str(tmp_path), "NO_COLOR": "1"}
        script = "from llmrec.cli.main import main; main()"
        shown = run(sys.executable, "-c", script, "--help", cwd=tmp_path, env=environment)
        for command in ("demo", "profile", "recommend", "models", "prompts"):
            assert command in shown


def test_an_editable_install_uses_the_prompts_of_the_working_copy(tree: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    run(
        *PIP,
        "install",
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
        "--target",
        str(site),
        "-e",
        str(tree),
        cwd=tmp_path,
    )
    found = report(tmp_path, str(site))
    assert found["package"] == str(tree / "llmrec")
    assert found["prompts_folder"] == str(tree / "prompts")
    assert found["prompts"] == shipped_prompt_names()


class TestSourceDistribution:
    def test_it_holds_sources_prompts_and_tests(self, sdist: Path) -> None:
        with tarfile.open(sdist) as archive:
            names = {name.partition("/")[2] for name in archive.getnames()}
        assert {
            "pyproject.toml",
            "LICENSE",
            "README.md",
            "llmrec/__init__.py",
            "prompts/macros.jinja",
        } <= names
        assert "tests/test_install.py" in names
        assert not [name for name in names if name.startswith((".git/", ".venv")) or name.endswith(".gguf")]

    def test_its_wheel_is_the_same(self, sdist: Path, wheel: Path, tmp_path: Path) -> None:
        run(*PIP, "wheel", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(sdist), cwd=tmp_path)
        (again,) = tmp_path.glob("*.whl")
        assert names_in(again) == names_in(wheel)
