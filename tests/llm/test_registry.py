"""From what a user writes to a model."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmrec.errors import ModelError
from llmrec.llm import embedded, registry, static_embedder
from llmrec.llm.base import LanguageModel
from llmrec.llm.openai import OpenAIModel
from llmrec.llm.registry import (
    EMBEDDER_ENTRY_POINT_GROUP,
    ENTRY_POINT_GROUP,
    embedder_kinds,
    model_kinds,
    open_embedder,
    open_model,
)
from llmrec.llm.scripted import ScriptedModel
from llmrec.settings import Settings


class Entry:
    """Stands for an installed package's entry point."""

    def __init__(self, name: str, load: Callable[[], Any]) -> None:
        self.name, self.value, self.load = name, f"{name}_package:open", load


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> list[Entry]:
    """The models that other packages bring; none unless a test adds some."""
    entries: list[Entry] = []

    def entry_points(*, group: str) -> list[Entry]:
        assert group in {ENTRY_POINT_GROUP, EMBEDDER_ENTRY_POINT_GROUP}
        return entries if group == ENTRY_POINT_GROUP == "llmrec.models" else []

    monkeypatch.setattr(registry, "entry_points", entry_points)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return entries


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache_dir=tmp_path / "cache", threads=1, context_length=256, api_key="a-key")


def address(model: LanguageModel) -> tuple[str, str]:
    assert isinstance(model, OpenAIModel)
    model.close()
    return model.name, model._client.base_url


class TestLocalFiles:
    @pytest.mark.parametrize("spelling", ["llama-cpp:{}", "{}", " llama-cpp:{} "])
    def test_a_path(self, tiny_gguf: Path, settings: Settings, spelling: str) -> None:
        model = open_model(spelling.format(tiny_gguf), settings)
        assert model.name == "llama-cpp:tiny.gguf"
        assert model.capabilities.context_length == 256
        model.close()

    @pytest.mark.parametrize("name", ["MODEL.GGUF", "a:b.gguf", "openai:x.gguf"])
    def test_names_that_look_like_something_else(
        self, tiny_gguf: Path, settings: Settings, tmp_path: Path, name: str
    ) -> None:
        path = tmp_path / name
        path.write_bytes(tiny_gguf.read_bytes())
        model = open_model(str(path), settings)
        assert model.name == f"llama-cpp:{name}"
        model.close()

    def test_a_file_of_any_name(self, tiny_gguf: Path, settings: Settings, tmp_path: Path) -> None:
        path = tmp_path / "model.bin"
        path.write_bytes(tiny_gguf.read_bytes())
        open_model(f"llama-cpp:{path}", settings).close()

    def test_the_home_folder(
        self, tiny_gguf: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", str(tiny_gguf.parent))
        monkeypatch.setenv("USERPROFILE", str(tiny_gguf.parent))
        for spelling in ("llama-cpp:~/tiny.gguf", "~/tiny.gguf"):
            open_model(spelling, settings).close()

    def test_a_drive_letter_is_no_kind_of_model(self, settings: Settings) -> None:
        pytest.importorskip("llama_cpp")
        with pytest.raises(ModelError, match=r"no model file at C:\\models\\x\.gguf"):
            open_model(r"C:\models\x.gguf", settings)

    def test_a_path_is_needed(self, settings: Settings) -> None:
        with pytest.raises(ModelError, match="write llama-cpp:PATH"):
            open_model("llama-cpp:", settings)

    def test_a_missing_file(self, settings: Settings, tmp_path: Path) -> None:
        pytest.importorskip("llama_cpp")
        with pytest.raises(ModelError, match="there is no model file"):
            open_model(f"llama-cpp:{tmp_path}/none.gguf", settings)


class TestServers:
    @pytest.mark.parametrize(
        ("specification", "expected"),
        [
            ("openai:gpt-4o-mini", ("gpt-4o-mini", "https://api.openai.com/v1")),
            ("openai:qwen3:8b@http://localhost:11434/v1", ("qwen3:8b", "http://localhost:11434/v1")),
            ("openai:org/name@https://example.org/v1/", ("org/name", "https://example.org/v1")),
            ("openai:@cf/meta/llama@https://example.org/v1", ("@cf/meta/llama", "https://example.org/v1")),
            ("openai:@cf/meta/llama", ("@cf/meta/llama", "https://api.openai.com/v1")),
            ("openai:m@http://ana:secret@localhost:1/v1", ("m", "http://ana:secret@localhost:1/v1")),
            ("openai:model.gguf", ("model.gguf", "https://api.openai.com/v1")),
            ("openai:m@http://localhost:1/files/m.gguf", ("m", "http://localhost:1/files/m.gguf")),
        ],
    )
    def test_every_spelling(self, settings: Settings, specification: str, expected: tuple[str, str]) -> None:
        assert address(open_model(specification, settings)) == expected

    @pytest.mark.parametrize("specification", ["openai:", "openai:@http://localhost:1/v1"])
    def test_a_name_is_needed(self, settings: Settings, specification: str) -> None:
        with pytest.raises(ModelError, match="write openai:NAME or openai:NAME@URL"):
            open_model(specification, settings)

    def test_an_address_without_its_scheme_is_told(self, settings: Settings) -> None:
        with pytest.raises(ModelError, match="write it like http://localhost:8000/v1"):
            open_model("openai:m@localhost:8000/v1", settings)


class TestInstalledKinds:
    def test_an_installed_kind_is_opened_with_the_rest_and_the_settings(
        self, installed: list[Entry], settings: Settings
    ) -> None:
        asked: list[tuple[str, Settings]] = []

        def opener(rest: str, given: Settings) -> ScriptedModel:
            asked.append((rest, given))
            return ScriptedModel("yes")

        installed.append(Entry("mine", lambda: opener))
        assert open_model("mine:a:b.gguf", settings).generate is not None
        assert asked == [("a:b.gguf", settings)]

    def test_no_package_takes_the_place_of_a_known_kind(
        self, installed: list[Entry], settings: Settings
    ) -> None:
        installed.append(Entry("openai", lambda: pytest.fail("it was loaded")))
        assert address(open_model("openai:m@http://localhost:1", settings))[0] == "m"

    @pytest.mark.parametrize("fault", [ImportError("no torch"), AttributeError("no open")])
    def test_a_package_that_cannot_be_loaded_is_named(
        self, installed: list[Entry], settings: Settings, fault: Exception
    ) -> None:
        def fail() -> None:
            raise fault

        installed.append(Entry("mine", fail))
        with pytest.raises(ModelError, match=r"'mine' \(mine_package:open\) cannot be loaded: no \w+"):
            open_model("mine:x", settings)


@pytest.mark.parametrize("specification", ["", "gpt-4o", "Embedded", "llama_cpp:x", "ollama:qwen3"])
def test_what_is_no_model_is_told_with_the_spellings(specification: str, settings: Settings) -> None:
    with pytest.raises(ModelError, match=r"write embedded, llama-cpp:PATH or openai:NAME@URL"):
        open_model(specification, settings)


def test_embedded_takes_no_more_words(settings: Settings) -> None:
    pytest.importorskip("llama_cpp")
    with pytest.raises(ModelError, match="write embedded"):
        open_model("embedded:135m", settings)


class TestKinds:
    def test_every_kind_is_listed(self, installed: list[Entry], monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("llama_cpp")
        installed.append(Entry("mine", lambda: None))
        monkeypatch.setattr(embedded, "find_embedded_model", lambda: Path("there.gguf"))
        kinds = {kind.specification: kind for kind in model_kinds()}
        assert list(kinds) == ["embedded", "llama-cpp:PATH", "openai:NAME@URL", "mine:…"]
        assert all(kind.ready and not kind.hint for kind in kinds.values())
        assert "mine_package:open" in kinds["mine:…"].description

    def test_without_llama_cpp_two_kinds_say_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "llama_cpp", None)
        kinds = {kind.specification: kind for kind in model_kinds()}
        assert [name for name, kind in kinds.items() if kind.ready] == ["openai:NAME@URL"]
        assert "pip install 'llmrec[local]'" in kinds["embedded"].hint
        assert "pip install 'llmrec[local]'" in kinds["llama-cpp:PATH"].hint

    def test_without_the_carried_file_one_kind_is_not_ready(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("llama_cpp")
        monkeypatch.setattr(embedded.importlib.util, "find_spec", lambda _: None)
        kinds = {kind.specification: kind for kind in model_kinds()}
        assert not kinds["embedded"].ready
        assert "pip install" in kinds["embedded"].hint
        assert kinds["llama-cpp:PATH"].ready


class TestEmbedders:
    @pytest.fixture
    def installed_embedders(self, monkeypatch: pytest.MonkeyPatch) -> list[Entry]:
        entries: list[Entry] = []

        def entry_points(*, group: str) -> list[Entry]:
            return entries if group == EMBEDDER_ENTRY_POINT_GROUP == "llmrec.embedders" else []

        monkeypatch.setattr(registry, "entry_points", entry_points)
        return entries

    def test_the_default_is_static_vectors(self, settings: Settings) -> None:
        pytest.importorskip("tokenizers")
        if static_embedder.importlib.util.find_spec("wordllama") is None:
            pytest.skip("wordllama is not installed")
        embedder = open_embedder(settings.embedder, settings)
        assert (embedder.name, embedder.dimensions) == ("wordllama", 256)
        embedder.close()

    @pytest.mark.parametrize("spelling", ["llama-cpp:{}", "{}", " llama-cpp:{} "])
    def test_a_path(self, tiny_gguf: Path, settings: Settings, spelling: str) -> None:
        embedder = open_embedder(spelling.format(tiny_gguf), settings)
        assert embedder.name == "llama-cpp:tiny.gguf"
        assert embedder.fingerprint.endswith("-mean-256")
        embedder.close()

    def test_the_home_folder(
        self, tiny_gguf: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", str(tiny_gguf.parent))
        monkeypatch.setenv("USERPROFILE", str(tiny_gguf.parent))
        open_embedder("llama-cpp:~/tiny.gguf", settings).close()

    @pytest.mark.parametrize("specification", ["", "embedded", "minilm", "Wordllama", "openai:m"])
    def test_what_is_no_embedder_is_told_with_the_spellings(
        self, settings: Settings, specification: str
    ) -> None:
        with pytest.raises(ModelError, match=r"no embedder .*write wordllama or llama-cpp:PATH"):
            open_embedder(specification, settings)

    def test_what_is_missing_or_too_much_is_told(self, settings: Settings) -> None:
        with pytest.raises(ModelError, match="write llama-cpp:PATH"):
            open_embedder("llama-cpp:", settings)
        with pytest.raises(ModelError, match="no embedder 'wordllama:512': write wordllama"):
            open_embedder("wordllama:512", settings)

    def test_an_installed_kind_is_opened_with_the_rest_and_the_settings(
        self, installed_embedders: list[Entry], settings: Settings
    ) -> None:
        opened: list[tuple[str, Settings]] = []
        mark = object()

        def opener(rest: str, given: Settings) -> object:
            opened.append((rest, given))
            return mark

        installed_embedders.append(Entry("mine", lambda: opener))
        assert open_embedder("mine:a:b", settings) is mark
        assert opened == [("a:b", settings)]
        with pytest.raises(ModelError, match="no model 'mine:a'"):
            open_model("mine:a", settings)

    def test_a_package_that_cannot_be_loaded_is_named(
        self, installed_embedders: list[Entry], settings: Settings
    ) -> None:
        def fail() -> None:
            raise ImportError("no torch")

        installed_embedders.append(Entry("mine", fail))
        with pytest.raises(ModelError, match=r"'mine' \(mine_package:open\) cannot be loaded: no torch"):
            open_embedder("mine:x", settings)

    def test_every_kind_is_listed(
        self, installed_embedders: list[Entry], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pytest.importorskip("llama_cpp")
        monkeypatch.setattr(static_embedder, "check_installed", lambda: None)
        installed_embedders.append(Entry("mine", lambda: None))
        kinds = {kind.specification: kind for kind in embedder_kinds()}
        assert list(kinds) == ["wordllama", "llama-cpp:PATH", "mine:…"]
        assert all(kind.ready and not kind.hint for kind in kinds.values())
        assert all(kind.specification != "mine:…" for kind in model_kinds())

    def test_what_is_not_installed_says_how(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "llama_cpp", None)
        monkeypatch.setattr(static_embedder.importlib.util, "find_spec", lambda _: None)
        kinds = {kind.specification: kind for kind in embedder_kinds()}
        assert not any(kind.ready for kind in kinds.values())
        assert "pip install 'llmrec[embeddings]'" in kinds["wordllama"].hint
        assert "pip install 'llmrec[local]'" in kinds["llama-cpp:PATH"].hint
