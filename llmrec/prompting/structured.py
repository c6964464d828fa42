"""Ask a model for a value of a type: show the schema, validate, say what is wrong, ask again."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import json_repair
from pydantic import BaseModel, ConfigDict, ValidationError

from llmrec.errors import AnswerError, ContextLengthError, ModelError
from llmrec.llm.base import Completion, LanguageModel, Message
from llmrec.prompting.templates import PromptLibrary

logger = logging.getLogger(__name__)

SCHEMA_PROMPT = "structured/schema"
CORRECTION_PROMPT = "structured/correct"
# A long list of faults helps a model no more than its beginning.
SHOWN_FAULTS = 20
CURE = 'use a larger model, or strategy="anchored"'

AnswerT = TypeVar("AnswerT", bound=BaseModel)


class StructuredAnswer(BaseModel, Generic[AnswerT]):
    """A validated answer, and what it took to get it."""

    model_config = ConfigDict(frozen=True)

    value: AnswerT
    completion: Completion
    """The answer that was accepted, as the model gave it."""
    attempts: int
    """How many times the model was asked, this one included."""
    problems: tuple[str, ...] = ()
    """What was wrong on the way, in order, as `location: message`."""


def ask(
    model: LanguageModel,
    messages: Sequence[Message],
    answer_type: type[AnswerT],
    *,
    library: PromptLibrary,
    max_tokens: int,
    language: str = "en",
    seed: int = 0,
    temperature: float = 0.0,
    max_attempts: int = 3,
    check: Callable[[AnswerT], list[str]] | None = None,
) -> StructuredAnswer[AnswerT]:
    """Ask until the answer is a valid `answer_type`, and return it with the story of how it came about.

    The schema is shown after the last message of the user, in `language`. `max_tokens` bounds an answer; one
    that it cuts off is asked for once more with twice as many, and never repaired. `check` returns what is
    wrong with the meaning of a valid answer, as `location: message` lines. A faulty answer is shown to the
    model with its faults, under another seed, until `max_attempts` answers were faulty.
    Raises AnswerError with all answers when none could be used, and whatever the model raises.
    """
    schema = compact_schema(answer_type)
    shown = library.render(
        SCHEMA_PROMPT, language, schema=json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    )
    question = _append_to_user(messages, shown.text)
    conversation, allowed = question, max_tokens
    answers: list[str] = []
    problems: list[str] = []
    faulty_answers = 0
    while True:
        try:
            completion = model.generate(
                conversation,
                schema=schema,
                max_tokens=allowed,
                temperature=temperature,
                seed=seed + faulty_answers,
            )
        except ContextLengthError as error:
            if allowed == max_tokens:
                raise
            raise _unusable(
                model,
                answers,
                f"did not end within {max_tokens} tokens, and its context has no room for more",
            ) from error
        answers.append(completion.text)
        if completion.finish_reason == "length":
            if allowed > max_tokens:
                raise _unusable(
                    model, answers, f"did not end within {allowed} tokens", "raise max_tokens, ask for less"
                )
            problems.append(f"answer: it did not end within {allowed} tokens")
            allowed = 2 * max_tokens
            continue
        if completion.finish_reason != "stop":
            reason = completion.finish_reason.replace("_", " ")
            raise _unusable(model, answers, f"was stopped ({reason})", "leave out the event it stumbles over")
        value, faults = _read(completion, answer_type)
        if value is not None:
            faults_of_meaning = check(value) if check else []
            if not faults_of_meaning:
                return StructuredAnswer[AnswerT](
                    value=value,
                    completion=completion,
                    attempts=len(answers),
                    problems=(*problems, *faults),
                )
            faults = [*faults, *faults_of_meaning]
        problems += faults
        faulty_answers += 1
        logger.info("answer %d of %s is faulty: %s", len(answers), model.name, "; ".join(faults))
        if faulty_answers >= max_attempts:
            raise _unusable(model, answers, f"stayed faulty {faulty_answers} times ({faults[-1][:200]})")
        correction = library.render(CORRECTION_PROMPT, language, faults=faults[:SHOWN_FAULTS])
        conversation = _corrected(question, completion.text, correction.text)


def outgrew_context(error: ModelError) -> bool:
    """Whether what `ask` raised is for want of context, for the question or its answer: ask for less."""
    return isinstance(error, ContextLengthError) or isinstance(error.__cause__, ContextLengthError)


def compact_schema(answer_type: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a type, without the titles that Pydantic makes of its names."""
    return _without_titles(answer_type.model_json_schema())


def _without_titles(schema: dict[str, Any]) -> dict[str, Any]:
    compact: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "title" and isinstance(value, str):
            continue
        if key in ("properties", "$defs") and isinstance(value, dict):
            # Here the keys are names, and a property may well be called title.
            compact[key] = {name: _without_titles(part) for name, part in value.items()}
        elif isinstance(value, dict) and key not in ("default", "const", "examples"):
            compact[key] = _without_titles(value)
        elif isinstance(value, list) and key in ("anyOf", "allOf", "oneOf", "prefixItems"):
            compact[key] = [_without_titles(part) if isinstance(part, dict) else part for part in value]
        else:
            compact[key] = value
    return compact


def _append_to_user(messages: Sequence[Message], text: str) -> list[Message]:
    if messages and messages[-1].role == "user":
        last = messages[-1]
        return [*messages[:-1], Message(role="user", content=f"{last.content}\n\n{text}")]
    return [*messages, Message(role="user", content=text)]


def _corrected(question: list[Message], answer: str, correction: str) -> list[Message]:
    # Chat templates refuse an empty turn, and two turns of one speaker in a row.
    if not answer.strip():
        return _append_to_user(question, correction)
    return [
        *question,
        Message(role="assistant", content=answer),
        Message(role="user", content=correction),
    ]


def _read(completion: Completion, answer_type: type[AnswerT]) -> tuple[AnswerT | None, list[str]]:
    """The value in an answer, or None; and what is wrong with it, or what had to be mended."""
    try:
        return answer_type.model_validate_json(completion.text), []
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        # An answer that was held to its schema and is no JSON was broken by something else than habit.
        if found[0]["type"] != "json_invalid" or completion.structured == "json_schema":
            return None, fault_lines(error)
        fault = fault_lines(error)[0]
    repaired = _repaired(completion.text)
    if repaired is None:
        return None, [fault]
    try:
        return answer_type.model_validate_json(repaired), [f"{fault}; it was repaired"]
    except ValidationError as error:
        return None, [f"{fault}; it was repaired", *fault_lines(error)]


def _repaired(text: str) -> str | None:
    begin = text.find("{")
    if begin < 0:
        return None
    try:
        repaired = json_repair.loads(text[begin:])
    except (ValueError, RecursionError):
        return None
    if isinstance(repaired, list):
        repaired = next((part for part in repaired if isinstance(part, dict)), None)
    return json.dumps(repaired) if isinstance(repaired, dict) and repaired else None


def fault_lines(error: ValidationError) -> list[str]:
    """What Pydantic found, as `location: message` lines in a model's terms."""
    return [
        f"{'.'.join(str(part) for part in fault['loc']) or 'answer'}: {fault['msg']}"
        for fault in error.errors(include_url=False, include_input=False, include_context=False)
    ]


def _unusable(model: LanguageModel, answers: Sequence[str], what: str, advice: str = "") -> AnswerError:
    cure = f"{advice}, {CURE}" if advice else CURE
    return AnswerError(f"the answer of {model.name} {what}: {cure}", answers=tuple(answers))
