"""Judging a trial by its lines and its end; whole processes are in test_llama_build."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.llm import trial_process
from llmrec.llm.trial_process import Ending, judge, trial_command, try_out

STARTED = {"step": "started"}
PLAIN = {"step": "computing", "weights": "Q4_0", "repacked": False}
REPACKED = {"step": "computing", "weights": "Q4_0", "repacked": True}
WRONG_PLAIN = {"step": "wrong", "weights": "Q4_0", "repacked": False}
WRONG_REPACKED = {"step": "wrong", "weights": "Q4_0", "repacked": True}
DONE = {"step": "done"}
FAILED = {"step": "failed", "text": "no room"}
STEPS = (STARTED, PLAIN, REPACKED, WRONG_PLAIN, WRONG_REPACKED, DONE, FAILED)

DIED = Ending("it died of SIGSEGV")
KILLED = Ending("it died of SIGKILL", "killed")
HUNG = Ending("it had not ended after 60 seconds", "hung")


def lines(*steps: object) -> str:
    return "\n".join(map(json.dumps, steps))


@pytest.mark.parametrize(
    ("steps", "ending", "expected"),
    [
        ([STARTED, PLAIN, REPACKED, DONE], DIED, (True, True)),
        ([STARTED, PLAIN, REPACKED, DONE], KILLED, (True, True)),
        ([STARTED, PLAIN, REPACKED], DIED, (True, False)),
        ([STARTED, PLAIN, REPACKED], HUNG, (True, False)),
        ([STARTED, PLAIN, REPACKED], KILLED, None),
        ([STARTED, PLAIN], DIED, (False, False)),
        ([STARTED, PLAIN], HUNG, None),
        ([STARTED], DIED, (False, False)),
        ([STARTED], HUNG, None),
        ([], DIED, None),
        ([PLAIN, REPACKED, DONE], DIED, None),
        ([STARTED, PLAIN, FAILED], DIED, None),
        ([STARTED, PLAIN, REPACKED, WRONG_REPACKED, DONE], DIED, (True, False)),
        ([STARTED, PLAIN, WRONG_PLAIN, REPACKED, DONE], DIED, (False, False)),
        ([STARTED, PLAIN, WRONG_PLAIN, REPACKED], DIED, (False, False)),
    ],
)
def test_verdicts(steps: list[object], ending: Ending, expected: tuple[bool, bool] | None) -> None:
    verdict = judge(lines(*steps), ending)
    assert (verdict and (verdict.runs, verdict.safe_with_repacking)) == expected
    assert verdict is None or bool(verdict.finding) is not verdict.safe_with_repacking


@given(
    steps=st.lists(st.sampled_from(STEPS)),
    ending=st.sampled_from([DIED, KILLED, HUNG]),
    noise=st.lists(st.text(), max_size=4),
)
def test_what_is_called_safe_was_done_whole_and_right(
    steps: list[dict[str, object]], ending: Ending, noise: list[str]
) -> None:
    text = "\n".join([*noise, lines(*steps), *noise])
    verdict = judge(text, ending)
    if verdict is not None:
        assert STARTED in steps
        assert verdict.runs or not verdict.safe_with_repacking
    if verdict is not None and verdict.safe_with_repacking:
        assert DONE in steps
        assert WRONG_PLAIN not in steps
        assert WRONG_REPACKED not in steps
        assert verdict.finding == ""


def test_the_command_finds_what_this_process_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, "/a place with 'quotes'"])
    command = trial_command()
    assert command[0] == sys.executable
    assert json.loads(command[-1]) == sys.path


def test_the_folder_for_files_is_there_and_removed(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, sys; kept, folder = map(pathlib.Path, sys.argv[1:]); (folder / 'x').touch(); "
        "(kept / 'seen').write_text(str(folder)); os._exit(1)"
    )
    assert try_out([sys.executable, "-c", script, str(tmp_path)], 30) is None
    folder = Path((tmp_path / "seen").read_text())
    assert folder.name.startswith("llmrec-")
    assert not folder.exists()


def test_under_trial_nothing_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(trial_process.UNDER_TRIAL, "1")
    script = "import pathlib, sys; pathlib.Path(sys.argv[1]).touch()"
    assert try_out([sys.executable, "-c", script, str(tmp_path / "seen")], 30) is None
    assert not os.path.lexists(tmp_path / "seen")
