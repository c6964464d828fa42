"""The process that tries llama.cpp out, run on the real library, with faults put into it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmrec.llm import llama_bindings as bindings
from llmrec.llm import llama_trial
from llmrec.llm.trial_process import SCRIPT, Ending, judge

pytest.importorskip("llama_cpp")

# Put in place of `compute`, before the trial begins.
FAULTY = """
import os, signal, sys
import numpy as np
from llmrec.llm import llama_trial
real = llama_trial.compute
def compute(llama_cpp, path, *, repack):
    logits = real(llama_cpp, path, repack=False)
    if path.stem == "Q8_0" and repack is {repack}:
        {fault}
    return logits
llama_trial.compute = compute
llama_trial.main(sys.argv[1])
"""


def run_trial(folder: Path, script: str, *arguments: str) -> tuple[list[dict[str, Any]], int]:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments, str(folder)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    return [json.loads(line) for line in done.stdout.splitlines()], done.returncode


def test_every_step_is_told(tmp_path: Path) -> None:
    steps, code = run_trial(tmp_path, SCRIPT, json.dumps(sys.path))
    kinds = [step["step"] for step in steps]
    assert code == 0
    assert (kinds[0], kinds[1], kinds[-2], kinds[-1]) == ("started", "system", "buffers", "done")
    assert "CPU : " in steps[1]["text"]
    computing = [(step["weights"], step["repacked"]) for step in steps if step["step"] == "computing"]
    kinds_of_weights = list(llama_trial.WEIGHTS)
    assert computing == [
        ("F32", False),
        *((weights, False) for weights in kinds_of_weights),
        *((weights, True) for weights in kinds_of_weights),
    ]
    assert "wrong" not in kinds or bindings.has_amx()
    assert any(name.startswith("CPU") for name in steps[-2]["names"])


@pytest.mark.parametrize("repack", [False, True])
@pytest.mark.parametrize(
    "fault",
    [
        "return logits + np.roll(logits, 1, axis=1)",
        "return np.full_like(logits, np.nan)",
        "return np.zeros_like(logits)",
        "return logits.astype(np.float64) * 1e300",
    ],
    ids=["mixed", "no numbers", "zeros", "too large"],
)
def test_wrong_numbers_are_found(tmp_path: Path, fault: str, repack: bool) -> None:
    steps, code = run_trial(tmp_path, FAULTY.format(fault=fault, repack=repack))
    assert (code, steps[-1]["step"]) == (0, "done")
    wrong = {(step["weights"], step["repacked"]) for step in steps if step["step"] == "wrong"}
    # Where the plain numbers are rubbish, the repacked ones agree with them or not.
    assert ("Q8_0", repack) in wrong
    assert {weights for weights, _ in wrong} == {"Q8_0"}
    verdict = judge("\n".join(map(json.dumps, steps)), Ending("it ended with code 0"))
    assert verdict is not None
    assert (verdict.runs, verdict.safe_with_repacking) == (repack, False)


@pytest.mark.skipif(os.name != "posix", reason="ends of processes have names on POSIX alone")
def test_the_last_step_before_a_crash_is_told(tmp_path: Path) -> None:
    fault = "os.kill(os.getpid(), signal.SIGSEGV)"
    steps, code = run_trial(tmp_path, FAULTY.format(fault=fault, repack=True))
    assert code == -11
    assert steps[-1] == {"step": "computing", "weights": "Q8_0", "repacked": True}


def test_an_error_of_python_is_no_fault_of_the_build(tmp_path: Path) -> None:
    fault = "raise OSError(28, 'No space left on device')"
    steps, code = run_trial(tmp_path, FAULTY.format(fault=fault, repack=True))
    assert code == 0
    assert steps[-1] == {"step": "failed", "text": "OSError: [Errno 28] No space left on device"}
    steps, code = run_trial(tmp_path / "nowhere", SCRIPT, json.dumps(sys.path))
    assert (code, steps[-1]["step"]) == (0, "failed")


def test_its_model_is_one_that_others_read(tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    llama_trial.write_model(tmp_path / "model.gguf")
    reader = gguf.GGUFReader(tmp_path / "model.gguf")
    assert reader.fields["general.architecture"].contents() == "llama"
    assert reader.fields["llama.embedding_length"].contents() == llama_trial.WIDTH
    shapes = {tensor.name: tuple(tensor.shape) for tensor in reader.tensors}
    assert shapes["blk.0.ffn_down.weight"] == (256, 256)
    assert shapes["output_norm.weight"] == (256,)
    values = next(tensor.data for tensor in reader.tensors if tensor.name == "token_embd.weight")
    assert values.shape == (llama_trial.VOCABULARY, llama_trial.WIDTH)
    assert np.sqrt(np.mean(values.astype(np.float64) ** 2)) == pytest.approx(1 / 16, rel=0.01)


def test_what_it_computes_is_the_same_each_time_and_no_constant(tmp_path: Path) -> None:
    llama_cpp = bindings.import_llama_cpp()
    bindings.log_collector(llama_cpp)
    llama_trial.write_model(tmp_path / "F32.gguf")
    first = llama_trial.compute(llama_cpp, tmp_path / "F32.gguf", repack=False)
    again = llama_trial.compute(llama_cpp, tmp_path / "F32.gguf", repack=False)
    assert first.shape == (sum(llama_trial.BATCHES), llama_trial.VOCABULARY)
    assert np.array_equal(first, again)
    assert 0.5 < first.std() < 2
    # Each row answers to its own tokens.
    assert np.abs(np.diff(first, axis=0)).mean(axis=1).min() > 0.5


def test_agreement() -> None:
    generator = np.random.default_rng(0)
    expected = generator.standard_normal((5, 50)).astype(np.float32)
    near = expected * np.float32(1.05)
    assert llama_trial.agree(near, expected, 0.1)
    assert not llama_trial.agree(near, expected, 0.01)
    assert not llama_trial.agree(np.roll(expected, 1), expected, llama_trial.LARGEST_ROUNDING)
    expected[2, 3] = np.inf
    assert not llama_trial.agree(expected, expected, 1.0)
