"""What `llmrec models check` asks a model, and how fast it does it: each thing small, and cut short."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from llmrec.cli.documents import ModelMeasurement, ModelTrial
from llmrec.errors import LlmrecError
from llmrec.llm.base import Completion, LanguageModel, Message, Score
from llmrec.llm.cancellation import Cancellation

PREFIX = "The capital of France is"
RIGHT, WRONG = " Paris", " purple"
QUESTION = "Tell me about your favourite book."
SCHEMA_QUESTION = (
    "Where does the Eiffel Tower stand? Answer with JSON such as "
    '{"floors": 3, "place": {"name": "Tower", "inside": {"name": "Town", "inside": null}}}.'
)
FLAT_QUESTION = 'What is the capital of France? Answer with JSON such as {"capital": "..."}.'
WORDS = (
    *("a", "library", "keeps", "books", "and", "the", "reader", "who", "comes", "in", "from", "rain"),
    *("finds", "one", "by", "window", "light", "before", "evening", "while", "some", "child", "draws"),
    *("ships", "on", "paper", "near", "an", "open", "door", "that", "nobody", "closed"),
)
CONTINUATIONS = 20
CONTINUATION_TOKENS = 6

# A text doubles until reading it takes long enough to be timed, so that a slow model reads a short one.
FIRST_CHARACTERS = 128
LONG_ENOUGH_SECONDS = 0.6
MOST_PREFILL_TOKENS = 512
SCORING_SECONDS = 4.0
FEWEST_CONTINUATIONS = 3
WRITING_SECONDS = 5.0
SCHEMA_SECONDS = 20.0
GENERATED_TOKENS = 64
ANSWER_TOKENS = 96


class Place(BaseModel):
    """Where something is, which may be inside of another place."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    inside: Place | None


class SchemaAnswer(BaseModel):
    """What a model is asked for: with a part that holds itself, and a number that has a range."""

    model_config = ConfigDict(extra="forbid", strict=True)

    floors: int = Field(ge=1, le=9)
    place: Place


class FlatAnswer(BaseModel):
    """What a model is asked for that nothing holds to a schema while it writes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    capital: str


@dataclass
class Examination:
    """The trials of one model and what was measured in them, in their order."""

    model: LanguageModel
    tell: Callable[[str], object]
    tolerance: float
    """By how many nats a score may differ with its company."""
    on_server: bool = False
    """Whether each continuation is a request of its own, in which no other can have a part."""
    trials: list[ModelTrial] = field(default_factory=list)
    measurements: list[ModelMeasurement] = field(default_factory=list)

    def run(self) -> None:
        """Try whatever the model claims; what goes wrong is in the trials."""
        can = self.model.capabilities
        for name, claimed, attempt in (
            ("scoring", can.score, self._try_scoring),
            ("independent scores", can.score, self._try_independence),
            ("schema answer", can.generate and can.structured != "none", self._try_schema),
            ("generation", can.generate, self._try_generation),
            ("cancelling", can.generate, self._try_cancelling),
        ):
            if not claimed:
                passed, detail = None, "not offered by this model"
            else:
                self.tell(f"trying {name}")
                try:
                    passed, detail = attempt()
                except LlmrecError as error:
                    passed, detail = False, str(error)
            self.trials.append(ModelTrial(name=name, passed=passed, detail=detail))

    def _try_scoring(self) -> tuple[bool, str]:
        right, wrong = self.model.score(PREFIX, [RIGHT, WRONG])
        found = f"after “{PREFIX}”,{RIGHT} {right.logprob:.1f} and{WRONG} {wrong.logprob:.1f} nats"
        if right.logprob > wrong.logprob:
            return True, found
        return False, f"{found}; a language model prefers the first, so use another model, or another server"

    def _try_independence(self) -> tuple[bool | None, str]:
        prefix, seconds = self._measure_prefill()
        if self.on_server:
            return None, "each text is a request of its own"
        reading = next(iter(self.measurements), None)
        cost = CONTINUATION_TOKENS / reading.tokens_per_second if reading is not None else seconds
        affordable = int(SCORING_SECONDS / max(cost, 1e-6))
        texts = unlike_continuations(min(CONTINUATIONS, max(FEWEST_CONTINUATIONS, affordable)))
        began = time.perf_counter()
        together = self.model.score(prefix, texts)
        self._measure("scoring", sum(score.tokens for score in together), time.perf_counter() - began)
        alone = [self._score_alone(prefix, text) for text in (texts[0], texts[-1])]
        apart = max(
            abs(one.logprob - among.logprob)
            for one, among in zip(alone, (together[0], together[-1]), strict=True)
        )
        found = f"alone and among {len(texts)}, a score differs by {apart:.3f} nats"
        if apart <= self.tolerance:
            return True, f"{found} (rounding explains up to {self.tolerance:g})"
        return False, (
            f"{found}, and rounding explains no more than {self.tolerance:g}: ranks may change with the "
            "items that are ranked together; use another model, or another build of its server or llama.cpp"
        )

    def _score_alone(self, prefix: str, text: str) -> Score:
        return self.model.score(prefix, [text])[0]

    def _measure_prefill(self) -> tuple[str, float]:
        """The last text that was read, and how long that took."""
        characters = FIRST_CHARACTERS
        while True:
            text = unseen_text(characters)
            before, began = self.model.usage, time.perf_counter()
            self.model.score(text, [RIGHT])
            seconds = time.perf_counter() - began
            tokens = (self.model.usage - before).prompt_tokens
            room = self.model.capabilities.context_length or 2 * MOST_PREFILL_TOKENS
            # What comes after it has to fit too.
            is_longest = 4 * tokens > min(2 * MOST_PREFILL_TOKENS, room)
            if not tokens or is_longest or seconds >= LONG_ENOUGH_SECONDS:
                self._measure("prefill", tokens, seconds)
                return text, seconds
            characters *= 2

    def _try_schema(self) -> tuple[bool | None, str]:
        answer: type[BaseModel] = FlatAnswer
        question = FLAT_QUESTION
        if self.model.capabilities.structured == "json_schema":
            answer, question = SchemaAnswer, SCHEMA_QUESTION
        completion = self._write("constrained generation", question, ANSWER_TOKENS, SCHEMA_SECONDS, answer)
        text = " ".join(completion.text.split())
        if completion.finish_reason == "cancelled":
            return None, f"not ended after {SCHEMA_SECONDS:g} seconds, and left at {text[:80]!r}"
        try:
            answer.model_validate_json(completion.text)
        except ValidationError:
            fault = "is cut off" if completion.finish_reason == "length" else "is not what was asked for"
            return False, f"{text[:80]!r} {fault}: use the anchored strategy, or a larger model"
        return True, text

    def _try_generation(self) -> tuple[bool, str]:
        completion = self._write("generation", QUESTION, GENERATED_TOKENS, WRITING_SECONDS)
        if not completion.text.strip():
            return False, "the answer was empty: give an instruct model, or one with a chat template"
        return True, f"{completion.usage.completion_tokens} tokens written"

    def _try_cancelling(self) -> tuple[bool, str]:
        cancellation, pieces = Cancellation(), list[str]()

        def hear(piece: str) -> None:
            pieces.append(piece)
            cancellation.cancel()

        completion = self.model.generate(
            [Message(role="user", content=QUESTION)],
            max_tokens=GENERATED_TOKENS,
            on_text=hear,
            cancellation=cancellation,
        )
        if not pieces:
            return False, "the answer was empty, so there was nothing to cancel"
        if completion.finish_reason != "cancelled":
            return False, (
                f"cancelled after its first piece, the answer went on until it ended "
                f"({completion.finish_reason}): it is not streamed, so Ctrl-C waits for whole answers"
            )
        if completion.text != "".join(pieces):
            return False, f"{pieces!r} was handed on, but the answer says {completion.text[:80]!r}"
        return True, "cancelled after its first piece, the answer ended there"

    def _write(
        self,
        name: str,
        question: str,
        max_tokens: int,
        most_seconds: float,
        answer: type[BaseModel] | None = None,
    ) -> Completion:
        """Have an answer written and measured; it is cancelled when it has taken too long."""
        cancellation = Cancellation()
        clock = _WritingClock(self.model, most_seconds, cancellation)
        completion = self.model.generate(
            [Message(role="user", content=question)],
            schema=_schema_of(answer) if answer is not None else None,
            max_tokens=max_tokens,
            on_text=clock.hear,
            cancellation=cancellation,
        )
        self._measure(name, completion.usage.completion_tokens - clock.tokens_before, clock.seconds)
        return completion

    def _measure(self, name: str, tokens: int, seconds: float) -> None:
        if tokens > 0 and seconds > 0:
            self.measurements.append(
                ModelMeasurement.model_validate(
                    {
                        "name": name,
                        "tokens": tokens,
                        "seconds": seconds,
                        "tokens_per_second": tokens / seconds,
                    }
                )
            )


class _WritingClock:
    """Times an answer from its first piece where the model counts as it writes, else from the question."""

    def __init__(self, model: LanguageModel, most_seconds: float, cancellation: Cancellation) -> None:
        self._model = model
        self._most_seconds = most_seconds
        self._cancellation = cancellation
        self._usage = model.usage
        self._heard = False
        self._began = time.perf_counter()
        self.tokens_before = 0
        """Tokens that were written when the clock began."""

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._began

    def hear(self, _piece: str) -> None:
        if not self._heard:
            self._heard = True
            self.tokens_before = (self._model.usage - self._usage).completion_tokens
            if self.tokens_before:
                self._began = time.perf_counter()
        elif self.seconds > self._most_seconds:
            self._cancellation.cancel()


def _schema_of(answer: type[BaseModel]) -> dict[str, Any]:
    # A model that is shown the schema must not take what is said about it for a part of the answer.
    return {
        key: value for key, value in answer.model_json_schema().items() if key not in {"title", "description"}
    }


def unseen_text(characters: int) -> str:
    """A text of about so many characters that no model has in its memory."""
    draw = _draw()
    words: list[str] = [uuid.uuid4().hex[:8]]
    length = len(words[0])
    while length < characters:
        words.append(draw.choice(WORDS))
        length += len(words[-1]) + 1
    return " ".join(words)


def unlike_continuations(count: int) -> list[str]:
    """So many short texts, at most as many as there are WORDS; no two begin with the same word."""
    draw = _draw()
    return [
        "".join(f" {word}" for word in (first, *draw.choices(WORDS, k=CONTINUATION_TOKENS - 1)))
        for first in draw.sample(WORDS, count)
    ]


def _draw() -> random.Random:
    return random.Random(uuid.uuid4().int)  # noqa: S311 - nothing is kept secret with it


def essential_failure(trials: Sequence[ModelTrial], strategy: str | None) -> ModelTrial | None:
    """The first failed trial without which llmrec cannot work: sensible scores, and open answers if used."""
    essential = {"scoring", "schema answer"} if strategy == "open" else {"scoring"}
    return next((trial for trial in trials if trial.passed is False and trial.name in essential), None)
