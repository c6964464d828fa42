"""What an OpenAI-compatible server answers, read with patience for what servers leave out."""

from __future__ import annotations

import re
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from llmrec.llm.base import FinishReason, Usage
from llmrec.llm.echo import continuation_tokens
from llmrec.llm.openai_failures import UnreadableAnswerError

FINISH_REASONS: dict[str, FinishReason] = {
    "length": "length",
    "max_tokens": "length",
    "content_filter": "content_filter",
    "cancelled": "cancelled",
    "abort": "cancelled",
}
# What a model thinks before it answers, from servers that leave it in the answer.
THOUGHTS_BEGIN, THOUGHTS_END = "<think>", "</think>"
# Thoughts that were cut off are followed by no answer.
THOUGHTS = re.compile(rf"\A\s*{THOUGHTS_BEGIN}.*?(?:{THOUGHTS_END}\n*|\Z)", re.DOTALL)

AnswerT = TypeVar("AnswerT", bound=BaseModel)


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _CachedTokens(_Lenient):
    cached_tokens: int | None = None


class _Tokens(_Lenient):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _CachedTokens | None = None


class _Part(_Lenient):
    text: str = ""


class _Turn(_Lenient):
    content: str | tuple[_Part, ...] | None = None
    refusal: str | None = None

    @property
    def text(self) -> str:
        content = self.content or ""
        return content if isinstance(content, str) else "".join(part.text for part in content)


class _ChatChoice(_Lenient):
    message: _Turn
    finish_reason: str | None = None


class _ChunkChoice(_Lenient):
    delta: _Turn = _Turn()
    finish_reason: str | None = None


class _EchoedTokens(_Lenient):
    tokens: tuple[str, ...] | None = None
    token_logprobs: tuple[float | None, ...] | None = None


class _EchoChoice(_Lenient):
    logprobs: _EchoedTokens | None = None

    @field_validator("logprobs", mode="before")
    @classmethod
    def _only_the_completion_shape(cls, value: Any) -> Any:
        # The shape of chat answers, which some servers send here too, tells nothing of the prompt.
        return value if isinstance(value, dict) and isinstance(value.get("tokens"), list) else None


class _Answer(_Lenient):
    tokens: _Tokens | None = None

    @property
    def usage(self) -> Usage:
        """What the request cost; one call with 0 tokens when the server does not say."""
        tokens = self.tokens or _Tokens()
        details = tokens.prompt_tokens_details or _CachedTokens()
        return Usage(
            calls=1,
            prompt_tokens=max(0, (tokens.prompt_tokens or 0) - (details.cached_tokens or 0)),
            completion_tokens=max(0, tokens.completion_tokens or 0),
        )


class ChatAnswer(_Answer):
    """An answer of /chat/completions."""

    choices: tuple[_ChatChoice, ...]

    @property
    def text(self) -> str:
        """What the model said, without its thoughts; empty when it said nothing."""
        return THOUGHTS.sub("", self.choices[0].message.text, count=1)

    @property
    def refusal(self) -> str:
        """Why the model refused; empty when it did not."""
        return self.choices[0].message.refusal or ""

    @property
    def finish_reason(self) -> FinishReason:
        """Why the answer ended; `stop` where the server has a word of its own for it, or none."""
        return FINISH_REASONS.get(self.choices[0].finish_reason or "stop", "stop")


class ChatChunk(_Lenient):
    """A part of a streamed answer of /chat/completions."""

    choices: tuple[_ChunkChoice, ...] = ()
    usage: dict[str, Any] | None = None
    error: Any = None

    @field_validator("choices", mode="before")
    @classmethod
    def _none_is_empty(cls, value: Any) -> Any:
        return () if value is None else value


class EchoAnswer(_Answer):
    """An answer of /completions that was asked to echo its prompt with log-probabilities."""

    choices: tuple[_EchoChoice, ...]

    def continuation_logprobs(self, text: str, start: int) -> list[float | None] | None:
        """The log-probabilities of the tokens of text[start:], None for a token that has none.

        Returns None when the server did not echo the prompt or gave no log-probabilities.
        """
        echoed = self.choices[0].logprobs
        if echoed is None or not echoed.tokens or echoed.token_logprobs is None:
            return None
        generated = (self.tokens.completion_tokens or 0) if self.tokens else 0
        # The generated tokens stand last, but some servers count one that they do not list.
        for count in (len(echoed.tokens) - generated, len(echoed.tokens)):
            inside = continuation_tokens(text, start, echoed.tokens[: max(0, count)])
            if inside is not None:
                break
        if inside is None or inside.stop > len(echoed.token_logprobs):
            return None
        values = [echoed.token_logprobs[index] for index in inside]
        return None if values and all(value is None for value in values) else values


def read_answer(kind: type[AnswerT], raw: dict[str, Any], url: str) -> AnswerT:
    """Read an answer. Raises UnreadableAnswerError when it is an error in disguise, or holds no answer."""
    fault = raw.get("error")
    if fault and not raw.get("choices"):
        said = fault.get("message") if isinstance(fault, dict) else fault
        raise UnreadableAnswerError(f"the server at {url} answered with an error: {str(said)[:200]}")
    try:
        answer = kind.model_validate({**raw, "tokens": raw.get("usage")})
        if raw["choices"]:
            return answer
    except (ValidationError, KeyError):
        pass
    raise UnreadableAnswerError(
        f"the server at {url} answered without any choice: check that it is OpenAI-compatible, and its log"
    )


def within(least: float, value: float, most: float) -> float:
    """The value, or the bound that it lies beyond; a value that is no number becomes the least."""
    return min(most, max(least, value)) if value == value else least
