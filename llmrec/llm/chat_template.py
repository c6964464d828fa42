"""Chat templates of GGUF files, rendered so that contents can never become control tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from typing import Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from llmrec.errors import ModelError
from llmrec.llm.base import Message

# Private-use characters: no content holds them after cleaning, and no template prints them.
MARK = "\ue000{}\ue001"


def conversation_parts(template: str | None, messages: Sequence[Message]) -> Iterator[tuple[str, bool]]:
    """Render a conversation up to the point where the assistant speaks.

    Yields pieces of text and whether control tokens in them count: they do in the template's own text and
    do not in the messages'. A model without a template gets the contents one under the other.
    Raises ModelError when the template fails.
    """
    if not messages:
        raise ModelError("there is nothing to answer: give at least one message")
    if not template:
        yield "\n\n".join(message.content for message in messages) + "\n\n", False
        return
    marks = [MARK.format(number) for number in range(len(messages))]
    turns = [{"role": message.role, "content": mark} for message, mark in zip(messages, marks, strict=True)]
    rest = _render(template, turns)
    for mark, message in zip(marks, messages, strict=True):
        before, found, after = rest.partition(mark)
        if not found:
            raise ModelError(
                f"the model's chat template leaves out the {message.role} message: "
                "give the model other messages, or another chat template"
            )
        if before:
            yield before, True
        yield message.content, False
        rest = after
    if rest:
        yield rest, True


def _render(template: str, turns: list[dict[str, str]]) -> str:
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = lambda form: datetime.now(tz=timezone.utc).strftime(form)
    try:
        return environment.from_string(template).render(
            messages=turns, add_generation_prompt=True, bos_token="", eos_token=""
        )
    except (jinja2.TemplateError, TypeError, ValueError) as error:
        raise ModelError(f"the model's chat template fails ({error}): give other messages") from error


def _raise(message: str) -> Any:
    raise jinja2.TemplateError(message)
