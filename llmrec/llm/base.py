"""The protocol every language model implements: two verbs, `generate` and `score`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict

from llmrec.llm.cancellation import Cancellation

Role = Literal["system", "user", "assistant"]
StructuredSupport = Literal["json_schema", "json_object", "prompted", "none"]
FinishReason = Literal["stop", "length", "cancelled", "content_filter"]


class Message(BaseModel):
    """One turn of a conversation given to a model."""

    model_config = ConfigDict(frozen=True)

    role: Role
    content: str


class Usage(BaseModel):
    """What a call, or a sum of calls, cost."""

    model_config = ConfigDict(frozen=True)

    calls: int = 0
    """Requests that reached the model; an answer from a cache counts none."""
    cached_calls: int = 0
    """Requests answered from a cache."""
    prompt_tokens: int = 0
    """Tokens the model evaluated; a prefix that was still in its memory counts none."""
    completion_tokens: int = 0
    """Tokens the model generated."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            calls=self.calls + other.calls,
            cached_calls=self.cached_calls + other.cached_calls,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
        )

    def __sub__(self, other: Usage) -> Usage:
        return Usage(
            calls=self.calls - other.calls,
            cached_calls=self.cached_calls - other.cached_calls,
            prompt_tokens=self.prompt_tokens - other.prompt_tokens,
            completion_tokens=self.completion_tokens - other.completion_tokens,
        )


class Completion(BaseModel):
    """A generated answer."""

    model_config = ConfigDict(frozen=True)

    text: str
    finish_reason: FinishReason = "stop"
    structured: StructuredSupport = "none"
    """How the answer was held to a schema: the rung of the ladder that answered, `none` for free text."""
    usage: Usage = Usage()


class Score(BaseModel):
    """How likely a model finds a continuation of a prefix."""

    model_config = ConfigDict(frozen=True)

    logprob: float
    """Sum of the natural-log probabilities of the continuation's tokens, at most 0."""
    tokens: int
    """Number of tokens of the continuation."""


class Capabilities(BaseModel):
    """What a model can do; the stages choose their strategy from this."""

    model_config = ConfigDict(frozen=True)

    score: bool
    """Whether `score` works."""
    generate: bool
    """Whether `generate` works."""
    structured: StructuredSupport
    """The firmest way this model's answers can be held to a JSON schema."""
    open_answers: bool
    """Whether its free structured answers can be trusted to follow instructions (3B and up, or hosted)."""
    weights_known: bool = False
    """Whether the fingerprint tells the weights, so that answers hold for as long as it stays."""
    context_length: int | None = None
    """Longest prompt and answer together, in tokens; None when unknown."""


@runtime_checkable
class LanguageModel(Protocol):
    """A language model. Implementations may be called from several threads at once."""

    @property
    def name(self) -> str:
        """What the model is called in reports, for example `embedded`."""
        ...

    @property
    def fingerprint(self) -> str:
        """Identity of weights and settings: equal fingerprints give equal answers. Keys caches."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What this model can do; may ask the model once, the first time."""
        ...

    @property
    def usage(self) -> Usage:
        """Everything this instance has cost so far."""
        ...

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
        """Answer a conversation, held to a JSON schema when one is given.

        `on_text` is called in the caller's thread with each new piece of the answer; the pieces together are
        the text of the Completion, so a piece that may be the beginning of a stop string waits. What it
        raises ends the call. When `cancellation` is cancelled, the Completion holds what was written so far,
        with the reason `cancelled`.
        Raises ModelError when the model cannot, ContextLengthError when the conversation is too long.
        """
        ...

    def score(
        self, prefix: str, continuations: Sequence[str], *, cancellation: Cancellation | None = None
    ) -> list[Score]:
        """Score each continuation of the prefix on its own; the others have no influence on it.

        A continuation is cut into tokens by itself, so it should begin with the white space that parts
        it from the prefix. Returns one Score a continuation, in their order.
        Raises ModelError when the model cannot score, ContextLengthError when a text is too long,
        CallCancelledError when `cancellation` is cancelled first.
        """
        ...

    def close(self) -> None:
        """Free what the model holds. Closing twice is allowed; using it afterwards raises ModelError."""
        ...


def score_prefixes(
    model: LanguageModel,
    prefixes: Sequence[str],
    continuations: Sequence[str],
    *,
    cancellation: Cancellation | None = None,
) -> list[list[Score]]:
    """Score the same continuations after each of several prefixes: one list a prefix, in their order.

    A model with a method `score_prefixes` of these arguments is asked once, and may share work among the
    prefixes; any other is asked prefix by prefix. Raises what `LanguageModel.score` raises.
    """
    together = getattr(model, "score_prefixes", None)
    if together is not None:
        scores: list[list[Score]] = together(prefixes, continuations, cancellation=cancellation)
        return scores
    return [model.score(prefix, continuations, cancellation=cancellation) for prefix in prefixes]


def forget_prefixes(model: LanguageModel) -> int:
    """Have a model forget the texts it holds so as not to read them again, in memory and in its files.

    A model that holds some has a method `forget_prefixes` without arguments that returns how many states and
    files went; one that wraps another has it as `wrapped`. 0 where there is nothing of the kind. Raises
    StoreError when a file cannot be removed.
    """
    holder: object = model
    while holder is not None:
        forget = getattr(holder, "forget_prefixes", None)
        if forget is not None:
            forgotten: int = forget()
            return forgotten
        holder = getattr(holder, "wrapped", None)
    return 0
