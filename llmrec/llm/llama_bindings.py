"""The part of llama.cpp's C interface that the local model uses, with errors that say what to do."""

from __future__ import annotations

import collections
import contextlib
import ctypes
import hashlib
import importlib.metadata
import logging
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llmrec.errors import ModelError

logger = logging.getLogger("llmrec.llm.llama_cpp")

GGUF_MAGIC = b"GGUF"
BYTES = ctypes.POINTER(ctypes.c_uint8)
SAMPLED_BLOCKS = 64
SAMPLED_BLOCK_BYTES = 1 << 16
LOG_LEVEL_ERROR = 4
SPINS = "2000"
NO_VOCABULARY = 0
FLASH_ATTENTION_OFF = 0
METADATA_BYTES = 1 << 24


def import_llama_cpp() -> Any:
    """Import llama_cpp, or raise ModelError that says how to install it."""
    # GNU OpenMP lets waiting threads spin for milliseconds. On a machine that is busy otherwise, work becomes
    # many times slower; never to spin makes it half as fast on one that is not. A short while is best in
    # both. It is read once, when OpenMP is loaded; a user's own choice stands.
    spins = not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys()
    try:
        if spins:
            os.environ["GOMP_SPINCOUNT"] = SPINS
        import llama_cpp
    except ImportError as error:
        raise ModelError(
            "a local model needs llama.cpp: run pip install 'llmrec[local]', or use a server with "
            "model='openai:NAME@URL'"
        ) from error
    except (OSError, RuntimeError) as error:
        raise ModelError(
            f"llama.cpp is installed but does not load ({error}): reinstall it with "
            "pip install --force-reinstall --no-cache-dir llama-cpp-python"
        ) from error
    finally:
        # Other libraries and processes are none of ours.
        if spins:
            os.environ.pop("GOMP_SPINCOUNT", None)
    return llama_cpp


class LogCollector:
    """Sends llama.cpp's log to Python's logging, and remembers its last errors for messages of ours."""

    def __init__(self, llama_cpp: Any) -> None:
        self._llama_cpp = llama_cpp
        self._recent: collections.deque[str] = collections.deque(maxlen=8)
        self._callback = llama_cpp.llama_log_callback(self._receive)
        llama_cpp.llama_log_set(self._callback, ctypes.c_void_p(0))

    def _receive(self, level: int, text: bytes, _user_data: Any) -> None:
        line = text.decode("utf-8", "replace").rstrip()
        if line and level == LOG_LEVEL_ERROR:
            self._recent.append(line)
        if line:
            logger.debug("%s", line)

    @contextlib.contextmanager
    def muted(self) -> Iterator[None]:
        """Inside, nothing is received; a Ctrl-C would be lost in Python code that llama.cpp calls."""
        quiet = c_function("getpid", self._llama_cpp.llama_log_callback)
        if quiet is None:
            yield
            return
        self._llama_cpp.llama_log_set(quiet, ctypes.c_void_p(0))
        try:
            yield
        finally:
            self._llama_cpp.llama_log_set(self._callback, ctypes.c_void_p(0))

    def take_errors(self) -> str:
        """Return and forget the errors since the last call, the first one first, in one line."""
        lines = list(self._recent)
        self._recent.clear()
        return "; ".join(lines[:2])


_collectors: list[LogCollector] = []


def log_collector(llama_cpp: Any) -> LogCollector:
    """The process's one log collector: llama.cpp itself has a single callback for a process."""
    if not _collectors:
        _collectors.append(LogCollector(llama_cpp))
    return _collectors[0]


def library_version() -> str:
    """The version of llama-cpp-python, which decides how a model's state is laid out."""
    return importlib.metadata.version("llama-cpp-python")


def check_gguf(path: Path) -> None:
    """Raise ModelError unless the file exists and begins as a GGUF does."""
    try:
        with path.open("rb") as file:
            magic = file.read(len(GGUF_MAGIC))
    except FileNotFoundError:
        raise ModelError(f"there is no model file at {path}: give the path of a GGUF file") from None
    except IsADirectoryError:
        raise ModelError(f"{path} is a folder: give the path of a GGUF file in it") from None
    except OSError as error:
        raise ModelError(f"the model file {path} cannot be read: {error.strerror}") from error
    if magic != GGUF_MAGIC:
        raise ModelError(f"{path} is not a GGUF file: convert the model for llama.cpp, or give another file")


def file_fingerprint(path: Path) -> str:
    """Hash a model file by its size, its beginning, where what is not weights lies, and evenly spaced blocks.

    That costs milliseconds for gigabytes. What it does not see is a file of the same size in which few
    weights were changed.
    """
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(METADATA_BYTES))
        step = max(SAMPLED_BLOCK_BYTES, size // SAMPLED_BLOCKS)
        for offset in range(0, size, step):
            file.seek(offset)
            digest.update(file.read(SAMPLED_BLOCK_BYTES))
        file.seek(max(0, size - SAMPLED_BLOCK_BYTES))
        digest.update(file.read(SAMPLED_BLOCK_BYTES))
    return digest.hexdigest()[:20]


def has_amx() -> bool:
    """Whether this CPU has AMX, with which llama.cpp as gcc 12 builds it crashes on repacked weights."""
    if platform.system() != "Linux" or platform.machine() not in {"x86_64", "AMD64"}:
        return False
    try:
        return "amx_tile" in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return True


def usable_threads() -> int:
    """How many cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def load_model(llama_cpp: Any, path: Path, *, embeds: bool = False, repack: bool | None = None) -> Any:
    """Map a GGUF into memory and return llama.cpp's pointer to it; `embeds` when it need not write text.

    Raises ModelError when it cannot.
    """
    check_gguf(path)
    log = log_collector(llama_cpp)
    log.take_errors()
    parameters = llama_cpp.llama_model_default_params()
    parameters.use_extra_bufts = not has_amx() if repack is None else repack
    model = llama_cpp.llama_model_load_from_file(os.fsencode(path), parameters)
    if not model:
        raise ModelError(
            f"llama.cpp cannot load {path} ({log.take_errors() or 'it gives no reason'}): the file is "
            "damaged or incomplete, or of a kind this llama.cpp does not know; fetch it again, or update "
            "llama-cpp-python"
        )
    try:
        _check_kind(llama_cpp, model, path, embeds=embeds)
    except BaseException:
        llama_cpp.llama_model_free(model)
        raise
    return model


def _check_kind(llama_cpp: Any, model: Any, path: Path, *, embeds: bool) -> None:
    # Asked to cut a text without a vocabulary, llama.cpp ends the process.
    wordless = llama_cpp.llama_vocab_type(llama_cpp.llama_model_get_vocab(model)) == NO_VOCABULARY
    if wordless or llama_cpp.llama_model_has_encoder(model) or not llama_cpp.llama_model_has_decoder(model):
        if embeds:
            raise ModelError(f"{path} holds no model that embeds texts: give the GGUF of an embedding model")
        raise ModelError(f"{path} holds no model that writes text: give the GGUF of an instruct model")


def open_context(
    llama_cpp: Any,
    model: Any,
    *,
    context_length: int,
    batch: int,
    sequences: int,
    threads: int,
    outputs: int = 0,
    pooling: int | None = None,
) -> Any:
    """Make a context whose sequences share one key-value cache; with `pooling`, one that embeds.

    `outputs` bounds the tokens of a batch whose logits are taken; 0 is all. Raises ModelError when it cannot.
    """
    parameters = llama_cpp.llama_context_default_params()
    parameters.n_ctx = context_length
    parameters.n_batch = batch
    parameters.n_ubatch = batch
    parameters.n_outputs_max = outputs
    # On CPUs flash attention adds up in half floats: a score then moves by half a nat with the shape of the
    # batch, without it by some hundredths, and it is no faster.
    parameters.flash_attn_type = FLASH_ATTENTION_OFF
    parameters.n_seq_max = sequences
    parameters.kv_unified = True
    # Without it, models with windows forget what a shorter prefix would need, and do not say so.
    parameters.swa_full = True
    parameters.n_threads = threads
    parameters.n_threads_batch = threads
    parameters.no_perf = True
    if pooling is not None:
        parameters.embeddings = True
        parameters.pooling_type = pooling
    context = llama_cpp.llama_init_from_model(model, parameters)
    if not context:
        raise ModelError(
            f"llama.cpp cannot make a context of {context_length} tokens "
            f"({log_collector(llama_cpp).take_errors() or 'it gives no reason'}): "
            "free some memory or lower the context length (LLMREC_CONTEXT_LENGTH)"
        )
    try:
        if pooling is None and not llama_cpp.llama_get_memory(context):
            raise ModelError(
                "the model keeps no memory of a text, as models that only embed do: use it as the embedder "
                "(LLMREC_EMBEDDER=llama-cpp:PATH), and give an instruct model here"
            )
    except BaseException:
        llama_cpp.llama_free(context)
        raise
    return context


def metadata(llama_cpp: Any, model: Any, key: str) -> str | None:
    """One value of the GGUF's metadata, or None."""
    size = 1 << 14
    while True:
        buffer = ctypes.create_string_buffer(size)
        length = llama_cpp.llama_model_meta_val_str(model, key.encode(), buffer, size)
        if length < size:
            return buffer.value.decode("utf-8", "replace") if length >= 0 else None
        size = length + 1


class Vocabulary:
    """How a model cuts text into tokens."""

    def __init__(self, llama_cpp: Any, model: Any) -> None:
        self._llama_cpp = llama_cpp
        self.raw = llama_cpp.llama_model_get_vocab(model)
        self.size: int = llama_cpp.llama_vocab_n_tokens(self.raw)
        self.first: int = self._declared(model, "bos", llama_cpp.llama_vocab_bos(self.raw))
        """The token a text begins with; negative when there is none."""
        self._last = llama_cpp.llama_vocab_eos(self.raw)
        self._has_last = self._declared(model, "eos", self._last) >= 0
        self.adds_first: bool = self.first >= 0 and llama_cpp.llama_vocab_get_add_bos(self.raw)
        """Whether every text must begin with it."""
        self.first_text = self._written(self.first)
        """How a chat template writes the first token; empty when there is none."""
        self.last_text = self._written(self._last if self._has_last else -1)
        """How a chat template writes the token a text ends with; empty when there is none."""
        # Some vocabularies put a space before a text, where none is wanted between a prefix and what follows.
        self._seam = self._cut("\n", special=False)
        spaced = self._cut("a", special=False)
        self._adds_space = b"".join(self.bytes_of(token) for token in spaced).startswith(b" ")

    def tokenize(self, text: str, *, special: bool = False, continued: bool = False) -> list[int]:
        """Cut a text into tokens; control tokens are read as such only when `special` is true.

        `continued` is for a text that stands after another one and not at the beginning.
        """
        if continued and self._adds_space and text:
            tokens = self._cut(f"\n{text}", special=special)
            if tokens[: len(self._seam)] == self._seam:
                return tokens[len(self._seam) :]
            return self._cut(text.removeprefix(" "), special=special)
        return self._cut(text, special=special)

    def tokenize_whole(self, text: str) -> list[int]:
        """Cut a text into tokens, with those its model wants around a text; none in it is read as control."""
        return self._cut(text, special=False, whole=True)

    def _cut(self, text: str, *, special: bool, whole: bool = False) -> list[int]:
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        # Some vocabularies write one character out as several; how much room that takes is told.
        for _ in range(2):
            tokens = (self._llama_cpp.llama_token * room)()
            count = self._llama_cpp.llama_tokenize(self.raw, data, len(data), tokens, room, whole, special)
            if count >= 0:
                return list(tokens[:count])
            room = -count
        raise ModelError(f"llama.cpp cannot cut a text of {len(data)} bytes into tokens")

    def bytes_of(self, token: int) -> bytes:
        """The bytes a token stands for; empty for control tokens."""
        room = 256
        while True:
            buffer = ctypes.create_string_buffer(room)
            count = self._llama_cpp.llama_token_to_piece(self.raw, token, buffer, room, 0, False)
            if count >= 0:
                return buffer.raw[:count]
            room = -count

    def ends(self, token: int) -> bool:
        """Whether a token ends an answer."""
        return bool(
            self._llama_cpp.llama_vocab_is_eog(self.raw, token) and (self._has_last or token != self._last)
        )

    def endings(self) -> list[int]:
        """Every token that ends an answer."""
        return [token for token in range(self.size) if self.ends(token)]

    def _declared(self, model: Any, role: str, token: int) -> int:
        """The token, or -1 for an ordinary one: what a file does not tell, llama.cpp makes up."""
        if token < 0 or self._llama_cpp.llama_vocab_is_control(self.raw, token):
            return token
        told = metadata(self._llama_cpp, model, f"tokenizer.ggml.{role}_token_id")
        return token if told is not None else -1

    def _written(self, token: int) -> str:
        if token < 0:
            return ""
        text: bytes = self._llama_cpp.llama_vocab_get_text(self.raw, token)
        return text.decode("utf-8", "replace")


def c_function(name: str, kind: Any) -> Any:
    """A function of the C library as a callback of a kind, which may take arguments that it ignores."""
    try:
        library = ctypes.CDLL("msvcrt" if platform.system() == "Windows" else None)
        return ctypes.cast(getattr(library, name), kind)
    except (OSError, AttributeError):
        return None
