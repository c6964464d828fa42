"""What a model held after reading a text, kept so that it need not read the text again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import sys
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from llmrec.llm.cache_files import UNFINISHED_PREFIX, remove_unfinished
from llmrec.llm.prefix_files import SUFFIX, content_digest, forget_files, forgotten_at, read_header
from llmrec.llm.private_files import fault_of_private_folder

logger = logging.getLogger(__name__)

LEAST_TOKENS = 96
"""Fewer tokens are evaluated again sooner than a state is worth the place of a longer one."""
FOLDER_BYTES = 2_000_000_000
FORMAT = 1
# Without it, Windows would change line ends.
O_BINARY: int = getattr(os, "O_BINARY", 0)


@dataclass(frozen=True, eq=False)
class PrefixState:
    """The state of a sequence after its tokens."""

    tokens: tuple[int, ...]
    data: npt.NDArray[np.uint8]
    """llama.cpp's own bytes."""
    logits: npt.NDArray[np.float32] | None
    """Of what comes after the last token, where they are known: [vocabulary]."""

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return self.data.nbytes + (self.logits.nbytes if self.logits is not None else 0)


class PrefixStates:
    """States in memory, the least recently used go first; and in a folder, if one is given.

    The folder holds what people's texts were made of: it is made, and its files are, for the user alone to
    read, as private as the texts. Several processes may share it. One that is there already is used only
    where nobody else owns it or may write to it.
    """

    def __init__(
        self,
        *,
        most_bytes: int,
        folder: Path | None = None,
        fingerprint: str = "",
        folder_bytes: int = FOLDER_BYTES,
    ) -> None:
        """Keep at most `most_bytes` in memory and `folder_bytes` in the folder.

        `fingerprint` names the model and the library: states of others in the folder are left alone.
        """
        self._most_bytes = most_bytes
        self._states: list[PrefixState] = []
        self._files = _Folder(folder, fingerprint, folder_bytes) if folder is not None else None

    @property
    def outlive_the_process(self) -> bool:
        """Whether states are kept in a folder."""
        return self._files is not None and self._files.is_usable()

    def has_room_for(self, size: int) -> bool:
        """Whether a state of so many bytes would be kept: in memory, or, where that keeps none, in files."""
        if self._most_bytes or self._files is None:
            return size <= self._most_bytes
        return size <= self._files.most_bytes and self._files.is_usable()

    def keep(self, state: PrefixState) -> None:
        """Keep a state as the most recently used, and drop the oldest beyond the bound."""
        self._states = [kept for kept in self._states if kept.tokens != state.tokens]
        if not self.has_room_for(state.size):
            return
        self._use(state)
        if self._files is not None:
            self._files.write(state)

    def find(
        self, tokens: Sequence[int], *, whole: bool, beyond: int = 0, longest: int = sys.maxsize
    ) -> PrefixState | None:
        """The state that shares the longest beginning with the tokens, if that is longer than `beyond`.

        It is then the most recently used. With `whole`, only states that were taken after a beginning of
        the tokens serve. Those of more than `longest` tokens, which no such context can hold, never do.
        """
        best, reach = None, beyond
        for state in reversed(self._states):
            shared = _reach(state.tokens, tokens, whole=whole)
            if shared > reach and len(state.tokens) <= longest:
                best, reach = state, shared
        if self._files is not None:
            from_file = self._files.read_better(tokens, reach, whole=whole, longest=longest)
            if from_file is not None:
                best = from_file
        if best is not None:
            self._states = [kept for kept in self._states if kept is not best]
            self._use(best)
        return best

    def drop(self, state: PrefixState) -> None:
        """Forget a state that llama.cpp refused; its file stays for others, and is not used here again."""
        self._states = [kept for kept in self._states if kept is not state]
        if self._files is not None:
            self._files.refuse(state.tokens)

    def clear(self) -> None:
        """Forget what is in memory."""
        self._states = []

    def forget(self) -> int:
        """Forget what is in memory and in the folder, of every model; return how many states and files went.

        Other processes that use the folder do the same with their memory when they next ask
        `were_forgotten`. Raises StoreError when a file cannot be removed.
        """
        forgotten = len(self._states)
        self.clear()
        return forgotten + (self._files.forget() if self._files is not None else 0)

    def were_forgotten(self) -> bool:
        """Whether the folder was forgotten elsewhere since the last time; what is in memory then is, too.

        What was read before that must not be kept.
        """
        if self._files is None or not self._files.was_forgotten():
            return False
        self.clear()
        return True

    def _use(self, state: PrefixState) -> None:
        # One that is too large on its own must not drive the others out.
        if state.size > self._most_bytes:
            return
        self._states.append(state)
        size = sum(kept.size for kept in self._states)
        while size > self._most_bytes:
            size -= self._states.pop(0).size


def shared_length(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two texts share at their beginning."""
    count = min(len(one), len(other))
    if list(one[:count]) == list(other[:count]):
        return count
    return next(at for at in range(count) if one[at] != other[at])


def _reach(held: Sequence[int], tokens: Sequence[int], *, whole: bool) -> int:
    shared = shared_length(held, tokens)
    return 0 if whole and shared < len(held) else shared


class _Folder:
    """States as files: a line of JSON that tells what follows and the hash of both, then the bytes."""

    def __init__(self, path: Path, fingerprint: str, most_bytes: int) -> None:
        self._path = path
        self._model = hashlib.sha256(f"{FORMAT} {fingerprint}".encode()).hexdigest()
        self.most_bytes = most_bytes
        # Of a file that cannot be used, and perhaps not be removed: none.
        self._tokens: dict[str, tuple[int, ...]] = {}
        self._refused: set[str] = set()
        self._forgotten_at = forgotten_at(path)
        self._warned = False

    def is_usable(self) -> bool:
        """Whether nobody else can have put files into the folder; if somebody can, that is told once."""
        fault = fault_of_private_folder(self._path)
        if fault:
            self._warn(fault)
        return not fault

    def write(self, state: PrefixState) -> None:
        """Write a state whole or not at all; a full disk costs only the memory of it."""
        name = self._name(state.tokens)
        logits = state.logits if state.logits is not None else np.empty(0, np.float32)
        parts: list[npt.NDArray[Any]] = [
            np.array(state.tokens, np.int32),
            np.ascontiguousarray(logits),
            state.data,
        ]
        if state.size > self.most_bytes or not self.is_usable() or self._is_used(name):
            return
        counts = {"tokens": len(state.tokens), "logits": len(logits)}
        header = {**counts, "sha256": content_digest(self._model, counts, parts)}
        temporary = self._path / f"{UNFINISHED_PREFIX}{uuid.uuid4().hex}"
        try:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | O_BINARY, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(json.dumps(header).encode() + b"\n")
                for part in parts:
                    file.write(part.data)
            temporary.replace(self._path / name)
            self._tokens[name] = state.tokens
            if forgotten_at(self._path) != self._forgotten_at:
                self._discard(name)
            self._keep_bound()
        except OSError as error:
            # Forgetting removes what is not finished either, which is no fault.
            if forgotten_at(self._path) == self._forgotten_at:
                self._warn(error)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    def read_better(
        self, tokens: Sequence[int], reach: int, *, whole: bool, longest: int
    ) -> PrefixState | None:
        """The state in the folder that shares more than `reach` tokens, if any; a damaged one is removed."""
        if not self.is_usable():
            return None
        self._list()
        better = sorted(
            (shared, name)
            for name, held in self._tokens.items()
            if len(held) <= longest
            and name not in self._refused
            and (shared := _reach(held, tokens, whole=whole)) > max(reach, LEAST_TOKENS // 2)
        )
        for _, name in reversed(better):
            with self._reading(name):
                state = self._read(self._path / name)
                self._is_used(name)
                return state
        return None

    def forget(self) -> int:
        """Remove all states, and return how many files went. Raises StoreError."""
        self._tokens = {}
        try:
            return forget_files(self._path)
        finally:
            self.was_forgotten()

    def was_forgotten(self) -> bool:
        """Whether all states were removed by somebody since the last time."""
        before, self._forgotten_at = self._forgotten_at, forgotten_at(self._path)
        return before != self._forgotten_at

    def refuse(self, tokens: Sequence[int]) -> None:
        """Read the state of these tokens no more. Another process may have a context that takes it."""
        self._refused.add(self._name(tokens))

    def _is_used(self, name: str) -> bool:
        """Mark a file as used now; False when it is not there."""
        try:
            os.utime(self._path / name)
        except OSError:
            return False
        return name in self._refused or bool(self._tokens.get(name, True))

    def _warn(self, fault: object) -> None:
        if not self._warned:
            self._warned = True
            logger.warning("the states of prefixes are not kept in %s: %s", self._path, fault)

    def _discard(self, name: str) -> None:
        self._tokens[name] = ()
        with contextlib.suppress(OSError):
            (self._path / name).unlink(missing_ok=True)

    def _name(self, tokens: Sequence[int]) -> str:
        digest = hashlib.sha256(np.array(tokens, np.int32).tobytes()).hexdigest()[:32]
        return f"{self._model[:16]}-{digest}{SUFFIX}"

    def _list(self) -> None:
        """Learn the tokens of files that other processes, or earlier ones, wrote."""
        try:
            names = {path.name for path in self._path.glob(f"{self._model[:16]}-*{SUFFIX}")}
        except OSError:
            names = set()
        self._tokens = {name: held for name, held in self._tokens.items() if name in names}
        for name in names - self._tokens.keys():
            with self._reading(name), (self._path / name).open("rb") as file:
                count, _, _ = read_header(file)
                tokens = np.frombuffer(file.read(4 * count), np.int32)
                self._tokens[name] = tuple(tokens.tolist())

    def _read(self, path: Path) -> PrefixState:
        with path.open("rb") as file:
            tokens, logits, digest = read_header(file)
            body = file.read()
        data_at = 4 * (tokens + logits)
        if digest != content_digest(
            self._model, {"tokens": tokens, "logits": logits}, [np.frombuffer(body, np.uint8)]
        ):
            raise ValueError("its bytes are not those that were written")
        return PrefixState(
            tuple(np.frombuffer(body, np.int32, tokens).tolist()),
            np.frombuffer(body, np.uint8, offset=data_at),
            np.frombuffer(body, np.float32, logits, offset=4 * tokens) if logits else None,
        )

    @contextlib.contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        """Inside, what shows that a file is damaged removes it; one that another process removed is none."""
        try:
            yield
        except FileNotFoundError:
            self._tokens.pop(name, None)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            logger.warning("the kept state %s is not used and removed: %s", self._path / name, error)
            self._discard(name)

    def _keep_bound(self) -> None:
        """Remove the least recently used files beyond the bound, those of other models too."""
        remove_unfinished(self._path)
        files = []
        for path in self._path.glob(f"*{SUFFIX}"):
            with contextlib.suppress(OSError):
                status = path.stat()
                files.append((status.st_mtime_ns, status.st_size, path))
        size = sum(each for _, each, _ in files)
        for _, each, path in sorted(files):
            if size <= self.most_bytes:
                break
            size -= each
            self._discard(path.name)
