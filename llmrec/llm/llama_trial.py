"""Tries llama.cpp out in a process of its own, which may die of it; `trial_process` starts and judges it."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from llmrec.llm import llama_bindings as bindings
from llmrec.llm.llama_batch import Batch

FloatMatrix = npt.NDArray[np.float32]
Tell = Callable[..., None]

# The widths that the kernels for repacked weights ask for: K-quants come in blocks of 256.
WIDTH = 256
VOCABULARY = 256
HEADS = 4
CONTEXT = 64
# More rows than the largest tile, a single one, and a remainder.
BATCHES = (40, 1, 3)
THREADS = 4

# What llama.cpp's kernels for extra buffers take, by its numbers for file types.
WEIGHTS = {"F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q4_K": 15, "Q5_K": 17, "Q6_K": 18, "IQ4_XS": 30}

BUFFER = re.compile(r"(\S+) +model buffer size")

# Root mean squares of differences, as parts of the root mean square of the logits. Four bits for a weight
# cost 0.3 of it, repacking 0.004; rubbish is at 1.4.
LARGEST_ROUNDING = 0.7
LARGEST_REPACKING = 0.1


def main(folder: str) -> None:
    """Compute with every kind of weights, first as they are and then repacked, and tell each step.

    One JSON object a line goes to the standard output: `started`, `system` (what the build says of itself),
    `computing` before each step that may end the process, `wrong` for numbers that cannot be right,
    `buffers` for what the weights lay in, and at last `done`, or `failed` where the trial itself could not
    be made. Files are written into the folder.
    """
    _leave_no_core_file()
    # What a library prints must not fall between the lines.
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def tell(step: str, **details: object) -> None:
        output.write(json.dumps({"step": step, **details}) + "\n")
        output.flush()

    tell("started")
    try:
        _try_out(Path(folder), tell)
    except Exception as error:  # An error of Python, a full disk for one, is no fault of the build.
        tell("failed", text=f"{type(error).__name__}: {error}")
        return
    tell("done")


def _try_out(folder: Path, tell: Tell) -> None:
    llama_cpp = bindings.import_llama_cpp()
    log: list[str] = []
    callback = llama_cpp.llama_log_callback(
        lambda _level, line, _: log.append(line.decode("utf-8", "replace"))
    )
    llama_cpp.llama_log_set(callback, ctypes.c_void_p(0))
    tell("system", text=llama_cpp.llama_print_system_info().decode("utf-8", "replace"))
    original = folder / "F32.gguf"
    write_model(original)
    tell("computing", weights="F32", repacked=False)
    exact = compute(llama_cpp, original, repack=False)
    plain = {}
    for weights, file_type in WEIGHTS.items():
        tell("computing", weights=weights, repacked=False)
        path = folder / f"{weights}.gguf"
        _quantize(llama_cpp, original, path, file_type)
        plain[weights] = compute(llama_cpp, path, repack=False)
        if not agree(plain[weights], exact, LARGEST_ROUNDING):
            tell("wrong", weights=weights, repacked=False)
    log.clear()
    for weights, expected in plain.items():
        tell("computing", weights=weights, repacked=True)
        repacked = compute(llama_cpp, folder / f"{weights}.gguf", repack=True)
        if not agree(repacked, expected, LARGEST_REPACKING):
            tell("wrong", weights=weights, repacked=True)
    tell("buffers", names=sorted(set(BUFFER.findall("".join(log)))))


def agree(found: FloatMatrix, expected: FloatMatrix, largest: float) -> bool:
    """Whether both are finite and differ by at most `largest` of the root mean square of the expected."""
    if not (np.isfinite(found).all() and np.isfinite(expected).all()):
        return False
    return bool(np.sqrt(np.mean((found - expected) ** 2)) <= largest * np.sqrt(np.mean(expected**2)))


def compute(llama_cpp: Any, path: Path, *, repack: bool) -> FloatMatrix:
    """The logits of every token of a few batches, on the CPU, with or without repacked weights."""
    parameters = llama_cpp.llama_model_default_params()
    parameters.use_extra_bufts = repack
    parameters.n_gpu_layers = 0
    # A list that is ended by null, of no graphics processors.
    no_devices = (ctypes.c_void_p * 1)(None)
    parameters.devices = ctypes.cast(no_devices, dict(parameters._fields_).get("devices", ctypes.c_void_p))
    model = llama_cpp.llama_model_load_from_file(os.fsencode(path), parameters)
    if not model:
        raise RuntimeError(f"the model of weights {path.stem} does not load")
    with contextlib.ExitStack() as stack:
        stack.callback(llama_cpp.llama_model_free, model)
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = CONTEXT
        parameters.n_threads = parameters.n_threads_batch = min(THREADS, bindings.usable_threads())
        parameters.offload_kqv = parameters.op_offload = False
        context = llama_cpp.llama_init_from_model(model, parameters)
        if not context:
            raise RuntimeError("no context can be made")
        stack.callback(llama_cpp.llama_free, context)
        width = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
        return np.concatenate(list(_decode_all(llama_cpp, context, width)))


def _decode_all(llama_cpp: Any, context: Any, width: int) -> Iterator[FloatMatrix]:
    batch = Batch(llama_cpp, max(BATCHES))
    position = 0
    for rows in BATCHES:
        batch.fill([(place * 37 % VOCABULARY, place, 0, True) for place in range(position, position + rows)])
        code = llama_cpp.llama_decode(context, batch.raw)
        if code != 0:
            raise RuntimeError(f"llama_decode gave code {code}")
        logits = np.ctypeslib.as_array(llama_cpp.llama_get_logits(context), (rows, width))
        yield np.array(logits, dtype=np.float32)
        position += rows


def _quantize(llama_cpp: Any, source: Path, target: Path, file_type: int) -> None:
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = file_type
    parameters.nthread = 1
    parameters.pure = True
    code = llama_cpp.llama_model_quantize(os.fsencode(source), os.fsencode(target), ctypes.byref(parameters))
    if code != 0:
        raise RuntimeError(f"llama_model_quantize gave code {code} for {target.stem}")


def write_model(path: Path) -> None:
    """Write a llama of one layer with random weights and no vocabulary, about 2 MB, as a GGUF."""
    generator = np.random.default_rng(0)
    tensors = {"token_embd": generator.standard_normal((VOCABULARY, WIDTH))}
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        tensors[f"blk.0.{name}"] = generator.standard_normal((WIDTH, WIDTH))
    arrays = {f"{name}.weight": (matrix / np.sqrt(WIDTH)).astype("<f4") for name, matrix in tensors.items()}
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        arrays[f"{name}.weight"] = np.ones(WIDTH, dtype="<f4")
    facts: dict[str, str | int | float] = {
        "general.architecture": "llama",
        "tokenizer.ggml.model": "no_vocab",
        "llama.vocab_size": VOCABULARY,
        "llama.context_length": CONTEXT,
        "llama.embedding_length": WIDTH,
        "llama.feed_forward_length": WIDTH,
        "llama.block_count": 1,
        "llama.attention.head_count": HEADS,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": WIDTH // HEADS,
    }
    path.write_bytes(_gguf(facts, arrays))


def _gguf(facts: dict[str, str | int | float], arrays: dict[str, Any]) -> bytes:
    """A GGUF file, version 3. All arrays are float32 and a multiple of 32 bytes, the alignment, in size."""

    def string(text: str) -> bytes:
        data = text.encode()
        return struct.pack("<Q", len(data)) + data

    def value(fact: str | float) -> bytes:
        if isinstance(fact, str):
            return struct.pack("<I", 8) + string(fact)
        return struct.pack("<If", 6, fact) if isinstance(fact, float) else struct.pack("<II", 4, fact)

    head = b"GGUF" + struct.pack("<IQQ", 3, len(arrays), len(facts))
    head += b"".join(string(key) + value(fact) for key, fact in facts.items())
    offset = 0
    for name, array in arrays.items():
        shape: Sequence[int] = array.shape[::-1]
        head += string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, offset)
        offset += array.nbytes
    return head + bytes(-len(head) % 32) + b"".join(array.tobytes() for array in arrays.values())


def _leave_no_core_file() -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
