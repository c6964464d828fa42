from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from llmrec.errors import ModelError
from llmrec.llm.local_facts import GgufFacts, cpu_quota, inspect_gguf, peak_memory, processor_name


@pytest.mark.parametrize(("half", "weights"), [(True, "F16"), (False, "F32")])
def test_a_file_tells_its_form(gguf_of: Callable[..., Path], half: bool, weights: str) -> None:
    path = gguf_of(half=half)
    facts = inspect_gguf(path)
    assert facts.path == str(path)
    assert facts.bytes == path.stat().st_size
    assert facts.weights == weights
    assert facts.trained_context == 2048
    assert not facts.quantised


def test_the_context_is_found_whatever_the_architecture(gguf_of: Callable[..., Path]) -> None:
    assert inspect_gguf(gguf_of(architecture="lfm2")).trained_context == 2048


def test_a_relative_path_is_told_whole(tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny_gguf.parent)
    assert inspect_gguf(Path(tiny_gguf.name)).path == str(tiny_gguf)


@pytest.mark.embedded
def test_the_form_of_the_carried_model(embedded_gguf: Path) -> None:
    pytest.importorskip("llama_cpp")
    facts = inspect_gguf(embedded_gguf)
    assert facts.weights == "Q4_1"
    assert facts.quantised
    assert facts.trained_context == 8192


@pytest.mark.parametrize("weights", ["BF16", "F32", None])
def test_floats_and_the_unknown_are_not_quantised(weights: str | None) -> None:
    assert not GgufFacts(path="m", bytes=1, weights=weights).quantised


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp")
    with pytest.raises(ModelError, match="there is no model file"):
        inspect_gguf(tmp_path / "none.gguf")
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(20))
    with pytest.raises(ModelError, match=r"cannot read .*broken\.gguf.*: fetch it again"):
        inspect_gguf(broken)


def test_a_processor_is_called_by_its_name(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(
        "processor : 0\nmodel name\t: Some CPU @ 2.00GHz: fast\nflags : avx\n", encoding="ascii"
    )
    assert processor_name(cpuinfo) == "Some CPU @ 2.00GHz: fast"
    cpuinfo.write_text("processor : 0\nFeatures : asimd\n", encoding="ascii")
    assert processor_name(cpuinfo)
    assert processor_name(tmp_path / "none") == processor_name(cpuinfo)


@pytest.mark.parametrize(
    ("text", "cores"), [("250000 100000\n", 2.5), ("max 100000\n", None), ("", None), ("1 0\n", None)]
)
def test_what_bounds_a_container(tmp_path: Path, text: str, cores: float | None) -> None:
    (tmp_path / "cpu.max").write_text(text, encoding="ascii")
    assert cpu_quota(tmp_path / "cpu.max") == cores
    assert cpu_quota(tmp_path / "none") is None


def test_the_most_memory_is_told_in_bytes(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nVmPeak:\t 999 kB\nVmHWM:\t  1234 kB\n", encoding="ascii")
    assert peak_memory(status) == 1234 * 1024


@pytest.mark.skipif(os.name != "posix", reason="the system does not tell")
def test_where_there_is_no_status_the_system_is_asked(tmp_path: Path) -> None:
    found = peak_memory(tmp_path / "none")
    assert found is not None
    assert 5_000_000 < found < 64_000_000_000
