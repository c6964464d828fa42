"""A language model that says what it was told to: for tests of code that uses one."""

from __future__ import annotations

import json
import math
import re
import threading
import uuid
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from llmrec.errors import AnswerError, InputError, ModelError
from llmrec.llm.base import Capabilities, Completion, Message, Score, Usage
from llmrec.llm.cancellation import Cancellation
from llmrec.llm.stopping import cut_at_stop

ScriptedAnswer = str | dict[str, Any] | BaseModel | Exception
"""What can be enqueued: a text, something to say as JSON, a whole Completion, or an error to raise."""
ScriptedScores = Callable[[str, str], float] | Mapping[str, float]
"""Log-probabilities: by (prefix, continuation), or by continuation with or without the spaces around it."""

CHARACTERS_PER_TOKEN = 4
# One word of a Latin text, or one character of a script that is written without spaces.
WORDS = re.compile(r"[^\W\u2e80-\U0010ffff]+|[^\W\u0000-\u2e7f]")
# What `on_text` gets at a time: such a word or character, with the white space before it.
PIECES = re.compile(r"\s*[^\s\u2e80-\U0010ffff]+|\s*[^\s\u0000-\u2e7f]|\s+")
UNSEEN_COUNT = 0.5
VOCABULARY_SIZE = 1000

DEFAULT_CAPABILITIES = Capabilities(score=True, generate=True, structured="json_schema", open_answers=True)


@dataclass(frozen=True)
class ScriptedCall:
    """One call a scripted model received."""

    kind: Literal["generate", "score"]
    messages: tuple[Message, ...] = ()
    """The conversation of a `generate` call."""
    schema: dict[str, Any] | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    prefix: str = ""
    """The prefix of a `score` call."""
    continuations: tuple[str, ...] = ()


class ScriptedModel:
    """Answers from a queue, scores from a rule, and a history of what was asked. Safe to use from threads.

    Without `scores`, a continuation is scored by its words: the oftener they stand in the prefix, the
    likelier they are (each counts log((n + 0.5) / (words of the prefix + 1000))). A token is taken to be four
    characters, so a text longer than four times `max_tokens` is cut, and ends with reason `length`.

    `on_text` gets an answer word by word (character by character in scripts without spaces), and can cancel
    the call, or have another thread do it, before the next word: the Completion then ends after this one. A
    call that was cancelled before it began takes no answer from the queue, but stands in the history. What
    `scores` raises or cancels ends a `score` in the same way.
    """

    def __init__(
        self,
        *answers: ScriptedAnswer,
        name: str = "scripted",
        scores: ScriptedScores | None = None,
        capabilities: Capabilities = DEFAULT_CAPABILITIES,
        fingerprint: str | None = None,
    ) -> None:
        """Prepare the answers, in order; `enqueue` adds more.

        `scores` gives log-probabilities of at most 0; what a mapping lacks is scored by its words.
        `fingerprint` is the model's own unless given: two scripted models answer differently.
        """
        self._name = name
        self._scores = scores
        self._capabilities = capabilities
        self._fingerprint = fingerprint or f"scripted-{uuid.uuid4().hex[:16]}"
        self._lock = threading.RLock()
        self._answers: deque[ScriptedAnswer] = deque()
        self._history: list[ScriptedCall] = []
        self._enqueued = 0
        self._usage = Usage()
        self._closed = False
        self.enqueue(*answers)

    @property
    def name(self) -> str:
        """What the model is called in reports."""
        return self._name

    @property
    def fingerprint(self) -> str:
        """Identity of this instance, or the one it was given."""
        return self._fingerprint

    @property
    def capabilities(self) -> Capabilities:
        """What it was told to be able to do; it does so in any case."""
        self._check_open()
        return self._capabilities

    @property
    def usage(self) -> Usage:
        """Calls so far, and their tokens of four characters each."""
        with self._lock:
            return self._usage

    @property
    def history(self) -> list[ScriptedCall]:
        """Every call so far, the first one first; also those that failed or were cancelled."""
        with self._lock:
            return list(self._history)

    def enqueue(self, *answers: ScriptedAnswer) -> None:
        """Add answers for `generate`: a str, a dict or BaseModel (said as JSON), a Completion, or an
        exception (raised). Raises InputError for anything else.
        """
        for answer in answers:
            if not isinstance(answer, (str, dict, BaseModel, Exception)):
                raise InputError(
                    f"a scripted answer cannot be a {type(answer).__name__}: "
                    "give a str, a dict, a BaseModel, a Completion or an exception"
                )
        with self._lock:
            self._answers.extend(answers)
            self._enqueued += len(answers)

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
        """Give the next answer of the queue, to `on_text` word by word.

        Raises AnswerError when none is left, an exception that was enqueued, and what `on_text` raises.
        """
        with self._lock:
            self._check_open()
            self._history.append(
                ScriptedCall(
                    kind="generate",
                    messages=tuple(messages),
                    schema=schema,
                    max_tokens=max_tokens,
                    temperature=temperature,
                    seed=seed,
                    stop=tuple(stop),
                )
            )
            if cancellation is not None and cancellation.cancelled:
                return Completion(text="", finish_reason="cancelled")
            if not self._answers:
                raise AnswerError(
                    f"the scripted model was asked for answer {self._enqueued + 1}, but only "
                    f"{self._enqueued} were enqueued: enqueue one for each call"
                )
            answer = self._answers.popleft()
            prompt_tokens = sum(_tokens(message.content) for message in messages)
            if isinstance(answer, Exception):
                self._usage += Usage(calls=1, prompt_tokens=prompt_tokens)
                raise answer
        completion = self._complete(answer, schema, max_tokens, stop, prompt_tokens)
        said = 0
        try:
            for piece in PIECES.findall(completion.text):
                if cancellation is not None and cancellation.cancelled:
                    completion = _cut_short(completion, said, prompt_tokens)
                    break
                said += len(piece)
                if on_text is not None:
                    on_text(piece)
        except BaseException:
            completion = _cut_short(completion, said, prompt_tokens)
            raise
        finally:
            with self._lock:
                self._usage += completion.usage
        return completion

    def score(
        self, prefix: str, continuations: Sequence[str], *, cancellation: Cancellation | None = None
    ) -> list[Score]:
        """Score by the given rule, or by words.

        Raises ModelError when the rule gives no log-probability, CallCancelledError when `cancellation` was
        cancelled before the last continuation.
        """
        with self._lock:
            self._check_open()
            self._history.append(
                ScriptedCall(kind="score", prefix=prefix, continuations=tuple(continuations))
            )
            if cancellation is not None:
                cancellation.check()
            if not continuations:
                return []
            tokens = _tokens(prefix) + sum(_tokens(text) for text in continuations)
            self._usage += Usage(calls=1, prompt_tokens=tokens)
            rule, counts = self._scores, Counter(_words(prefix))
        scores = []
        for continuation in continuations:
            if cancellation is not None:
                cancellation.check()
            scores.append(self._score_one(rule, counts, prefix, continuation))
        return scores

    def close(self) -> None:
        """Refuse every later call; the history stays."""
        with self._lock:
            self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise ModelError(f"the model {self._name} was closed: open it again")

    def _complete(
        self,
        answer: str | dict[str, Any] | BaseModel,
        schema: dict[str, Any] | None,
        max_tokens: int,
        stop: Sequence[str],
        prompt_tokens: int,
    ) -> Completion:
        if isinstance(answer, Completion):
            spent = Usage(calls=1, prompt_tokens=prompt_tokens, completion_tokens=_tokens(answer.text))
            return answer if answer.usage != Usage() else answer.model_copy(update={"usage": spent})
        if isinstance(answer, BaseModel):
            text = answer.model_dump_json()
        else:
            text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
        text = cut_at_stop(text, stop)
        cut = text[: max_tokens * CHARACTERS_PER_TOKEN]
        return Completion(
            text=cut,
            finish_reason="stop" if cut == text else "length",
            structured=self._capabilities.structured if schema is not None else "none",
            usage=Usage(calls=1, prompt_tokens=prompt_tokens, completion_tokens=_tokens(cut)),
        )

    def _score_one(
        self, rule: ScriptedScores | None, counts: Counter[str], prefix: str, continuation: str
    ) -> Score:
        words = _words(continuation)
        logprob: float | None = None
        if isinstance(rule, Mapping):
            logprob = rule.get(continuation, rule.get(continuation.strip()))
        elif rule is not None:
            logprob = rule(prefix, continuation)
        if logprob is None:
            total = sum(counts.values())
            logprob = sum(
                math.log((counts[word] + UNSEEN_COUNT) / (total + VOCABULARY_SIZE)) for word in words
            )
        if not math.isfinite(logprob) or logprob > 0:
            raise ModelError(
                f"the scripted score of {continuation[:40]!r} is {logprob}: a log-probability is at most 0"
            )
        return Score(logprob=logprob, tokens=max(len(words), bool(continuation)))


def _cut_short(completion: Completion, said: int, prompt_tokens: int) -> Completion:
    text = completion.text[:said]
    spent = Usage(calls=1, prompt_tokens=prompt_tokens, completion_tokens=_tokens(text))
    return completion.model_copy(update={"text": text, "finish_reason": "cancelled", "usage": spent})


def _words(text: str) -> list[str]:
    return WORDS.findall(text.lower())


def _tokens(text: str) -> int:
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)
