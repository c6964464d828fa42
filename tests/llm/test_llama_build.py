"""Whether llama.cpp is safe here, judged by processes that die, hang and lie, and by the real library."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmrec.errors import ModelError
from llmrec.llm import llama_bindings as bindings
from llmrec.llm import llama_build, llama_trial, trial_process
from llmrec.llm.llama_build import BuildReport, inspect_build, uses_repacking

# What a process of the trial writes before it meets its end.
STARTED = {"step": "started"}
SYSTEM = {"step": "system", "text": "CPU : AVX2 = 1 | FMA = 1 | SVE = 0 | REPACK = 1 | "}
AMX_SYSTEM = {"step": "system", "text": "CUDA : ARCHS = 800 | CPU : AVX2 = 1 | AMX_INT8 = 1 | "}
PLAIN = {"step": "computing", "weights": "Q4_1", "repacked": False}
REPACKED = {"step": "computing", "weights": "Q4_1", "repacked": True}
BUFFERS = {"step": "buffers", "names": ["AMX", "CPU"]}
DONE = {"step": "done"}

SEGFAULT = "os.kill(os.getpid(), signal.SIGSEGV)"
ILLEGAL = "os.kill(os.getpid(), signal.SIGILL)"
KILL = "os.kill(os.getpid(), signal.SIGKILL)"
HANG = "time.sleep(60)"

needs_signals = pytest.mark.skipif(os.name != "posix", reason="ends of processes have names on POSIX alone")


def child(*steps: dict[str, object] | str, end: str = "") -> list[str]:
    """A command that writes these lines and then does what `end` says."""
    lines = "".join(f"{step if isinstance(step, str) else json.dumps(step)}\n" for step in steps)
    script = f"import os, signal, sys, time; sys.stdout.write({lines!r}); sys.stdout.flush(); {end or 'pass'}"
    return [sys.executable, "-c", script]


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shared library that nobody loads, in place of the installed ones."""
    folder = tmp_path / "lib"
    folder.mkdir()
    path = folder / "libllama.so"
    path.write_bytes(b"\x7fELF first build")
    (folder / "readme.txt").write_text("no library")
    monkeypatch.setenv("LLAMA_CPP_LIB_PATH", str(folder))
    return path


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def inspect(library: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., BuildReport]:
    monkeypatch.setattr(llama_build, "cpu_features", lambda: ("avx2", "fma"))
    monkeypatch.setattr(bindings, "has_amx", lambda: False)

    def inspect(*steps: dict[str, object] | str, end: str = "", seconds: float = 30.0) -> BuildReport:
        return inspect_build(cache, command=child(*steps, end=end), seconds=seconds)

    return inspect


@needs_signals
class TestEnds:
    def test_a_trial_that_ends_well(
        self, inspect: Callable[..., BuildReport], caplog: pytest.LogCaptureFixture
    ) -> None:
        report = inspect(STARTED, SYSTEM, PLAIN, REPACKED, DONE)
        assert report.tried
        assert report.runs
        assert report.safe_with_repacking
        assert (report.finding, report.advice, report.missing_features) == ("", "", ())
        assert report.build_features == ("AVX2", "FMA", "REPACK")
        assert not report.uses_amx
        assert not [record for record in caplog.records if record.levelno >= logging.WARNING]

    def test_a_crash_with_repacked_weights(
        self, inspect: Callable[..., BuildReport], caplog: pytest.LogCaptureFixture
    ) -> None:
        report = inspect(STARTED, AMX_SYSTEM, PLAIN, REPACKED, end=SEGFAULT)
        assert report.runs
        assert not report.safe_with_repacking
        assert not report.uses_amx
        assert report.finding == "it died of SIGSEGV computing with repacked Q4_1 weights"
        (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert record.getMessage() == report.advice
        assert report.finding in report.advice
        line = (
            "-m pip install --force-reinstall --no-deps --no-cache-dir --no-binary llama-cpp-python llama-cpp"
        )
        assert line in report.advice
        header = report.advice.partition("CXXFLAGS='-include ")[2].partition("'")[0]
        assert "__AMX_TILE__" in Path(header).read_text()

    def test_a_crash_without_amx_names_no_header(self, inspect: Callable[..., BuildReport]) -> None:
        report = inspect(STARTED, SYSTEM, PLAIN, REPACKED, end=SEGFAULT)
        assert not report.safe_with_repacking
        assert "pip install" in report.advice
        assert "CXXFLAGS" not in report.advice

    @pytest.mark.parametrize("steps", [[STARTED], [STARTED, SYSTEM, PLAIN]], ids=["loading", "computing"])
    def test_a_crash_without_them_is_an_error_and_not_the_end(
        self,
        steps: list[dict[str, object]],
        inspect: Callable[..., BuildReport],
        cache: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        report = inspect(*steps, end=ILLEGAL)
        assert not report.runs
        assert not report.safe_with_repacking
        monkeypatch.setattr(llama_build, "trial_command", lambda: child(*steps, end=ILLEGAL))
        with pytest.raises(
            ModelError, match=r"does not work on this CPU \(it died of SIGILL .*pip install"
        ) as raised:
            uses_repacking(cache)
        assert "--no-binary llama-cpp-python llama-cpp-python" in str(raised.value)
        # What was short for a moment may be there the next time.
        assert not cache.exists()
        monkeypatch.setattr(llama_build, "trial_command", lambda: child(STARTED, PLAIN, REPACKED, DONE))
        assert uses_repacking(cache)

    def test_hanging_with_repacked_weights(self, inspect: Callable[..., BuildReport]) -> None:
        began = time.monotonic()
        report = inspect(STARTED, SYSTEM, PLAIN, REPACKED, end=HANG, seconds=1.5)
        assert time.monotonic() - began < 20
        assert report.runs
        assert not report.safe_with_repacking
        assert report.finding == "it had not ended after 1.5 seconds computing with repacked Q4_1 weights"

    @pytest.mark.parametrize("repacked", [False, True])
    def test_wrong_numbers(self, inspect: Callable[..., BuildReport], repacked: bool) -> None:
        wrong = {"step": "wrong", "weights": "Q8_0", "repacked": repacked}
        report = inspect(STARTED, SYSTEM, PLAIN, wrong, REPACKED, DONE)
        assert report.runs is repacked
        assert not report.safe_with_repacking
        assert "it computes wrong numbers from" in report.finding

    def test_the_first_fault_without_repacking_is_told(self, inspect: Callable[..., BuildReport]) -> None:
        wrong = [{"step": "wrong", "weights": name, "repacked": name == "Q4_0"} for name in ("Q4_0", "Q6_K")]
        report = inspect(STARTED, SYSTEM, PLAIN, REPACKED, *wrong, end=SEGFAULT)
        assert not report.runs
        assert report.finding == "it computes wrong numbers from Q6_K weights"

    def test_an_end_by_code(self, inspect: Callable[..., BuildReport]) -> None:
        report = inspect(STARTED, SYSTEM, PLAIN, REPACKED, end="os._exit(3)")
        assert report.finding == "it ended with code 0x3 computing with repacked Q4_1 weights"

    def test_a_crash_after_the_last_step_is_none(self, inspect: Callable[..., BuildReport]) -> None:
        assert inspect(STARTED, PLAIN, REPACKED, DONE, end=SEGFAULT).safe_with_repacking

    def test_what_a_library_prints_between_is_passed_over(self, inspect: Callable[..., BuildReport]) -> None:
        noise = ["ggml: hello", '{"step": "dance"}', "[1]", "\x00\x07", '{"step": ["done"]}', "{" * 5000]
        report = inspect(*noise, STARTED, *noise, SYSTEM, PLAIN, REPACKED, end=SEGFAULT)
        assert report.finding == "it died of SIGSEGV computing with repacked Q4_1 weights"


@needs_signals
class TestNothingFoundOut:
    """Then caution decides: with AMX nothing is repacked, and nothing is remembered."""

    @pytest.mark.parametrize("has_amx", [False, True])
    @pytest.mark.parametrize(
        ("steps", "end"),
        [
            ([], "sys.exit(1)"),
            (["Usage: host [options]"], ""),
            ([DONE], ""),
            ([], SEGFAULT),
            ([STARTED, {"step": "failed", "text": "OSError: No space left on device"}], ""),
            ([STARTED, PLAIN, REPACKED], KILL),
            ([STARTED, PLAIN], HANG),
        ],
        ids=["refused", "another program", "no beginning", "died before", "failed", "killed", "slow to load"],
    )
    def test_a_process_that_says_nothing_of_the_build(
        self,
        steps: list[dict[str, object] | str],
        end: str,
        has_amx: bool,
        inspect: Callable[..., BuildReport],
        cache: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(bindings, "has_amx", lambda: has_amx)
        report = inspect(*steps, end=end, seconds=1.5 if end == HANG else 30.0)
        assert not report.tried
        assert report.runs
        assert report.safe_with_repacking is not has_amx
        assert not report.uses_amx
        assert not cache.exists()

    def test_a_program_that_is_not_there(self, library: Path, cache: Path) -> None:
        assert not inspect_build(cache, command=[str(cache / "python")]).tried

    @pytest.mark.parametrize("how", ["nameless", "frozen", "no temporary folder"])
    def test_no_interpreter_to_start(
        self, how: str, library: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise AssertionError("nothing must be started")

        if how == "nameless":
            monkeypatch.setattr(sys, "executable", "")
        elif how == "frozen":
            monkeypatch.setattr(sys, "frozen", True, raising=False)
        else:
            monkeypatch.setattr(trial_process.tempfile, "tempdir", str(tmp_path / "nowhere"))
        monkeypatch.setattr(trial_process.subprocess, "run", refuse)
        assert not inspect_build(cache).tried

    def test_a_program_that_starts_itself_does_so_once(self, library: Path, cache: Path) -> None:
        """As one would that embeds Python, takes no notice of its arguments, and opens a model."""
        starts = cache.parent / "starts"
        script = (
            "import pathlib, sys\n"
            "from llmrec.llm import llama_build\n"
            "with open(sys.argv[1], 'a') as file: file.write('x')\n"
            "command = [sys.executable, '-c', sys.argv[2], *sys.argv[1:4]]\n"
            "report = llama_build.inspect_build(pathlib.Path(sys.argv[3]), command=command)\n"
            "assert not report.tried\n"
        )
        command = [sys.executable, "-c", script, str(starts), script, str(cache)]
        subprocess.run(
            command, timeout=60, check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        )
        assert starts.read_text() == "xx"

    def test_without_llama_cpp_the_cure_is_told(self, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("LLAMA_CPP_LIB_PATH", raising=False)
        monkeypatch.setattr(llama_build.importlib.util, "find_spec", lambda _: None)
        monkeypatch.setitem(sys.modules, "llama_cpp", None)
        with pytest.raises(ModelError, match=r"pip install 'llmrec\[local\]'"):
            inspect_build(cache)


@needs_signals
class TestRemembering:
    @pytest.mark.parametrize("end", ["", SEGFAULT], ids=["safe", "unsafe"])
    def test_a_second_process_is_not_started(
        self, inspect: Callable[..., BuildReport], end: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        first = inspect(STARTED, AMX_SYSTEM, PLAIN, REPACKED, BUFFERS, *([] if end else [DONE]), end=end)
        caplog.clear()
        assert inspect(end=KILL) == first
        assert not caplog.records

    def test_other_libraries_are_tried_anew(self, inspect: Callable[..., BuildReport], library: Path) -> None:
        first = inspect(STARTED, PLAIN, REPACKED, end=SEGFAULT)
        library.write_bytes(b"\x7fELF other build")
        second = inspect(STARTED, PLAIN, REPACKED, DONE)
        assert (first.safe_with_repacking, second.safe_with_repacking) == (False, True)
        library.write_bytes(b"\x7fELF first build")
        assert inspect(end=KILL) == first

    def test_a_library_that_is_added_counts(self, inspect: Callable[..., BuildReport], library: Path) -> None:
        first = inspect(STARTED, PLAIN, REPACKED, DONE)
        library.with_name("libggml-cpu.so.0").write_bytes(b"\x7fELF")
        assert inspect(STARTED, PLAIN, REPACKED, DONE).key != first.key

    def test_a_large_library_is_known_by_its_time_too(
        self, inspect: Callable[..., BuildReport], library: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(llama_build, "LARGEST_LIBRARY_READ_WHOLE", 4)
        os.utime(library, (0, 0))
        first = inspect(STARTED, PLAIN, REPACKED, DONE)
        assert inspect(end=KILL) == first
        os.utime(library, (0, 1))
        assert not inspect(end=KILL).tried

    def test_another_cpu_is_tried_anew(
        self, inspect: Callable[..., BuildReport], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = inspect(STARTED, PLAIN, REPACKED, DONE)
        monkeypatch.setattr(llama_build, "cpu_identity", lambda: "x86_64 with amx_int8")
        assert inspect(STARTED, PLAIN, REPACKED, end=SEGFAULT).key != first.key

    @pytest.mark.parametrize("damage", [b"", b"{", b'{"runs": true}', b"\xff\xfe", b"null"])
    def test_what_cannot_be_read_is_tried_anew(
        self, inspect: Callable[..., BuildReport], cache: Path, damage: bytes
    ) -> None:
        inspect(STARTED, PLAIN, REPACKED, DONE)
        (memory,) = cache.iterdir()
        memory.write_bytes(damage)
        assert not inspect(STARTED, PLAIN, REPACKED, end=SEGFAULT).safe_with_repacking
        assert not inspect(end=KILL).safe_with_repacking

    def test_where_nothing_can_be_kept_it_works_without(
        self, inspect: Callable[..., BuildReport], cache: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        cache.write_text("a file, where the folder should be")
        with caplog.at_level(logging.DEBUG, logger="llmrec.llm.llama_build"):
            assert inspect(STARTED, PLAIN, REPACKED, DONE).tried
        assert [record.name for record in caplog.records if "not remembered" in record.getMessage()]
        assert not inspect(end=KILL).tried

    def test_without_libraries_to_read_nothing_is_remembered(
        self, inspect: Callable[..., BuildReport], cache: Path, library: Path
    ) -> None:
        library.unlink()
        report = inspect(STARTED, PLAIN, REPACKED, DONE)
        assert (report.key, report.tried) == ("", True)
        assert not cache.exists()

    def test_several_processes_at_once(self, library: Path, cache: Path) -> None:
        spawning = multiprocessing.get_context("spawn")
        results = spawning.Queue()
        start = time.time() + 2.0
        processes = [spawning.Process(target=inspect_at_once, args=(cache, start, results)) for _ in range(4)]
        for process in processes:
            process.start()
        found = [results.get(timeout=60) for _ in processes]
        for process in processes:
            process.join(60)
            assert process.exitcode == 0
        results.close()
        assert len(set(found)) == 1
        report = BuildReport.model_validate_json(found[0])
        assert report.tried
        assert [path.name for path in cache.iterdir()] == [f"llama-build-{report.key}.json"]


def inspect_at_once(cache: Path, start: float, results: multiprocessing.Queue[str]) -> None:
    command = child(STARTED, SYSTEM, PLAIN, REPACKED, BUFFERS, DONE)
    time.sleep(max(0.0, start - time.time()))
    results.put(inspect_build(cache, command=command).model_dump_json())


class TestReport:
    def test_what_the_build_lacks_of_the_cpu(
        self, inspect: Callable[..., BuildReport], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(llama_build, "cpu_features", lambda: ("avx2", "fma", "avx512f", "amx_int8"))
        report = inspect(STARTED, SYSTEM, PLAIN, REPACKED, DONE)
        assert report.cpu_features == ("avx2", "fma", "avx512f", "amx_int8")
        assert report.missing_features == ("avx512f", "amx_int8")
        assert report.advice.startswith(
            "this build of llama.cpp does not use avx512f, amx_int8 of this CPU: one that does is two to five"
        )
        assert "CXXFLAGS" in report.advice

    def test_a_slower_build_without_amx(
        self, inspect: Callable[..., BuildReport], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(llama_build, "cpu_features", lambda: ("avx2", "avx512f"))
        report = inspect(STARTED, SYSTEM, PLAIN, REPACKED, DONE)
        assert report.missing_features == ("avx512f",)
        assert "one that does is faster; build it with" in report.advice
        assert "CXXFLAGS" not in report.advice

    def test_amx_counts_only_where_weights_lie_in_its_buffers(
        self, inspect: Callable[..., BuildReport], cache: Path
    ) -> None:
        """A system may refuse a process AMX, which the build and the CPU have."""
        assert not inspect(STARTED, AMX_SYSTEM, PLAIN, REPACKED, DONE).uses_amx
        for memory in cache.iterdir():
            memory.unlink()
        report = inspect(STARTED, AMX_SYSTEM, PLAIN, REPACKED, BUFFERS, DONE)
        assert report.uses_amx
        assert report.build_features == ("AVX2", "AMX_INT8")
        assert report.buffers == ("AMX", "CPU")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> BuildReport:
    pytest.importorskip("llama_cpp")
    return inspect_build(tmp_path_factory.mktemp("real"))


class TestRealLibrary:
    def test_the_installed_build_is_found_out(self, real: BuildReport) -> None:
        assert real.tried
        assert real.runs
        assert real.key
        assert real.safe_with_repacking or real.finding
        assert "REPACK" not in real.build_features or {"CPU_REPACK", "AMX"} & set(real.buffers)

    def test_it_is_not_loaded_into_this_process(self, tmp_path: Path) -> None:
        pytest.importorskip("llama_cpp")
        script = (
            "import pathlib, sys; from llmrec.llm.llama_build import inspect_build; "
            "assert inspect_build(pathlib.Path(sys.argv[1])).tried; assert 'llama_cpp' not in sys.modules"
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)}
        subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "cache")], env=environment, timeout=120, check=True
        )
        assert [path.name for path in tmp_path.iterdir()] == ["cache"]

    def test_the_bindings_do_as_they_are_told(
        self, real: BuildReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import llama_cpp

        seen: list[bool] = []
        load = llama_cpp.llama_model_load_from_file

        def watch(path: bytes, parameters: Any) -> Any:
            seen.append(bool(parameters.use_extra_bufts))
            return load(path, parameters)

        monkeypatch.setattr(llama_cpp, "llama_model_load_from_file", watch)
        llama_trial.write_model(tmp_path / "model.gguf")
        for repack in (True, False):
            with pytest.raises(ModelError, match="no model that writes text"):
                bindings.load_model(llama_cpp, tmp_path / "model.gguf", repack=repack)
        assert seen == [True, False]

    @pytest.mark.embedded
    def test_the_embedded_model_gives_the_same_either_way(
        self, real: BuildReport, embedded_gguf: Path
    ) -> None:
        llama_cpp = bindings.import_llama_cpp()
        bindings.log_collector(llama_cpp)
        plain = llama_trial.compute(llama_cpp, embedded_gguf, repack=False)
        again = llama_trial.compute(llama_cpp, embedded_gguf, repack=real.safe_with_repacking)
        assert llama_trial.agree(again, plain, llama_trial.LARGEST_REPACKING)
