"""The questions a server is asked once, and what its answers tell."""

from __future__ import annotations

import functools
import hashlib
import json
import statistics
from collections.abc import Callable, Iterable
from importlib.resources import files
from typing import Any

from pydantic import BaseModel, ConfigDict

from llmrec.llm.base import StructuredSupport
from llmrec.llm.openai_failures import EndpointMissingError, RequestRefusedError, UnreadableAnswerError
from llmrec.llm.schemas import strict_schema

# Mean log-probability, in nats a token, of a repetition: about -1 in line, about -10 one place off.
ALIGNED_LOGPROB = -3.0
CONTEXT_FIELDS = ("max_model_len", "context_length", "context_window", "max_context_length", "n_ctx")

Ask = Callable[[str, dict[str, Any] | None], str]
"""Asks a question under a response format; returns the answer's text."""
Echo = Callable[[str, str, int], list[float | None] | None]
"""Log-probabilities of the tokens of text[start:], from a lead, the text after it, and the start."""


class OpenQuestion(BaseModel):
    """A question with a small number for an answer."""

    model_config = ConfigDict(frozen=True)

    question: str
    number: int


class Probes(BaseModel):
    """The questions a server is asked once; they lie in probes.json."""

    model_config = ConfigDict(frozen=True)

    alignment_text: str
    """A repetition: once seen, its words are very likely, and very unlikely one place off."""
    leads: tuple[str, ...]
    schema_question: str
    surprising_schema: dict[str, Any]
    """Allows only an answer that nobody would give who is not held to it."""
    object_question: str
    show_schema: str
    """Shows a schema to a model whose server does not hold answers to it."""
    open_schema: dict[str, Any]
    open_questions: tuple[OpenQuestion, ...]
    fingerprint: str


@functools.cache
def load_probes() -> Probes:
    """Read the questions that come with the package."""
    text = files("llmrec.llm").joinpath("probes.json").read_text(encoding="utf-8")
    raw = json.loads(text)
    return Probes(
        alignment_text=raw["alignment"]["text"],
        leads=raw["alignment"]["leads"],
        schema_question=raw["structured"]["schema_question"],
        surprising_schema=raw["structured"]["schema"],
        object_question=raw["structured"]["object_question"],
        show_schema=raw["show_schema"],
        open_schema=raw["open_answers"]["schema"],
        open_questions=raw["open_answers"]["questions"],
        fingerprint=hashlib.sha256(text.encode()).hexdigest()[:16],
    )


def response_format(rung: StructuredSupport, schema: dict[str, Any] | None) -> dict[str, Any] | None:
    """The response format of a rung of the ladder; None for the rungs that have none.

    Raises InexpressibleSchemaError when the schema has no strict form.
    """
    if rung == "json_schema" and schema is not None:
        form = {"name": "answer", "strict": True, "schema": strict_schema(schema)}
        return {"type": "json_schema", "json_schema": form}
    return {"type": "json_object"} if rung == "json_object" else None


def probe_structured(ask: Ask) -> StructuredSupport:
    """Find the firmest rung that really holds an answer, whatever the server says it understands.

    Returns `none` when the server does not chat at all.
    """
    probes = load_probes()
    schema = probes.surprising_schema
    surprise = {name: part["enum"][0] for name, part in schema["properties"].items()}
    try:
        if read_object(ask(probes.schema_question, response_format("json_schema", schema))) == surprise:
            return "json_schema"
    except EndpointMissingError:
        return "none"
    except (RequestRefusedError, UnreadableAnswerError):
        pass
    try:
        if ask(probes.object_question, response_format("json_object", None)).lstrip().startswith("{"):
            return "json_object"
    except (RequestRefusedError, UnreadableAnswerError):
        pass
    try:
        ask(probes.object_question, None)
    except RequestRefusedError:
        return "none"
    return "prompted"


def probe_score_lead(echo: Echo) -> tuple[str | None, str]:
    """Find the lead text with which echoed log-probabilities belong to their tokens.

    Some servers give each token the probability of its neighbour when the model adds no token at the
    beginning of a text. A repetition shows it: its words are likely in their place only.
    Returns the lead and "", or None and the reason.
    """
    probes = load_probes()
    text = probes.alignment_text
    for lead in probes.leads:
        try:
            found = echo(lead, text, len(text) * 2 // 3)
        except (RequestRefusedError, UnreadableAnswerError) as error:
            return None, str(error)
        if found is None:
            return None, "it echoes no log-probabilities of a prompt"
        known = [value for value in found if value is not None]
        if known and statistics.fmean(known) > ALIGNED_LOGPROB:
            return lead, ""
    return None, "the log-probabilities it echoes do not belong to their tokens"


def probe_open_answers(ask: Callable[[str], str]) -> bool:
    """Whether every one of a few easy questions is answered with the right number."""
    return all(
        read_object(ask(item.question)) == {"number": item.number} for item in load_probes().open_questions
    )


def find_context_length(models: Iterable[dict[str, Any]], name: str) -> int:
    """The context in tokens that a server's list of models gives for one; 0 when it does not say."""
    entries = list(models)
    named = [entry for entry in entries if entry.get("id") == name]
    for entry in named or entries[:1] * (len(entries) == 1):
        for field in CONTEXT_FIELDS:
            value = entry.get(field)
            if isinstance(value, int) and value > 0:
                return value
    return 0


def read_object(text: str) -> dict[str, Any] | None:
    """The JSON object in an answer, fenced or not; None without one."""
    try:
        found = json.loads(text[text.index("{") : text.rindex("}") + 1])
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
