"""Chat templates of GGUF files, rendered so that contents can never become control tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from typing import Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from llmrec.errors import ModelError
from llmrec.llm.base import Message

# A message's place in the rendered template. Private-use characters: no template prints them by itself.
MARK = "\ue000{}\ue001"


def conversation_parts(
    template: str | None, messages: Sequence[Message], *, first_text: str = "", last_text: str = ""
) -> Iterator[tuple[str, bool]]:
    """Render a conversation up to the point where the assistant speaks.

    `first_text` and `last_text` are how the model's own first and last tokens are written. Yields pieces of
    text and whether control tokens in them count: they do in the template's own text and do not in the
    messages'. A model without a template gets the contents one under the other; one whose template refuses
    a system message gets it at the head of the first message after it.
    Raises ModelError when the template fails or leaves a message out.
    """
    if not messages:
        raise ModelError("there is nothing to answer: give at least one message")
    if not template:
        yield "\n\n".join(message.content for message in messages) + "\n\n", False
        return
    variables = {"bos_token": first_text, "eos_token": last_text}
    turns = [
        {"role": message.role, "content": MARK.format(number)} for number, message in enumerate(messages)
    ]
    try:
        rendered = _render(template, turns, variables)
    except ModelError:
        if len(turns) < 2 or turns[0]["role"] != "system":
            raise
        system, addressed, *others = turns
        merged = {**addressed, "content": f"{system['content']}\n\n{addressed['content']}"}
        rendered = _render(template, [merged, *others], variables)
    # The pieces alternate: text of the template, number of a message, text of the template, ...
    pieces = re.split(MARK.format(f"({'|'.join(str(number) for number in range(len(messages)))})"), rendered)
    left_out = [message for number, message in enumerate(messages) if str(number) not in pieces[1::2]]
    if left_out:
        raise ModelError(
            f"the model's chat template leaves out the {left_out[0].role} message: "
            "give the model other messages, or another chat template"
        )
    for index, piece in enumerate(pieces):
        if index % 2:
            yield messages[int(piece)].content, False
        elif piece:
            yield piece, True


def _render(template: str, turns: list[dict[str, str]], variables: dict[str, str]) -> str:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = lambda form: datetime.now(tz=timezone.utc).strftime(form)
    try:
        return environment.from_string(template).render(
            messages=turns, add_generation_prompt=True, tools=None, documents=None, **variables
        )
    except (
        jinja2.TemplateError,
        ArithmeticError,
        AttributeError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise ModelError(f"the model's chat template fails ({error}): give other messages") from error


def _raise(message: str) -> Any:
    raise jinja2.TemplateError(message)
