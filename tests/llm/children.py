"""Processes of their own that work with the local engine, for what would end or fill the tests' own."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

STARTED = "started"
PROCESS_ENDS_WITHIN = 120.0
LINE_COMES_WITHIN = 20.0

# What a child process begins with: it tells of its own memory, in MB, and opens the model it is given.
PRELUDE = """
import gc, json, pathlib, sys, threading, time
from llmrec.errors import ModelError
from llmrec.llm.base import Message
from llmrec.llm.llama_cpp import LlamaCppModel

def resident():
    gc.collect()
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024

def opened(**options):
    return LlamaCppModel(sys.argv[1], **{"threads": 1, **options})

question = [Message(role="user", content="Tell me about the fox.")]
"""


def run(program: str, path: Path) -> str:
    """What a program prints that is run in a process of its own."""
    command = [sys.executable, "-c", PRELUDE + program, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PROCESS_ENDS_WITHIN, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


class Child:
    """A process that works on a model until it is interrupted."""

    def __init__(self, program: str, path: Path) -> None:
        command = [sys.executable, "-u", "-c", PRELUDE + program, str(path)]
        # A shell that runs tests in the background has its children ignore the interruption.
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )

    def __enter__(self) -> Child:
        return self

    def line(self) -> str:
        """What it prints next; it is ended when that takes too long."""
        assert self.process.stdout is not None
        ending = threading.Timer(LINE_COMES_WITHIN, self.process.kill)
        ending.start()
        line = self.process.stdout.readline().strip()
        ending.cancel()
        if not line:
            pytest.fail(f"nothing came: {self.process.communicate()[1][-2000:]}")
        return line

    def interrupt(self, *, after: float) -> None:
        """Interrupt it so many seconds after it says that it has started."""
        assert self.line() == STARTED
        threading.Event().wait(after)
        self.process.send_signal(signal.SIGINT)

    def end(self) -> tuple[int, str]:
        """How it ended by itself, and what it told of errors."""
        try:
            _, errors = self.process.communicate(timeout=LINE_COMES_WITHIN)
        except subprocess.TimeoutExpired:
            self.process.kill()
            _, errors = self.process.communicate()
            pytest.fail(f"it went on: {errors[-2000:]}")
        return self.process.returncode, errors

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
