"""The part of llama.cpp's C interface that the local model uses, with errors that say what to do."""

from __future__ import annotations

import collections
import ctypes
import hashlib
import logging
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llmrec.errors import ModelError

logger = logging.getLogger("llmrec.llm.llama_cpp")

GGUF_MAGIC = b"GGUF"
SAMPLED_BLOCKS = 64
SAMPLED_BLOCK_BYTES = 1 << 16
LOG_LEVEL_ERROR = 4
SPINS = "2000"
NO_VOCABULARY = 0


def import_llama_cpp() -> Any:
    """Import llama_cpp, or raise ModelError that says how to install it."""
    # GNU OpenMP lets waiting threads spin for milliseconds. On a machine that is busy otherwise, work becomes
    # many times slower; never to spin makes it half as fast on one that is not. A short while is best in
    # both. It is read once, when OpenMP is loaded; a user's own choice stands.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    try:
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
    return llama_cpp


class LogCollector:
    """Sends llama.cpp's log to Python's logging, and remembers its last errors for messages of ours."""

    def __init__(self, llama_cpp: Any) -> None:
        self._recent: collections.deque[str] = collections.deque(maxlen=8)
        self._callback = llama_cpp.llama_log_callback(self._receive)
        llama_cpp.llama_log_set(self._callback, ctypes.c_void_p(0))

    def _receive(self, level: int, text: bytes, _user_data: Any) -> None:
        line = text.decode("utf-8", "replace").rstrip()
        if line and level == LOG_LEVEL_ERROR:
            self._recent.append(line)
        if line:
            logger.debug("%s", line)

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
    """Hash a model file by its size and evenly spaced blocks, which costs milliseconds for gigabytes."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
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


def load_model(llama_cpp: Any, path: Path) -> Any:
    """Map a GGUF into memory and return llama.cpp's pointer to it. Raises ModelError when it cannot."""
    check_gguf(path)
    log = log_collector(llama_cpp)
    log.take_errors()
    parameters = llama_cpp.llama_model_default_params()
    parameters.use_extra_bufts = not has_amx()
    model = llama_cpp.llama_model_load_from_file(os.fsencode(path), parameters)
    if not model:
        raise ModelError(
            f"llama.cpp cannot load {path} ({log.take_errors() or 'it gives no reason'}): the file is "
            "damaged or incomplete, or of a kind this llama.cpp does not know; fetch it again, or update "
            "llama-cpp-python"
        )
    # Asked to cut a text without a vocabulary, llama.cpp ends the process.
    wordless = llama_cpp.llama_vocab_type(llama_cpp.llama_model_get_vocab(model)) == NO_VOCABULARY
    if wordless or llama_cpp.llama_model_has_encoder(model) or not llama_cpp.llama_model_has_decoder(model):
        llama_cpp.llama_model_free(model)
        raise ModelError(f"{path} holds no model that writes text: give the GGUF of an instruct model")
    return model


def open_context(
    llama_cpp: Any, model: Any, *, context_length: int, batch: int, sequences: int, threads: int
) -> Any:
    """Make a context whose sequences share one key-value cache. Raises ModelError when it cannot."""
    parameters = llama_cpp.llama_context_default_params()
    parameters.n_ctx = context_length
    parameters.n_batch = batch
    parameters.n_ubatch = batch
    parameters.n_seq_max = sequences
    parameters.kv_unified = True
    parameters.n_threads = threads
    parameters.n_threads_batch = threads
    parameters.no_perf = True
    context = llama_cpp.llama_init_from_model(model, parameters)
    if context and not llama_cpp.llama_get_memory(context):
        llama_cpp.llama_free(context)
        raise ModelError("the model keeps no memory of a text, as models that only embed do: give another")
    if not context:
        raise ModelError(
            f"llama.cpp cannot make a context of {context_length} tokens "
            f"({log_collector(llama_cpp).take_errors() or 'it gives no reason'}): "
            "free some memory or lower the context length (LLMREC_CONTEXT_LENGTH)"
        )
    return context


def metadata(llama_cpp: Any, model: Any, key: str) -> str | None:
    """One value of the GGUF's metadata, or None."""
    size = 1 << 17
    buffer = ctypes.create_string_buffer(size)
    count = llama_cpp.llama_model_meta_val_str(model, key.encode(), buffer, size)
    return buffer.value.decode("utf-8", "replace") if count >= 0 else None


class Vocabulary:
    """How a model cuts text into tokens."""

    def __init__(self, llama_cpp: Any, model: Any) -> None:
        self._llama_cpp = llama_cpp
        self.raw = llama_cpp.llama_model_get_vocab(model)
        self.size: int = llama_cpp.llama_vocab_n_tokens(self.raw)
        self.first: int = llama_cpp.llama_vocab_bos(self.raw)
        """The token a text begins with; negative when there is none."""
        self.adds_first: bool = self.first >= 0 and llama_cpp.llama_vocab_get_add_bos(self.raw)
        """Whether every text must begin with it."""
        self.first_text = self._written(self.first)
        """How a chat template writes the first token; empty when there is none."""
        self.last_text = self._written(llama_cpp.llama_vocab_eos(self.raw))
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

    def _cut(self, text: str, *, special: bool) -> list[int]:
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        tokens = (self._llama_cpp.llama_token * room)()
        count = self._llama_cpp.llama_tokenize(self.raw, data, len(data), tokens, room, False, special)
        if count < 0:
            raise ModelError(f"llama.cpp cannot cut a text of {len(data)} bytes into tokens")
        return list(tokens[:count])

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
        return bool(self._llama_cpp.llama_vocab_is_eog(self.raw, token))

    def _written(self, token: int) -> str:
        if token < 0:
            return ""
        text: bytes = self._llama_cpp.llama_vocab_get_text(self.raw, token)
        return text.decode("utf-8", "replace")


class Batch:
    """A llama_batch that is filled by rows and freed by hand."""

    def __init__(self, llama_cpp: Any, capacity: int) -> None:
        self._llama_cpp = llama_cpp
        self.raw = llama_cpp.llama_batch_init(capacity, 0, 1)

    def fill(self, rows: Sequence[tuple[int, int, int, bool]]) -> None:
        """Set the rows: token, position, sequence, and whether logits are wanted."""
        raw = self.raw
        raw.n_tokens = len(rows)
        for index, (token, position, sequence, wanted) in enumerate(rows):
            raw.token[index] = token
            raw.pos[index] = position
            raw.n_seq_id[index] = 1
            raw.seq_id[index][0] = sequence
            raw.logits[index] = wanted

    def free(self) -> None:
        """Give the memory back."""
        self._llama_cpp.llama_batch_free(self.raw)
