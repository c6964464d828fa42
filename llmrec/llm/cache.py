"""A language model that asks only what it was not asked before."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from llmrec.errors import ModelError
from llmrec.llm.base import Capabilities, Completion, LanguageModel, Message, Score, Usage, score_prefixes
from llmrec.llm.cancellation import Cancellation
from llmrec.llm.model_calls import ModelCallCache, naming_person, naming_prompt

__all__ = ["CachedModel", "ModelCallCache", "naming_person", "naming_prompt"]

AnswerT = TypeVar("AnswerT", bound=BaseModel)


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
