"""What a benchmark ran on, and how its figures are shown."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path


def describe_machine() -> dict[str, str]:
    """What the figures were measured on."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [
            line.partition(":")[2].strip()
            for line in cpuinfo.read_text().splitlines()
            if "model name" in line
        ]
        name = f"{names[0]} × {len(names)}" if names else name
    return {
        "processor": name,
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "llama-cpp-python": version("llama-cpp-python"),
    }


def shown(values: Sequence[float], digits: int) -> str:
    """A median with the range of the values and their number; a single value as it is."""
    median = f"{statistics.median(values):.{digits}f}"
    if len(values) == 1:
        return median
    return f"{median} ({min(values):.{digits}f}–{max(values):.{digits}f}; {len(values)})"
