"""Starts the trial of llama.cpp in a process of its own, and judges by what it says and how it ends."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

logger = logging.getLogger(__name__)

SCRIPT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from llmrec.llm.llama_trial import main; main(sys.argv[2])"
)
# A program that embeds Python may start itself in place of an interpreter: it must not do so again and again.
UNDER_TRIAL = "LLMREC_UNDER_TRIAL"
# With these someone else ends a process, or the system does for want of memory.
KILLERS = {"SIGHUP", "SIGINT", "SIGKILL", "SIGTERM"}


class Verdict(BaseModel):
    """What a trial found."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    runs: bool
    """Whether llama.cpp computes right without repacked weights."""
    safe_with_repacking: bool
    """Whether it does with repacked weights too."""
    finding: str
    """What went wrong first; empty when nothing did."""
    system: str
    """What llama.cpp says of its build."""
    buffers: tuple[str, ...]
    """What weights lay in while they were to be repacked, in llama.cpp's words, for example `CPU_REPACK`."""


class Ending(NamedTuple):
    """How the process of a trial ended."""

    text: str
    """For example `it died of SIGSEGV`."""
    kind: Literal["own", "killed", "hung"] = "own"
    """By its own doing, by someone else's, or not in time."""


class _Step(BaseModel):
    """One line of a trial; see `llama_trial.main`."""

    step: Literal["started", "system", "computing", "buffers", "wrong", "done", "failed"]
    weights: str = ""
    repacked: bool = False
    text: str = ""
    names: tuple[str, ...] = ()


def trial_command() -> list[str]:
    """The command that tries llama.cpp out; empty where no interpreter can be started."""
    if not sys.executable or getattr(sys, "frozen", False):
        return []
    paths = json.dumps([path for path in sys.path if isinstance(path, str)])
    return [sys.executable, "-c", SCRIPT, paths]


def try_out(command: Sequence[str], seconds: float) -> Verdict | None:
    """Run a trial for at most `seconds`; None when it could not be run or says nothing of the build.

    A folder for its files, which is removed afterwards, is added to the command.
    """
    if not command or UNDER_TRIAL in os.environ:
        return None
    try:
        with tempfile.TemporaryDirectory(prefix="llmrec-", ignore_cleanup_errors=True) as folder:
            return judge(*_run([*command, folder], seconds))
    except OSError as error:
        logger.debug("llama.cpp could not be tried out: %s", error)
        return None


def _run(command: Sequence[str], seconds: float) -> tuple[str, Ending]:
    """What the process wrote, and how it ended. Raises OSError when it cannot be started."""
    try:
        done = subprocess.run(  # noqa: S603  an interpreter and a script of ours, or the caller's own choice
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=False,
            env={**os.environ, UNDER_TRIAL: "1"},
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except subprocess.TimeoutExpired as error:
        output = (error.stdout or b"").decode("utf-8", "replace")
        return output, Ending(text=f"it had not ended after {seconds:g} seconds", kind="hung")
    logger.debug("the trial of llama.cpp said: %s", done.stderr.decode("utf-8", "replace")[-2000:])
    output = done.stdout.decode("utf-8", "replace")
    if done.returncode >= 0:
        return output, Ending(text=f"it ended with code {done.returncode:#x}")
    try:
        name = signal.Signals(-done.returncode).name
    except ValueError:
        name = f"signal {-done.returncode}"
    return output, Ending(text=f"it died of {name}", kind="killed" if name in KILLERS else "own")


def judge(output: str, ending: Ending) -> Verdict | None:
    """What the lines of a trial and its end say of the build; None when they say nothing."""
    steps = list(_steps(output))
    kinds = {step.step for step in steps}
    last = next((step for step in reversed(steps) if step.step == "computing"), None)
    repacked = last is not None and last.repacked
    # On a machine that is very busy it may take long to load; that is no reason to refuse it.
    cut_short = ending.kind == "killed" or (ending.kind == "hung" and not repacked)
    if "started" not in kinds or "failed" in kinds or ("done" not in kinds and cut_short):
        reason = next((step.text for step in steps if step.step == "failed"), ending.text)
        logger.debug("the trial of llama.cpp says nothing: %s", reason)
        return None
    faults = [
        (step.repacked, f"it computes wrong numbers from {_named(step)}")
        for step in steps
        if step.step == "wrong"
    ]
    if "done" not in kinds:
        where = f"computing with {_named(last)}" if last else "when it was loaded"
        faults.append((repacked, f"{ending.text} {where}"))
    plain = [finding for is_repacked, finding in faults if not is_repacked]
    return Verdict(
        runs=not plain,
        safe_with_repacking=not faults,
        finding=next(iter([*plain, *(finding for _, finding in faults)]), ""),
        system=next((step.text for step in steps if step.step == "system"), ""),
        buffers=tuple(sorted({name for step in steps for name in step.names})),
    )


def _named(step: _Step) -> str:
    return f"repacked {step.weights} weights" if step.repacked else f"{step.weights} weights"


def _steps(output: str) -> Iterator[_Step]:
    """The lines that are steps; a library may have written others between them."""
    for line in output.splitlines():
        with contextlib.suppress(ValidationError):
            yield _Step.model_validate_json(line)
