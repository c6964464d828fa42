"""What can be known of a local model and its machine without computing with it."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from llmrec.errors import ModelError
from llmrec.llm import llama_bindings as bindings
from llmrec.llm.cpu import CPUINFO

PROCESS_STATUS = Path("/proc/self/status")
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
FLOAT_WEIGHTS = frozenset({"F32", "F16", "BF16"})


class GgufFacts(BaseModel):
    """What a GGUF tells of itself."""

    model_config = ConfigDict(frozen=True)

    path: str
    """The whole path of the file."""
    bytes: int
    """Its size."""
    weights: str | None = None
    """The form of most weights, in llama.cpp's words, for example `Q4_K_M` or `F16`; None when untold."""
    trained_context: int | None = None
    """Tokens of the longest text the model was trained with; None when untold."""

    @property
    def quantised(self) -> bool:
        """Whether the weights are known to be rounded to blocks of few bits."""
        return self.weights is not None and self.weights not in FLOAT_WEIGHTS


def inspect_gguf(path: Path) -> GgufFacts:
    """Read what a GGUF tells of itself; its weights are not loaded.

    Raises ModelError when llama.cpp is absent or cannot read the file.
    """
    bindings.check_gguf(path)
    llama_cpp = bindings.import_llama_cpp()
    log = bindings.log_collector(llama_cpp)
    log.take_errors()
    parameters = llama_cpp.llama_model_default_params()
    parameters.vocab_only = True
    model = llama_cpp.llama_model_load_from_file(os.fsencode(path), parameters)
    if not model:
        raise ModelError(
            f"llama.cpp cannot read {path} ({log.take_errors() or 'it gives no reason'}): fetch it again, "
            "or update llama-cpp-python"
        )
    try:
        architecture = bindings.metadata(llama_cpp, model, "general.architecture")
        form = _number(bindings.metadata(llama_cpp, model, "general.file_type"))
        return GgufFacts(
            path=str(path.absolute()),
            bytes=path.stat().st_size,
            weights=_name_of_form(llama_cpp, form) if form is not None else None,
            trained_context=_number(bindings.metadata(llama_cpp, model, f"{architecture}.context_length")),
        )
    finally:
        llama_cpp.llama_model_free(model)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _name_of_form(llama_cpp: Any, form: int) -> str | None:
    for name in dir(llama_cpp):
        head, _, form_name = name.partition("LLAMA_FTYPE_")
        if not head and form_name and getattr(llama_cpp, name) == form:
            return form_name.removeprefix("MOSTLY_").removeprefix("ALL_")
    return None


def processor_name(cpuinfo: Path = CPUINFO) -> str:
    """What the processor is called, for example `AMD EPYC 7B13`; where untold its kind, as `aarch64`."""
    try:
        with cpuinfo.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                name, _, value = line.partition(":")
                if name.strip().lower() == "model name" and value.strip():
                    return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cpu_quota(quota: Path = CPU_QUOTA) -> float | None:
    """How many cores' time the container of this process may take; None where nothing bounds it."""
    try:
        most, period = quota.read_text(encoding="ascii", errors="replace").split()
        return int(most) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def peak_memory(status: Path = PROCESS_STATUS) -> int | None:
    """Bytes of memory this process had at most, mapped files included; None where the system is silent."""
    try:
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name == "VmHWM":
                return int(value.split()[0]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    if sys.platform == "win32":
        return None
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
