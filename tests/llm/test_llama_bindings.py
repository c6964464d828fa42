"""What the local model uses of llama.cpp: files, logs, tokens."""

from __future__ import annotations

import builtins
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrec.errors import ModelError
from llmrec.llm import llama_bindings as bindings
from tests.llm.tiny_gguf import LONG_TOKEN, write_tiny_gguf


@pytest.fixture(scope="module")
def llama_cpp() -> Any:
    return pytest.importorskip("llama_cpp")


@pytest.fixture(scope="module")
def loaded(llama_cpp: Any, tiny_gguf: Path) -> Iterator[Any]:
    model = bindings.load_model(llama_cpp, tiny_gguf)
    yield model
    llama_cpp.llama_model_free(model)


@pytest.fixture(scope="module")
def vocabulary(llama_cpp: Any, loaded: Any) -> bindings.Vocabulary:
    return bindings.Vocabulary(llama_cpp, loaded)


@pytest.fixture(scope="module")
def pieces(llama_cpp: Any, pieces_gguf: Path) -> Iterator[bindings.Vocabulary]:
    model = bindings.load_model(llama_cpp, pieces_gguf)
    yield bindings.Vocabulary(llama_cpp, model)
    llama_cpp.llama_model_free(model)


class TestImport:
    def test_without_the_library_the_cure_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "llama_cpp", None)
        with pytest.raises(ModelError, match=r"pip install 'llmrec\[local\]'.*openai:NAME@URL"):
            bindings.import_llama_cpp()

    @pytest.mark.parametrize(
        "fault", [OSError("libgomp.so.1: cannot open"), RuntimeError("no shared library")]
    )
    def test_a_library_that_does_not_load_is_told(
        self, monkeypatch: pytest.MonkeyPatch, fault: Exception
    ) -> None:
        real_import = builtins.__import__

        def fail(name: str, *arguments: Any, **options: Any) -> Any:
            if name == "llama_cpp":
                raise fault
            return real_import(name, *arguments, **options)

        monkeypatch.setattr(builtins, "__import__", fail)
        with pytest.raises(ModelError, match=r"(libgomp|no shared library).*force-reinstall"):
            bindings.import_llama_cpp()


class TestFiles:
    def test_a_missing_file(self, llama_cpp: Any, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"there is no model file at .*nothing\.gguf"):
            bindings.load_model(llama_cpp, tmp_path / "nothing.gguf")

    def test_a_folder(self, llama_cpp: Any, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"is a folder: give the path of a GGUF file"):
            bindings.load_model(llama_cpp, tmp_path)

    @pytest.mark.parametrize("content", [b"", b"GG", b"PK\x03\x04 a zip", b'{"json": true}'])
    def test_a_file_of_another_kind(self, llama_cpp: Any, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "model.gguf"
        path.write_bytes(content)
        with pytest.raises(ModelError, match="is not a GGUF file"):
            bindings.load_model(llama_cpp, path)

    def test_a_file_that_may_not_be_read(
        self, llama_cpp: Any, tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        # As root every file can be read.
        monkeypatch.setattr(Path, "open", refuse)
        with pytest.raises(ModelError, match="cannot be read: Permission denied"):
            bindings.load_model(llama_cpp, tiny_gguf)

    @pytest.mark.parametrize("kept", [4, 24, 3_000, 100_000, 350_000])
    def test_a_file_that_was_cut_off(
        self, llama_cpp: Any, tiny_gguf: Path, tmp_path: Path, kept: int
    ) -> None:
        path = tmp_path / "cut.gguf"
        path.write_bytes(tiny_gguf.read_bytes()[:kept])
        with pytest.raises(ModelError, match="damaged or incomplete") as caught:
            bindings.load_model(llama_cpp, path)
        # llama.cpp's own reason is handed on.
        assert "it gives no reason" not in str(caught.value)
        assert "\n" not in str(caught.value)

    @pytest.mark.embedded
    @pytest.mark.parametrize("kept", [1_000_000, 60_000_000])
    def test_the_embedded_file_cut_off(
        self, llama_cpp: Any, embedded_gguf: Path, tmp_path: Path, kept: int
    ) -> None:
        path = tmp_path / "cut.gguf"
        with embedded_gguf.open("rb") as file:
            path.write_bytes(file.read(kept))
        with pytest.raises(ModelError, match="damaged or incomplete"):
            bindings.load_model(llama_cpp, path)

    def test_rubbish_behind_the_magic_number(self, llama_cpp: Any, tmp_path: Path) -> None:
        path = tmp_path / "rubbish.gguf"
        path.write_bytes(b"GGUF" + bytes(range(256)) * 40)
        with pytest.raises(ModelError, match="damaged or incomplete"):
            bindings.load_model(llama_cpp, path)

    def test_a_model_without_a_vocabulary(self, llama_cpp: Any, tmp_path: Path) -> None:
        path = write_tiny_gguf(tmp_path / "wordless.gguf", tokenizer="none")
        with pytest.raises(ModelError, match="no model that writes text"):
            bindings.load_model(llama_cpp, path)

    @pytest.mark.parametrize("name", ["模型 with spaces.gguf", "ünï.gguf", os.fsdecode(b"caf\xe9.gguf")])
    def test_names_in_any_script(self, llama_cpp: Any, tiny_gguf: Path, tmp_path: Path, name: str) -> None:
        path = tmp_path / name
        try:
            path.write_bytes(tiny_gguf.read_bytes())
        except (OSError, UnicodeError):
            pytest.skip("this file system has no such names")
        llama_cpp.llama_model_free(bindings.load_model(llama_cpp, path))


class TestFingerprint:
    def test_it_tells_files_apart_wherever_they_differ(self, tmp_path: Path) -> None:
        content = bytearray(range(256)) * 400
        path = tmp_path / "model.gguf"
        seen = set()
        for place in (0, 50_000, len(content) - 1):
            content[place] ^= 0xFF
            path.write_bytes(content)
            seen.add(bindings.file_fingerprint(path))
        path.write_bytes(content[:-1])
        seen.add(bindings.file_fingerprint(path))
        assert len(seen) == 4

    def test_the_end_of_a_large_file_counts(self, tmp_path: Path) -> None:
        path = tmp_path / "large.gguf"
        with path.open("wb") as file:
            file.truncate(50_000_000)
        before = bindings.file_fingerprint(path)
        with path.open("rb+") as file:
            file.seek(-1, os.SEEK_END)
            file.write(b"x")
        assert bindings.file_fingerprint(path) != before

    def test_an_empty_file_has_one_too(self, tmp_path: Path) -> None:
        (tmp_path / "empty").touch()
        assert len(bindings.file_fingerprint(tmp_path / "empty")) == 20


class TestLog:
    def test_errors_are_kept_until_they_are_taken(
        self, llama_cpp: Any, tiny_gguf: Path, tmp_path: Path
    ) -> None:
        log = bindings.log_collector(llama_cpp)
        assert bindings.log_collector(llama_cpp) is log
        log.take_errors()
        (tmp_path / "cut.gguf").write_bytes(tiny_gguf.read_bytes()[:5_000])
        llama_cpp.llama_model_load_from_file(
            str(tmp_path / "cut.gguf").encode(), llama_cpp.llama_model_default_params()
        )
        assert log.take_errors()
        assert log.take_errors() == ""

    def test_a_model_that_loads_leaves_no_error_and_prints_nothing(
        self, llama_cpp: Any, tiny_gguf: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        log = bindings.log_collector(llama_cpp)
        llama_cpp.llama_model_free(bindings.load_model(llama_cpp, tiny_gguf))
        assert log.take_errors() == ""
        assert capfd.readouterr() == ("", "")


class TestMachine:
    def test_amx_is_looked_for_where_it_can_be(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        def machine(system: str, processor: str, flags: str | None) -> bool:
            monkeypatch.setattr(bindings.platform, "system", lambda: system)
            monkeypatch.setattr(bindings.platform, "machine", lambda: processor)
            information = tmp_path / "cpuinfo"
            information.unlink(missing_ok=True)
            if flags is not None:
                information.write_text(f"flags : {flags}\n")
            monkeypatch.setattr(bindings, "Path", lambda _: information)
            return bindings.has_amx()

        assert machine("Linux", "x86_64", "avx512f amx_tile amx_int8")
        assert not machine("Linux", "x86_64", "avx2")
        # What cannot be read may have it; leaving repacking out costs only time.
        assert machine("Linux", "x86_64", None)
        assert not machine("Darwin", "arm64", "amx_tile")
        assert not machine("Linux", "aarch64", None)

    def test_threads_are_at_least_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert bindings.usable_threads() >= 1
        monkeypatch.delattr(os, "sched_getaffinity", raising=False)
        monkeypatch.setattr(os, "cpu_count", lambda: None)
        assert bindings.usable_threads() == 1


class TestVocabulary:
    @settings(max_examples=200)
    @given(text=st.text(max_size=60), special=st.booleans())
    def test_no_text_is_lost_in_tokens(
        self, vocabulary: bindings.Vocabulary, text: str, special: bool
    ) -> None:
        tokens = vocabulary.tokenize(text, special=special)
        assert b"".join(map(vocabulary.bytes_of, tokens)).decode() == text

    @settings(max_examples=200)
    @given(
        text=st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="▁"), max_size=40)
    )
    def test_a_text_that_follows_another_gets_no_space(self, pieces: bindings.Vocabulary, text: str) -> None:
        tokens = pieces.tokenize(text, continued=True)
        assert b"".join(map(pieces.bytes_of, tokens)).decode() == text

    def test_the_space_such_vocabularies_add_is_added_at_the_beginning_alone(
        self, pieces: bindings.Vocabulary
    ) -> None:
        (word,) = pieces.tokenize("the")
        assert pieces.bytes_of(word) == b" the"
        assert pieces.tokenize(" the", continued=True) == [word]
        assert len(pieces.tokenize(" the")) == 2
        assert pieces.tokenize("", continued=True) == []

    def test_what_the_seam_swallows_is_cut_without_it(
        self, pieces: bindings.Vocabulary, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pieces, "_seam", [0])
        assert pieces.tokenize(" the", continued=True) == pieces.tokenize("the")

    def test_a_long_token_is_read_whole(self, vocabulary: bindings.Vocabulary) -> None:
        (token,) = vocabulary.tokenize(LONG_TOKEN)
        assert vocabulary.bytes_of(token) == LONG_TOKEN.encode()

    def test_first_and_last_tokens(
        self, vocabulary: bindings.Vocabulary, pieces: bindings.Vocabulary
    ) -> None:
        assert (vocabulary.first, vocabulary.adds_first) == (0, False)
        assert (vocabulary.first_text, vocabulary.last_text) == ("<|endoftext|>", "<|im_end|>")
        assert (pieces.first, pieces.adds_first) == (1, True)
        assert (pieces.first_text, pieces.last_text) == ("<s>", "</s>")
        assert pieces.ends(2)
        assert not pieces.ends(1)

    def test_a_text_that_cannot_be_cut_is_told(
        self, vocabulary: bindings.Vocabulary, llama_cpp: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(llama_cpp, "llama_tokenize", lambda *_: -1)
        with pytest.raises(ModelError, match="cannot cut a text of 3 bytes"):
            vocabulary.tokenize("fox")

    def test_a_text_of_more_tokens_than_bytes_gets_the_room_it_needs(
        self, vocabulary: bindings.Vocabulary, llama_cpp: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def expand(_vocabulary: Any, _text: bytes, _size: int, tokens: Any, room: int, *_: bool) -> int:
            if room < 40:
                return -40
            tokens[:40] = range(40)
            return 40

        monkeypatch.setattr(llama_cpp, "llama_tokenize", expand)
        assert vocabulary.tokenize("ﷺ") == list(range(40))

    def test_a_whole_text_has_the_tokens_its_model_wants_around_it(
        self, vocabulary: bindings.Vocabulary, pieces: bindings.Vocabulary
    ) -> None:
        assert vocabulary.tokenize_whole("the<|im_end|>") == vocabulary.tokenize("the<|im_end|>")
        assert pieces.tokenize_whole("the</s>") == [1, *pieces.tokenize("the</s>")]
        assert pieces.tokenize_whole("") == [1]


def test_metadata(llama_cpp: Any, loaded: Any) -> None:
    assert bindings.metadata(llama_cpp, loaded, "general.architecture") == "llama"
    assert "<|im_start|>" in (bindings.metadata(llama_cpp, loaded, "tokenizer.chat_template") or "")
    assert bindings.metadata(llama_cpp, loaded, "no.such.key") is None
