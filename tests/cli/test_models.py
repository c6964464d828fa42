from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmrec.cli.model_check import check_model
from llmrec.llm import llama_build, registry
from llmrec.llm.llama_build import BuildReport, rebuild_line
from llmrec.llm.local_facts import GgufFacts
from llmrec.llm.scripted import ScriptedModel
from llmrec.settings import Settings
from tests.cli.conftest import Program
from tests.cli.model_reports import advised, named

SOUND = BuildReport(
    key="k",
    tried=True,
    runs=True,
    safe_with_repacking=True,
    build_features=("AVX", "AVX2", "LLAMAFILE"),
    cpu_features=("avx", "avx2"),
    buffers=("CPU_Mapped", "CPU_REPACK"),
)
UNSAFE_FINDING = "it died of SIGSEGV computing with repacked Q4_1 weights"
UNSAFE = SOUND.model_copy(
    update={
        "safe_with_repacking": False,
        "finding": UNSAFE_FINDING,
        "cpu_features": ("avx", "avx2", "amx_int8"),
        "missing_features": ("amx_int8",),
        "advice": f"{UNSAFE_FINDING}: build one with {rebuild_line(with_tile_header=True)}",
    }
)
DEAD = SOUND.model_copy(
    update={
        "runs": False,
        "advice": f"it does not run: build one with {rebuild_line(with_tile_header=False)}",
    }
)


def test_a_model_that_cannot_be_opened(llmrec_run: Program) -> None:
    pytest.importorskip("llama_cpp")
    outcome = llmrec_run("models", "check", "--model", "llama-cpp:/no/such.gguf", "--json")
    assert outcome.code == 1
    report = json.loads(outcome.out)
    assert report["serves"] is False
    assert report["advice"] in outcome.error
    assert "there is no model file at /no/such.gguf" in outcome.error
    human = llmrec_run("models", "check", "--model", "llama-cpp:/no/such.gguf")
    assert human.code == 1
    assert "does not serve" in human.out


def test_the_list_names_every_kind(llmrec_run: Program, scripted: list[ScriptedModel]) -> None:
    found = json.loads(llmrec_run("models", "list", "--json").out)
    models = [kind["specification"] for kind in found["models"]]
    embedders = [kind["specification"] for kind in found["embedders"]]
    assert models == ["embedded", "llama-cpp:PATH", "openai:NAME@URL", "scripted:…"]
    assert embedders == ["wordllama", "llama-cpp:PATH"]
    listed_models, _, listed_embedders = llmrec_run("models", "list").out.partition("Embedders")
    assert all(name in listed_models for name in models)
    assert all(name in listed_embedders for name in embedders)


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Checks a tiny file with a build of llama.cpp that is said to be like this, on eight cores."""
    pytest.importorskip("llama_cpp")
    pytest.importorskip("gguf")
    from llmrec.llm import llama_bindings, local_facts
    from tests.llm.tiny_gguf import write_tiny_gguf

    path = write_tiny_gguf(tmp_path / "tiny.gguf", half=True)
    monkeypatch.setattr(llama_bindings, "usable_threads", lambda: 8)
    monkeypatch.setattr(local_facts, "cpu_quota", lambda: None)

    def run(build: BuildReport, **settings: Any) -> Any:
        monkeypatch.setattr(llama_build, "inspect_build", lambda cache_dir, **options: build)
        given = {"model": f"llama-cpp:{path}", "cache_dir": tmp_path, "threads": 8, **settings}
        return check_model(Settings(**given), lambda stage: None)

    return run


def test_what_is_known_of_a_local_model(local: Any, tmp_path: Path) -> None:
    report = local(SOUND)
    assert report.local.processor
    assert report.local.instructions_used == ("AVX", "AVX2")
    assert report.local.instructions_unused == ()
    assert report.local.amx == "none"
    assert report.local.repacking == "at work"
    assert (report.local.threads, report.local.usable_cores) == (8, 8)
    assert report.local.file.path == str(tmp_path / "tiny.gguf")
    assert report.local.file.bytes == (tmp_path / "tiny.gguf").stat().st_size
    assert report.local.file.weights == "F16"
    assert report.local.file.trained_context == 2048
    assert report.local.prepared is None
    assert report.peak_memory_bytes > 10_000_000
    assert report.speed("prefill") > 0
    assert report.speed("scoring") > 0
    assert report.speed("generation") > 0
    assert report.speed("constrained generation") > 0
    assert named(report, "independent scores").passed
    assert named(report, "cancelling").passed
    # Random weights do not know where Paris is, but whatever they prefer is told.
    assert "Paris" in named(report, "scoring").detail
    assert not {"LLMREC_CONTEXT_LENGTH", "LLMREC_THREADS", "build"} & set(advised(report).split())


def test_a_build_that_is_not_safe_shows_its_whole_advice(local: Any) -> None:
    report = local(UNSAFE)
    assert report.local.repacking == "unsafe"
    assert report.local.amx == "idle"
    assert report.local.instructions_unused == ("amx_int8",)
    assert report.local.finding == UNSAFE_FINDING
    assert report.changes[0].command == rebuild_line(with_tile_header=True)
    assert f"{report.changes[0].sentence} {report.changes[0].command}" == UNSAFE.advice
    assert len(report.trials) == 5


def test_amx_at_work(local: Any) -> None:
    report = local(SOUND.model_copy(update={"buffers": ("AMX",), "cpu_features": ("avx", "amx_int8")}))
    assert report.local.amx == "at work"
    assert report.local.repacking == "at work"


def test_a_build_that_does_not_run_is_not_opened(local: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "open_model", lambda *_: pytest.fail("it was opened"))
    report = local(DEAD)
    assert not report.serves
    assert report.advice == DEAD.advice
    assert [change.command for change in report.changes] == [rebuild_line(with_tile_header=False)]
    assert report.trials == ()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"threads": 9}, "set it to 8 or leave it unset"),
        ({"threads": 3}, "leave it unset to use them all"),
        ({"context_length": 512}, "trained with up to 2,048"),
    ],
)
def test_settings_that_hold_a_local_model_back_are_told(local: Any, settings: Any, words: str) -> None:
    assert words in advised(local(SOUND, **settings))


@pytest.mark.parametrize("threads", [4, 8, None])
def test_threads_that_fit_are_not_mentioned(local: Any, threads: int | None) -> None:
    report = local(SOUND, threads=threads)
    assert report.local.threads == (threads or 8)
    assert "LLMREC_THREADS" not in advised(report)


@pytest.mark.parametrize(
    ("quota", "threads", "words"),
    [(2.5, 8, "set LLMREC_THREADS to 2"), (0.5, None, "set LLMREC_THREADS to 1"), (2.5, 3, ""), (8.0, 8, "")],
)
def test_a_container_that_gets_less_than_its_cores_is_told(
    local: Any, monkeypatch: pytest.MonkeyPatch, quota: float, threads: int | None, words: str
) -> None:
    monkeypatch.setattr("llmrec.llm.local_facts.cpu_quota", lambda: quota)
    report = local(SOUND, threads=threads)
    assert report.local.cpu_quota == quota
    assert words in advised(report)
    assert ("LLMREC_THREADS" in advised(report)) == bool(words)


def test_weights_of_few_bits_want_repacking(local: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rounded = GgufFacts(path="/m.gguf", bytes=1, weights="Q4_K_M", trained_context=None)
    monkeypatch.setattr("llmrec.llm.local_facts.inspect_gguf", lambda path: rounded)
    assert "weights" not in advised(local(SOUND))
    unrepacked = local(SOUND.model_copy(update={"buffers": ("CPU_Mapped",)}))
    assert unrepacked.local.repacking == "not built in"
    assert "the weights are Q4_K_M" in advised(unrepacked)


def test_nothing_is_written_where_people_are_remembered(local: Any, tmp_path: Path) -> None:
    local(SOUND, prefix_folder=tmp_path / "people")
    assert not (tmp_path / "people").exists()


@pytest.mark.parametrize("columns", ["60", "80", "100"])
def test_a_line_to_copy_stays_in_one_piece(
    llmrec_run: Program, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    pytest.importorskip("llama_cpp")
    monkeypatch.setattr(llama_build, "inspect_build", lambda cache_dir, **options: DEAD)
    monkeypatch.setenv("COLUMNS", columns)
    line = rebuild_line(with_tile_header=False)
    checked = llmrec_run("models", "check")
    assert checked.code == 1
    assert line in checked.out.splitlines()
    assert line in checked.error
    assert max(len(row) for row in checked.out.splitlines() if row != line) <= int(columns)
    listed = llmrec_run("models", "list")
    assert listed.code == 0
    # For the embedded model, other files, and files of embedders.
    assert listed.out.splitlines().count(line) == 3
    assert listed.out.count("not ready") == 3


@pytest.mark.embedded
def test_the_embedded_model_serves(llmrec_process: Program) -> None:
    outcome = llmrec_process("models", "check", "--json")
    assert outcome.code == 0, outcome.err
    report = json.loads(outcome.out)
    assert report["serves"] is True
    assert report["strategy"] == "anchored"
    assert report["local"]["threads"] == 1
    assert report["local"]["prepared"] is True
    assert report["local"]["file"]["trained_context"] == 8192
    assert Path(report["local"]["file"]["path"]).stat().st_size == report["local"]["file"]["bytes"]
    assert all(trial["passed"] for trial in report["trials"]), report["trials"]
    speeds = {each["name"]: each["tokens_per_second"] for each in report["measurements"]}
    assert speeds["prefill"] > 10
    assert speeds["scoring"] > 10
    assert speeds["generation"] > 1
    assert speeds["constrained generation"] > 1
    assert 150e6 < report["peak_memory_bytes"] < 1.5e9
    human = llmrec_process("models", "check", COLUMNS="60")
    assert human.code == 0, human.err
    assert report["local"]["file"]["path"] in human.out.splitlines()
    assert "serves" in human.out.splitlines()
    assert "trying scoring" in human.err


@pytest.mark.embedded
def test_the_embedded_model_as_it_came_is_told(embedded_gguf: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    report = check_model(Settings(cache_dir=blocked / "cache", threads=1), lambda stage: None)
    assert report.serves
    assert report.local.prepared is False
    assert report.local.file.path == str(embedded_gguf)
    assert f"could not be prepared in {blocked / 'cache'}" in advised(report)
