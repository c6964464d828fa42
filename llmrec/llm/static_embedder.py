"""The small default embedder: the static vectors that the package wordllama carries, read from its files."""

from __future__ import annotations

import importlib.util
import json
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from llmrec.errors import ModelError
from llmrec.llm.embedder import FloatMatrix, checked_texts, unit_rows
from llmrec.llm.llama_bindings import file_fingerprint

PACKAGE = "wordllama"
VECTORS_FILE = Path("weights") / "l2_supercat_256.safetensors"
TOKENIZER_FILE = Path("tokenizers") / "l2_supercat_tokenizer_config.json"
TENSOR = "embedding.weight"
LONGEST_HEADER = 1 << 20
# Changes when the same files give other vectors than before.
RECIPE = 1
# Tokens whose vectors are gathered at a time: 8 MB.
GATHERED_TOKENS = 8192
NOT_INSTALLED = "the embedder wordllama is not installed: run pip install 'llmrec[embeddings]'"

# What says nothing: parts of characters the vocabulary lacks, and white space alone.
MUTE_TOKEN = re.compile(r"<0x[0-9A-F]{2}>|▁+")


def find_vector_files() -> tuple[Path, Path]:
    """Where the package wordllama keeps its vectors and its tokenizer; the package is not imported.

    Raises ModelError when it is not installed or holds no such files.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None:
        raise ModelError(NOT_INSTALLED)
    for folder in spec.submodule_search_locations or []:
        vectors, tokenizer = Path(folder) / VECTORS_FILE, Path(folder) / TOKENIZER_FILE
        if vectors.is_file() and tokenizer.is_file():
            return vectors, tokenizer
    raise ModelError(
        "the installed wordllama holds no 256-dimension vectors: run "
        "pip install --force-reinstall 'wordllama>=0.2.2'"
    )


def check_installed() -> None:
    """Raise ModelError unless everything the embedder needs is installed."""
    find_vector_files()
    if importlib.util.find_spec("tokenizers") is None:
        raise ModelError(NOT_INSTALLED)


class StaticEmbedder:
    """One vector of 256 numbers for each of 32,000 pieces of words; a text is the mean of its pieces.

    No network is touched, and the package wordllama itself is not imported: doing so would set up logging
    for the whole program. Order and context of words play no part. Made for English; other languages in
    Latin or Cyrillic script, and 700 common Chinese characters, are known in part. White space and
    characters outside the vocabulary are left out, so that a text of which nothing is known is a row of
    zeros, where wordllama itself would return the mean of meaningless bytes. Apart from that, and from
    Unicode's NFKC, which makes one of several ways to write the same, the vectors are those of wordllama.
    """

    def __init__(self) -> None:
        """Open the files. The 16 MB of vectors are mapped into memory, and read as words need them.

        Raises ModelError when wordllama or tokenizers is not installed, or the files are damaged.
        """
        vectors, tokenizer = find_vector_files()
        self._tokenizer: Any = _read_tokenizer(tokenizer)
        self._vectors: npt.NDArray[np.float16] | None = _map_vectors(vectors)
        self._dimensions: int = self._vectors.shape[1]
        self._speaks = _tokens_that_speak(self._tokenizer, len(self._vectors))
        self._fingerprint = f"static{RECIPE}-{file_fingerprint(vectors)}-{file_fingerprint(tokenizer)}"

    @property
    def name(self) -> str:
        """What the embedder is called in reports."""
        return PACKAGE

    @property
    def fingerprint(self) -> str:
        """A hash of both files, and the number of the recipe that makes one vector of a text's pieces."""
        return self._fingerprint

    @property
    def dimensions(self) -> int:
        """The length of a vector: 256."""
        return self._dimensions

    @property
    def languages(self) -> tuple[str, ...]:
        """English."""
        return ("en",)

    def embed(self, texts: Sequence[str]) -> FloatMatrix:
        """Embed each text on its own, of any length. See Embedder.embed."""
        texts = checked_texts(texts)
        vectors = self._vectors
        if vectors is None:
            raise ModelError(f"the embedder {self.name} was closed: open it again")
        sums = np.zeros((len(texts), self._dimensions), dtype=np.float32)
        for row, text in enumerate(texts):
            tokens = self._tokens(text)
            for begin in range(0, len(tokens), GATHERED_TOKENS):
                part = vectors[tokens[begin : begin + GATHERED_TOKENS]]
                sums[row] += part.sum(axis=0, dtype=np.float32)
        return unit_rows(sums)

    def close(self) -> None:
        """Let go of the vectors."""
        self._vectors = None

    def _tokens(self, text: str) -> npt.NDArray[np.int64]:
        readable = text.encode("utf-8", "replace").decode("utf-8")
        words = " ".join(unicodedata.normalize("NFKC", readable).split())
        # One by one: a batch would start threads, of which a program that forks later is warned on stderr.
        tokens = np.asarray(self._tokenizer.encode(words, add_special_tokens=False).ids, dtype=np.int64)
        return tokens[self._speaks[tokens]]


def _read_tokenizer(path: Path) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise ModelError(NOT_INSTALLED) from error
    try:
        tokenizer = Tokenizer.from_file(str(path))
    # The library raises nothing narrower.
    except Exception as error:
        raise _damaged(path) from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _map_vectors(path: Path) -> npt.NDArray[np.float16]:
    """The matrix of a safetensors file with one tensor of half floats, without reading it all."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            tensor = json.loads(file.read(min(length, LONGEST_HEADER)))[TENSOR]
        rows, columns = (int(number) for number in tensor["shape"])
        if tensor["dtype"] != "F16" or rows < 1 or columns < 1:
            raise ValueError(tensor["dtype"])
        begin = 8 + length + tensor["data_offsets"][0]
        mapped = np.memmap(path, "<f2", mode="r", offset=begin, shape=(rows, columns))
        return mapped.view(np.ndarray)
    except (OSError, ValueError, KeyError, TypeError, IndexError, OverflowError) as error:
        raise _damaged(path) from error


def _tokens_that_speak(tokenizer: Any, size: int) -> npt.NDArray[np.bool_]:
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    speaks = np.zeros(max(vocabulary.values(), default=-1) + 1, dtype=np.bool_)
    special = set(tokenizer.get_added_tokens_decoder())
    for token, number in vocabulary.items():
        speaks[number] = number < size and number not in special and not MUTE_TOKEN.fullmatch(token)
    return speaks


def _damaged(path: Path) -> ModelError:
    return ModelError(
        f"{path} cannot be read as wordllama wrote it: run pip install --force-reinstall 'wordllama>=0.2.2'"
    )
