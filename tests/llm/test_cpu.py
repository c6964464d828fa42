"""Reading what the processor can do, from files like those of Linux."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmrec.llm import cpu
from llmrec.llm.cpu import KERNELS, cpu_features, cpu_identity

XEON = """processor\t: 0
model name\t: A processor with avx512f in its name
flags\t\t: fpu sse2 ssse3 fma avx f16c avx2 bmi2 avx512f avx512vbmi avx512_vnni avx512_bf16 amx_tile amx_int8

processor\t: 1
flags\t\t: fpu sse2
"""
GRAVITON = """processor\t: 0
BogoMIPS\t: 2100.00
Features\t: fp asimd evtstrm aes fphp asimdhp asimddp sve i8mm bf16
"""


def test_an_intel_processor(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(XEON)
    assert cpu_features(tmp_path / "cpuinfo") == (
        *("ssse3", "avx", "avx2", "f16c", "fma", "bmi2", "avx512f", "avx512vbmi"),
        *("avx512_vnni", "avx512_bf16", "amx_int8"),
    )


def test_an_arm_processor(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(GRAVITON)
    found = cpu_features(tmp_path / "cpuinfo")
    assert found == ("asimd", "asimddp", "asimdhp", "i8mm", "sve")
    assert [KERNELS[feature] for feature in found] == ["NEON", "DOTPROD", "FP16_VA", "MATMUL_INT8", "SVE"]


@pytest.mark.parametrize("content", [None, b"", b"vendor_id : x\n", b"flags\n", b"flags : \xff\xfe\n"])
def test_what_cannot_be_read_is_left_out(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "cpuinfo").write_bytes(content)
    assert cpu_features(tmp_path / "cpuinfo") == ()


def test_the_identity_tells_processors_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    here = cpu_identity()
    assert here == cpu_identity()
    monkeypatch.setattr(cpu, "cpu_features", lambda: ("amx_int8",))
    with_amx = cpu_identity()
    monkeypatch.setattr(cpu.platform, "machine", lambda: "s390x")
    assert len({here, with_amx, cpu_identity()}) == 3
