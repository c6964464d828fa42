"""Answers of a language model kept in SQLite, by the hash of the request."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from llmrec.errors import ModelError, StoreError
from llmrec.llm.base import Capabilities, Completion, LanguageModel, Message, Score, Usage, score_prefixes
from llmrec.llm.cancellation import Cancellation

logger = logging.getLogger(__name__)

BUSY_SECONDS = 5.0
# SQLite allows 999 variables in one statement in its older builds.
KEYS_PER_QUERY = 500

TABLE = """
CREATE TABLE IF NOT EXISTS model_calls (
    key TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    model TEXT NOT NULL,
    prompt_id TEXT NOT NULL,
    answer TEXT NOT NULL,
    created REAL NOT NULL
) WITHOUT ROWID
"""

AnswerT = TypeVar("AnswerT", bound=BaseModel)

_prompt_id: ContextVar[str] = ContextVar("llmrec_prompt_id", default="")


@contextlib.contextmanager
def naming_prompt(prompt_id: str) -> Iterator[None]:
    """Store the calls made inside, by this thread, under the fingerprint of the prompt they came from."""
    token = _prompt_id.set(prompt_id)
    try:
        yield
    finally:
        _prompt_id.reset(token)


class ModelCallCache:
    """A table of answers by key. Threads and processes may share one file.

    A request's text is not stored, only its hash; an answer is.
    """

    def __init__(self, path: Path | None = None, *, busy_seconds: float = BUSY_SECONDS) -> None:
        """Open or create the file; None keeps the answers in memory.

        `busy_seconds` is how long another process may hold the file. Raises StoreError when the file is not
        a database, is locked for longer, or cannot be written.
        """
        self._path = path
        self._lock = threading.Lock()
        self._warned = False
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                str(path) if path is not None else ":memory:",
                timeout=busy_seconds,
                check_same_thread=False,
                isolation_level=None,
            )
            # Whoever forgets to close leaves no file open, and no warning.
            weakref.finalize(self, self._connection.close)
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error
        try:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute(TABLE)
            # An open file may still refuse to be written; better to learn it now than after an answer.
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._connection.close()
            raise self._unusable(error) from error

    def __len__(self) -> int:
        with self._lock:
            count: int = self._execute("SELECT count(*) FROM model_calls").fetchone()[0]
        return count

    def find(self, keys: Sequence[str]) -> dict[str, str]:
        """Return the stored answers (JSON) of those keys that have one. Raises StoreError."""
        found: dict[str, str] = {}
        with self._lock:
            for begin in range(0, len(keys), KEYS_PER_QUERY):
                some = list(keys[begin : begin + KEYS_PER_QUERY])
                marks = ",".join("?" * len(some))
                query = f"SELECT key, answer FROM model_calls WHERE key IN ({marks})"  # noqa: S608
                found.update(self._execute(query, some).fetchall())
        return found

    def store(self, answers: Mapping[str, str], *, kind: Literal["generate", "score"], model: str) -> None:
        """Store answers (JSON) by key, in one transaction; the caller has its answers in any case.

        A full disk, a lock held too long or a file that became read-only cost only the memory: the first one
        is logged as a warning. Raises StoreError when the file is damaged.
        """
        now, prompt_id = time.time(), _prompt_id.get()
        rows = [(key, kind, model, prompt_id, answer, now) for key, answer in answers.items()]
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                self._connection.executemany("INSERT OR REPLACE INTO model_calls VALUES (?,?,?,?,?,?)", rows)
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                if not isinstance(error, sqlite3.OperationalError):
                    raise self._unusable(error) from error
                if not self._warned:
                    self._warned = True
                    logger.warning("answers are no longer kept in %s: %s", self._path, error)

    def remove_oldest(self, *, above: int, left: int) -> int:
        """With more than `above` answers, remove the oldest until `left` are there; return how many went.

        The file keeps its size, and new answers take their places. Raises StoreError.
        """
        if len(self) <= above:
            return 0
        # Counted again while nobody else can write: two processes must not both remove the excess.
        excess = "SELECT max(0, count(*) - ?) FROM model_calls"
        oldest = f"SELECT key FROM model_calls ORDER BY created, key LIMIT ({excess})"  # noqa: S608
        with self._lock:
            return self._execute(f"DELETE FROM model_calls WHERE key IN ({oldest})", [left]).rowcount  # noqa: S608

    def clear(self) -> None:
        """Forget every answer. Raises StoreError."""
        with self._lock:
            self._execute("DELETE FROM model_calls")

    def close(self) -> None:
        """Close the file. Closing twice is allowed; using the cache afterwards raises StoreError."""
        with self._lock:
            self._connection.close()

    def _execute(self, statement: str, parameters: Sequence[str | int] = ()) -> sqlite3.Cursor:
        try:
            return self._connection.execute(statement, parameters)
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> StoreError:
        return StoreError(
            f"the cache of model answers at {self._path or 'memory'} cannot be used ({error}): "
            "close what else holds it, delete the file, or choose another one"
        )


class CachedModel:
    """A language model that asks the wrapped one only what the cache does not know.

    Scores are kept one by one, so a call with some known continuations asks for the others only. Answers are
    kept when they ended by themselves.

    A cancellation that was cancelled before a call ends the call also where its answer is known, so that
    nothing depends on what the cache holds; later than that, a known answer comes whole.
    """

    def __init__(self, model: LanguageModel, cache: ModelCallCache) -> None:
        """Wrap a model. The cache stays the caller's to close."""
        self.wrapped = model
        self._cache = cache
        self._lock = threading.Lock()
        self._cached_calls = 0
        self._closed = False

    @property
    def name(self) -> str:
        """The wrapped model's name."""
        return self.wrapped.name

    @property
    def fingerprint(self) -> str:
        """The wrapped model's identity."""
        return self.wrapped.fingerprint

    @property
    def capabilities(self) -> Capabilities:
        """What the wrapped model can do."""
        return self.wrapped.capabilities

    @property
    def usage(self) -> Usage:
        """What the wrapped model has cost, and the calls answered wholly from the cache."""
        with self._lock:
            return self.wrapped.usage + Usage(cached_calls=self._cached_calls)

    def generate(
        self,
        messages: Sequence[Message],
        *,
        schema: dict[str, Any] | None = None,
        max_tokens: int = 512,
        temperature: float = 0.0,
        seed: int = 0,
        stop: Sequence[str] = (),
        on_text: Callable[[str], object] | None = None,
        cancellation: Cancellation | None = None,
    ) -> Completion:
        """Answer from the cache, in one piece, or ask the wrapped model and remember.

        Raises StoreError, and the wrapped model's errors.
        """
        self._check_open()
        if cancellation is not None and cancellation.cancelled:
            return Completion(text="", finish_reason="cancelled")
        turns = [[message.role, message.content] for message in messages]
        key = self._key("generate", turns, schema, max_tokens, temperature, seed, list(stop))
        known = _read(Completion, self._cache.find([key]).get(key))
        if known is not None:
            self._count_cached(1)
            if on_text is not None and known.text:
                on_text(known.text)
            return known.model_copy(update={"usage": Usage(cached_calls=1)})
        completion = self.wrapped.generate(
            messages,
            schema=schema,
            max_tokens=max_tokens,
            temperature=temperature,
            seed=seed,
            stop=stop,
            on_text=on_text,
            cancellation=cancellation,
        )
        if completion.finish_reason == "stop":
            self._cache.store({key: _written(completion)}, kind="generate", model=self.name)
        return completion

    def score(
        self, prefix: str, continuations: Sequence[str], *, cancellation: Cancellation | None = None
    ) -> list[Score]:
        """Score from the cache, with one call for what it lacks.

        Raises StoreError, CallCancelledError, and the wrapped model's errors.
        """
        return self.score_prefixes([prefix], continuations, cancellation=cancellation)[0]

    def score_prefixes(
        self,
        prefixes: Sequence[str],
        continuations: Sequence[str],
        *,
        cancellation: Cancellation | None = None,
    ) -> list[list[Score]]:
        """Score after each prefix from the cache; prefixes that lack the same scores are asked for together.

        A prefix of which every score is known counts as one call answered from the cache. What was scored
        before a failure or a cancellation is remembered. Raises what `score` raises.
        """
        self._check_open()
        if cancellation is not None:
            cancellation.check()
        if not continuations:
            return [[] for _ in prefixes]
        scores = self._known_scores(prefixes, continuations)
        lacking: dict[tuple[str, ...], list[str]] = {}
        for prefix, known in scores.items():
            unknown = tuple(text for text in dict.fromkeys(continuations) if text not in known)
            lacking.setdefault(unknown, []).append(prefix)
        complete = set(lacking.pop((), ()))
        for texts, some in lacking.items():
            asked = score_prefixes(self.wrapped, some, texts, cancellation=cancellation)
            for prefix, found in zip(some, asked, strict=True):
                scores[prefix].update(zip(texts, found, strict=True))
            answers = {
                self._key("score", prefix, text): _written(scores[prefix][text])
                for prefix in some
                for text in texts
            }
            self._cache.store(answers, kind="score", model=self.name)
        self._count_cached(sum(prefix in complete for prefix in prefixes))
        return [[scores[prefix][text] for text in continuations] for prefix in prefixes]

    def close(self) -> None:
        """Close the wrapped model; the cache stays open."""
        self._closed = True
        self.wrapped.close()

    def _check_open(self) -> None:
        if self._closed:
            raise ModelError(f"the model {self.name} was closed: open it again")

    def _known_scores(
        self, prefixes: Sequence[str], continuations: Sequence[str]
    ) -> dict[str, dict[str, Score]]:
        keys = {
            (prefix, text): self._key("score", prefix, text) for prefix in prefixes for text in continuations
        }
        found = self._cache.find(list(keys.values()))
        scores: dict[str, dict[str, Score]] = {prefix: {} for prefix in prefixes}
        for (prefix, text), key in keys.items():
            known = _read(Score, found.get(key))
            if known is not None:
                scores[prefix][text] = known
        return scores

    def _count_cached(self, calls: int) -> None:
        with self._lock:
            self._cached_calls += calls

    def _key(self, *request: Any) -> str:
        return hashlib.sha256(json.dumps([self.fingerprint, *request]).encode()).hexdigest()


def _read(kind: type[AnswerT], answer: str | None) -> AnswerT | None:
    """An answer from the cache; None for one that this version cannot read, which is asked for again."""
    try:
        return None if answer is None else kind.model_validate(json.loads(answer))
    except (ValueError, ValidationError):
        return None


def _written(answer: BaseModel) -> str:
    # json.dumps, unlike Pydantic, writes halves of surrogate pairs, which models do produce.
    return json.dumps(answer.model_dump(mode="python", exclude={"usage"}))
