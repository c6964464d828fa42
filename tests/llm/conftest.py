"""What tests of models share: tiny llama.cpp models that know nothing, a fake server, no keys around."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmrec.llm.base import LanguageModel
from tests.llm.fake_server import FakeServer, running_server
from tests.llm.one_by_one import OneByOne
from tests.llm.tiny_gguf import write_tiny_gguf


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("llama_cpp")
    pytest.importorskip("gguf")
    return write_tiny_gguf(tmp_path_factory.mktemp("tiny") / "tiny.gguf")


@pytest.fixture(scope="session")
def pieces_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a vocabulary that puts a space before a text and wants a first token."""
    pytest.importorskip("llama_cpp")
    pytest.importorskip("gguf")
    return write_tiny_gguf(tmp_path_factory.mktemp("tiny") / "pieces.gguf", tokenizer="pieces")


@pytest.fixture(scope="session")
def gguf_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes a model of any kind, each once; takes the options of write_tiny_gguf."""
    pytest.importorskip("llama_cpp")
    pytest.importorskip("gguf")
    folder = tmp_path_factory.mktemp("kinds")
    written: dict[str, Path] = {}

    def write(**options: Any) -> Path:
        kind = repr(sorted(options.items()))
        if kind not in written:
            written[kind] = write_tiny_gguf(folder / f"{len(written)}.gguf", **options)
        return written[kind]

    return write


@pytest.fixture(scope="session")
def alone_in() -> Iterator[Callable[[Path], OneByOne]]:
    """Opens a file for scores of texts that are alone, each file once."""
    from llmrec.llm import llama_bindings

    # Until a collector is there, llama.cpp prints what it does.
    llama_bindings.log_collector(llama_bindings.import_llama_cpp())
    opened: dict[Path, OneByOne] = {}

    def open_reference(path: Path) -> OneByOne:
        if path not in opened:
            opened[path] = OneByOne(path)
        return opened[path]

    yield open_reference
    for reference in opened.values():
        reference.close()


@pytest.fixture
def open_tiny(tiny_gguf: Path) -> Iterator[Callable[..., LanguageModel]]:
    """Opens models that end with the test; takes a path and the options of LlamaCppModel."""
    from llmrec.llm.llama_cpp import LlamaCppModel

    models: list[LlamaCppModel] = []

    def open_model(path: Path = tiny_gguf, **options: Any) -> LlamaCppModel:
        models.append(LlamaCppModel(path, **{"threads": 1, **options}))
        return models[-1]

    yield open_model
    for model in models:
        model.close()


@pytest.fixture(scope="session")
def tiny_model(tiny_gguf: Path) -> Iterator[LanguageModel]:
    """One that tests only ask."""
    from llmrec.llm.llama_cpp import LlamaCppModel

    model = LlamaCppModel(tiny_gguf, threads=1)
    yield model
    model.close()


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with running_server() as server:
        yield server
