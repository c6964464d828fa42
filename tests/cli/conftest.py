"""Running the program: in this process with a model with a script, or as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import llmrec
from llmrec.cli.main import main
from llmrec.llm import registry
from llmrec.llm.scripted import ScriptedModel
from llmrec.settings import Settings

SAMPLE = Path(llmrec.__file__).parent / "sample"
EVENTS = str(SAMPLE / "events.jsonl")
ITEMS = str(SAMPLE / "items.jsonl")


@dataclass(frozen=True)
class Outcome:
    """What a run of the program left behind."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line of an error, without the program's name; fails when there is more or less."""
        lines = [line for line in self.err.splitlines() if line.startswith("llmrec: ")]
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err
        return lines[0].removeprefix("llmrec: ")


Program = Callable[..., Outcome]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own, so that nothing of the user's is read or written."""
    for name in [name for name in os.environ if name.startswith("LLMREC_") and name != "LLMREC_CACHE_DIR"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def llmrec_run(home: Path, capsys: pytest.CaptureFixture[str]) -> Program:
    """Runs the program in this process."""

    def run(*arguments: str) -> Outcome:
        capsys.readouterr()
        code = main(arguments)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@dataclass
class _Entry:
    """What an installed package would register."""

    name: str
    opener: Callable[[str, Settings], ScriptedModel]
    value: str = "tests"

    def load(self) -> Callable[[str, Settings], ScriptedModel]:
        return self.opener


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> list[ScriptedModel]:
    """Makes `--model scripted:` known; the list gathers the models that were opened.

    It scores by shared words and writes nothing, and all its instances are the same model.
    """
    opened: list[ScriptedModel] = []

    def opener(rest: str, settings: Settings) -> ScriptedModel:
        from tests.builders import SCORES_ONLY

        opened.append(ScriptedModel(capabilities=SCORES_ONLY, fingerprint="scripted"))
        return opened[-1]

    installed = {registry.ENTRY_POINT_GROUP: [_Entry("scripted", opener)]}
    monkeypatch.setattr(registry, "entry_points", lambda group: installed.get(group, []))
    return opened


@pytest.fixture
def llmrec_process(home: Path, prepared_gguf: Path) -> Program:
    """Runs the program as a process of its own, with the embedded model on one thread."""
    environment = {
        **os.environ,
        "LLMREC_CACHE_DIR": str(prepared_gguf.parent),
        "LLMREC_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(SAMPLE.parent.parent), os.environ.get("PYTHONPATH", "")]),
    }

    def run(*arguments: str, stdin: str = "", **changed: Any) -> Outcome:
        result = subprocess.run(
            [sys.executable, "-m", "llmrec.cli.main", *arguments],
            input=stdin.encode(),
            capture_output=True,
            env={**environment, **changed},
            timeout=300,
            check=False,
        )
        return Outcome(result.returncode, result.stdout.decode("utf-8"), result.stderr.decode("utf-8"))

    return run
