"""The examples do what the documents say: run as a user runs them, with the embedded model."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.embedded
def test_quickstart(prepared_gguf: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "quickstart.py")],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTHONIOENCODING": "utf-8",
            "LLMREC_CACHE_DIR": str(prepared_gguf.parent),
        },
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert re.fullmatch(r"[\w&, ]+  -?\d\.\d\d  \(\d\)", lines[0])
    tree = [line for line in lines if re.search(r"  -?\d\.\d\d  \(\d\)$", line)]
    assert any(re.fullmatch(r"Films  0\.\d\d  \(4\)", line) for line in tree), done.stdout
    assert any(re.search(r"Horror  -0\.\d\d  \(2\)", line) for line in tree), "disliked twice over"
    assert any(line.startswith("Cooking & food") for line in tree)
    first, second, third, best = lines[len(tree) :]
    assert first.startswith("1. Arrival: ")
    assert "Solaris" in first
    assert second.startswith("2. ")
    assert third.startswith("3. ")
    assert all(len(line.split(": ", 1)[1]) > 20 for line in (first, second, third))
    assert re.fullmatch(r"Best of three: Stalker \(\+\d\.\d\d\)", best)
    assert list(tmp_path.iterdir()) == [], "nothing is written where nobody asked for it"
