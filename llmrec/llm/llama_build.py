"""Whether this build of llama.cpp is safe on this CPU: tried once, in another process, and remembered."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from llmrec.errors import ModelError
from llmrec.llm import llama_bindings as bindings
from llmrec.llm.cache_files import write_whole
from llmrec.llm.cpu import KERNELS, cpu_features, cpu_identity
from llmrec.llm.trial_process import Verdict, trial_command, try_out

logger = logging.getLogger(__name__)

# To be raised when the trial itself changes: what was found before is then found out anew.
TRIAL = 1
TRIAL_SECONDS = 60.0
LARGEST_LIBRARY_READ_WHOLE = 1 << 25
TILE_HEADER = Path(__file__).with_name("amx_tile_config.h")


class BuildReport(BaseModel):
    """What is known of the installed llama.cpp on this CPU."""

    model_config = ConfigDict(frozen=True)

    key: str
    """Identity of the build's libraries and of the CPU; empty when there are no libraries to read."""
    tried: bool
    """Whether it was found out; False where no process could be started for it, and caution decided."""
    runs: bool
    """Whether it works without repacked weights; where it does not, it must not be used here at all."""
    safe_with_repacking: bool
    """Whether it works with repacked weights (`use_extra_bufts`), which are faster."""
    finding: str = ""
    """What went wrong, for example `it died of SIGSEGV computing with repacked Q4_1 weights`."""
    build_features: tuple[str, ...] = ()
    """What the build was made for, in llama.cpp's words, for example `AVX2`."""
    cpu_features: tuple[str, ...] = ()
    """What the CPU has, in Linux's words, for example `avx2`; empty where that cannot be read."""
    missing_features: tuple[str, ...] = ()
    """Those of the CPU's that the build was not made for."""
    buffers: tuple[str, ...] = ()
    """What weights lie in with repacking, in llama.cpp's words, for example `CPU_REPACK` or `AMX`."""
    advice: str = ""
    """What to do for a build that runs, or runs faster; empty when nothing is to be gained."""

    @property
    def uses_amx(self) -> bool:
        """Whether quantised weights are multiplied by AMX: the build, the CPU and the system allow it."""
        return self.safe_with_repacking and "AMX" in self.buffers


def uses_repacking(cache_dir: Path) -> bool:
    """Whether models are to be loaded with repacked weights on this machine; to be asked before llama.cpp is.

    Raises ModelError, which says how to build llama.cpp anew, when it does not run here at all.
    """
    report = inspect_build(cache_dir)
    if not report.runs:
        raise ModelError(report.advice)
    return report.safe_with_repacking


def inspect_build(
    cache_dir: Path, *, command: Sequence[str] | None = None, seconds: float = TRIAL_SECONDS
) -> BuildReport:
    """Find out, or remember, whether the installed llama.cpp works on this CPU. It is not loaded for it.

    Where nothing is remembered in the cache folder for these libraries and this CPU, another process
    computes with every kind of weights, plain and repacked, for about a second; one that has not ended after
    `seconds` counts as hung. `command` starts that process, with a folder for its files added, and is meant
    for programs that embed Python: by default the interpreter of this process is started. Where none can
    be, the build is trusted unless the CPU has AMX, which common builds die of. An unsafe build is warned
    of when it is found out. Raises ModelError when llama.cpp is not installed.
    """
    key = _build_key()
    verdict = _recall(cache_dir, key)
    if verdict is None:
        verdict = try_out(command or trial_command(), seconds)
        # One that does not run is tried each time: it must not be refused for what was short for a moment.
        if verdict is not None and verdict.runs:
            _remember(cache_dir, key, verdict)
            if not verdict.safe_with_repacking:
                logger.warning("%s", _report(key, verdict).advice)
    return _report(key, verdict)


def _report(key: str, verdict: Verdict | None) -> BuildReport:
    present = cpu_features()
    if verdict is None:
        return BuildReport(
            key=key, tried=False, runs=True, safe_with_repacking=not bindings.has_amx(), cpu_features=present
        )
    built = tuple(_features_of(verdict.system))
    missing = tuple(feature for feature in present if built and KERNELS[feature] not in built)
    return BuildReport(
        key=key,
        tried=True,
        runs=verdict.runs,
        safe_with_repacking=verdict.safe_with_repacking,
        finding=verdict.finding,
        build_features=built,
        cpu_features=present,
        missing_features=missing,
        buffers=verdict.buffers,
        advice=_advice(verdict, missing, has_amx="amx_int8" in present or "AMX_INT8" in built),
    )


def _features_of(system: str) -> Iterator[str]:
    """What llama.cpp says of the CPU's part in, for example, `CUDA : ARCHS = 800 | CPU : AVX2 = 1 | `."""
    backend = "CPU"
    for part in system.split("|"):
        name, _, rest = part.rpartition(" : ")
        backend = name.strip() or backend
        feature, _, value = rest.partition("=")
        if backend == "CPU" and value.strip() not in {"", "0"}:
            yield feature.strip()


def _advice(verdict: Verdict, missing: tuple[str, ...], *, has_amx: bool) -> str:
    line = rebuild_line(with_tile_header=has_amx)
    if not verdict.runs:
        return (
            f"llama.cpp as it is installed does not work on this CPU ({verdict.finding}): "
            f"build it for this machine with {line}"
        )
    if not verdict.safe_with_repacking:
        gain = "one that reads prompts two to five times faster" if has_amx else "a faster one"
        return (
            f"llama.cpp is used without repacked weights, because with them {verdict.finding}: "
            f"build {gain} with {line}"
        )
    if missing:
        gain = "two to five times faster at reading prompts" if "amx_int8" in missing else "faster"
        return (
            f"this build of llama.cpp does not use {', '.join(missing)} of this CPU: "
            f"one that does is {gain}; build it with {line}"
        )
    return ""


def rebuild_line(*, with_tile_header: bool) -> str:
    """The command that builds llama.cpp for this machine, in the environment of this process."""
    python = shlex.quote(sys.executable or "python")
    line = (
        f"{python} -m pip install --force-reinstall --no-deps --no-cache-dir "
        "--no-binary llama-cpp-python llama-cpp-python"
    )
    if with_tile_header and os.name == "posix":
        flags = shlex.quote(f"-include {shlex.quote(str(TILE_HEADER))}")
        return f"CXXFLAGS={flags} {line}"
    return line


def _build_key() -> str:
    libraries = _libraries()
    if not libraries:
        return ""
    digest = hashlib.sha256(f"{TRIAL} {cpu_identity()}".encode())
    read = set()
    for path in libraries:
        status = path.stat()
        # Under the names that differ in their version alone lie copies.
        copy = (path.name.split(".")[0], status.st_size)
        if copy in read:
            continue
        read.add(copy)
        digest.update(path.name.encode("utf-8", "replace"))
        if status.st_size <= LARGEST_LIBRARY_READ_WHOLE:
            digest.update(path.read_bytes())
        else:
            digest.update(f"{status.st_mtime_ns} {bindings.file_fingerprint(path)}".encode())
    return digest.hexdigest()[:20]


def _libraries() -> list[Path]:
    """The shared libraries that llama_cpp would load, which is not imported: that alone may be too much."""
    folder = os.environ.get("LLAMA_CPP_LIB_PATH")
    if folder is None:
        try:
            spec = importlib.util.find_spec("llama_cpp")
        except ValueError:
            spec = None
        if spec is None or not spec.submodule_search_locations:
            # Says how to install it.
            bindings.import_llama_cpp()
            return []
        folder = str(Path(next(iter(spec.submodule_search_locations))) / "lib")
    try:
        return sorted(
            path
            for path in Path(folder).iterdir()
            if {".so", ".dylib", ".dll"} & set(path.suffixes) and path.is_file()
        )
    except OSError:
        return []


def _recall(cache_dir: Path, key: str) -> Verdict | None:
    if not key:
        return None
    try:
        return Verdict.model_validate_json(_memory(cache_dir, key).read_bytes())
    except (OSError, ValidationError):
        return None


def _remember(cache_dir: Path, key: str, verdict: Verdict) -> None:
    if not key:
        return
    path = _memory(cache_dir, key)
    try:
        write_whole(path, verdict.model_dump_json(indent=1))
    except OSError as error:
        logger.debug("what the trial of llama.cpp found is not remembered in %s: %s", path, error)


def _memory(cache_dir: Path, key: str) -> Path:
    return cache_dir / f"llama-build-{key}.json"
