"""What this machine's processor can do, as far as llama.cpp has code for it."""

from __future__ import annotations

import platform
from pathlib import Path

KERNELS = {
    "ssse3": "SSSE3",
    "avx": "AVX",
    "avx2": "AVX2",
    "f16c": "F16C",
    "fma": "FMA",
    "bmi2": "BMI2",
    "avx_vnni": "AVX_VNNI",
    "avx512f": "AVX512",
    "avx512vbmi": "AVX512_VBMI",
    "avx512_vnni": "AVX512_VNNI",
    "avx512_bf16": "AVX512_BF16",
    "amx_int8": "AMX_INT8",
    "asimd": "NEON",
    "asimddp": "DOTPROD",
    "asimdhp": "FP16_VA",
    "i8mm": "MATMUL_INT8",
    "sve": "SVE",
}
"""By the name Linux gives to what a processor can do: what llama.cpp calls its code for it."""

CPUINFO = Path("/proc/cpuinfo")


def cpu_features(cpuinfo: Path = CPUINFO) -> tuple[str, ...]:
    """The keys of KERNELS that this processor has, in their order; empty where the system is not Linux."""
    try:
        # One processor of many is enough, and to read them all takes long on large machines.
        with cpuinfo.open(encoding="ascii", errors="replace") as file:
            for line in file:
                name, _, values = line.partition(":")
                if name.strip() in {"flags", "Features"}:
                    present = set(values.split())
                    return tuple(feature for feature in KERNELS if feature in present)
    except OSError:
        pass
    return ()


def cpu_identity() -> str:
    """Tells apart processors on which a build may behave differently."""
    return " ".join((platform.machine(), platform.processor(), *cpu_features()))
