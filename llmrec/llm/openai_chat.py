"""Conversations with a model on a server, and what is learned there of the form in which it takes them."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Sequence
from typing import Any

from llmrec.llm.base import StructuredSupport, Usage
from llmrec.llm.cancellation import Cancellation
from llmrec.llm.openai_answers import ChatAnswer, read_answer
from llmrec.llm.openai_client import ServerClient
from llmrec.llm.openai_failures import EndpointMissingError, RequestRefusedError
from llmrec.llm.openai_probes import load_probes, response_format
from llmrec.llm.openai_streams import Listener
from llmrec.llm.openai_traits import ServerTraits, Streaming
from llmrec.llm.schemas import InexpressibleSchemaError

logger = logging.getLogger(__name__)

LADDER: tuple[StructuredSupport, ...] = ("json_schema", "json_object", "prompted")
STREAMING: tuple[Streaming, ...] = ("counted", "plain", "none")
DROPPABLE_PARAMETERS = ("temperature", "seed", "stop")

Turns = Sequence[dict[str, str]]


class Chat:
    """Asks /chat/completions, and remembers what the server refused. Safe to use from several threads."""

    def __init__(
        self,
        client: ServerClient,
        traits: ServerTraits,
        *,
        learn: Callable[..., None],
        count: Callable[[Usage], Usage],
    ) -> None:
        """Prepare; `learn` takes changes to the traits, `count` what each request has cost."""
        self._client = client
        self._traits = traits
        self._learn = learn
        self._count = count
        self._rungs: dict[str, StructuredSupport] = {}

    def ask(
        self,
        turns: Turns,
        options: dict[str, Any],
        *,
        listener: Listener | None = None,
        cancellation: Cancellation | None = None,
    ) -> tuple[ChatAnswer, Usage]:
        """Ask; a listener hears the answer as it comes in, where the server can stream it.

        Returns the answer and what it cost. Raises what `ServerClient.chat` raises.
        """
        forms = self._forms(listener)
        while True:
            named = {self._traits.parameters.get(key, key): value for key, value in options.items()}
            named.pop("", None)
            try:
                raw = self._request(turns, named, forms[0], listener, cancellation)
            except RequestRefusedError as error:
                if self._learn_parameter(error, named):
                    continue
                # Nothing says that it was the form which was refused: then the next one is refused as well.
                if len(forms) == 1:
                    raise
                forms.pop(0)
                continue
            except Exception:
                if listener is not None:
                    self._count(listener.cost)
                raise
            if listener is not None and self._traits.streaming is None:
                self._learn(streaming=forms[0])
            answer = read_answer(ChatAnswer, raw, self._client.shown_url)
            return answer, self._count(answer.usage)

    def ask_by_schema(
        self,
        turns: Turns,
        options: dict[str, Any],
        schema: dict[str, Any],
        first: StructuredSupport,
        *,
        listener: Listener | None = None,
        cancellation: Cancellation | None = None,
    ) -> tuple[ChatAnswer, Usage, StructuredSupport]:
        """Ask on the rung `first` of the ladder, and one further down whenever the server refuses."""
        # Sorted keys would name two schemas alike that differ in the order in which they are filled in.
        key = json.dumps(schema)
        first = self._rungs.get(key, first)
        for rung in LADDER[LADDER.index(first) :] if first in LADDER else LADDER[-1:]:
            try:
                form = response_format(rung, schema)
                shown = turns if rung == "json_schema" else _with_schema(turns, schema)
                answer, usage = self.ask(
                    shown,
                    {**options, **({"response_format": form} if form else {})},
                    listener=listener,
                    cancellation=cancellation,
                )
            except (RequestRefusedError, InexpressibleSchemaError) as error:
                if rung == LADDER[-1] or isinstance(error, EndpointMissingError):
                    raise
                logger.info("%s does not take a schema by %s: %s", self._client.model, rung, error)
                continue
            if rung != first:
                self._rungs[key] = rung
            return answer, usage, rung
        raise AssertionError("the last rung answers or raises")

    def _forms(self, listener: Listener | None) -> list[Streaming]:
        if listener is None:
            return ["none"]
        known = self._traits.streaming
        return list(STREAMING) if known is None else [known]

    def _request(
        self,
        turns: Turns,
        options: dict[str, Any],
        form: Streaming,
        listener: Listener | None,
        cancellation: Cancellation | None,
    ) -> dict[str, Any]:
        if listener is None or form == "none":
            return self._client.chat(turns, options, cancellation=cancellation)
        return self._client.stream_chat(
            turns, options, listener, counted=form == "counted", cancellation=cancellation
        )

    def _learn_parameter(self, error: RequestRefusedError, sent: dict[str, Any]) -> bool:
        if "max_tokens" in sent and "max_completion_tokens" in error.detail:
            wanted = {"max_tokens": "max_completion_tokens"}
        else:
            wanted = {
                name: ""
                for name in DROPPABLE_PARAMETERS
                if name in sent and (error.parameter == name or re.search(rf"\b{name}\b", error.detail))
            }
        if not wanted:
            return False
        logger.info("%s takes other parameters: %s", self._client.model, wanted)
        self._learn(parameters={**self._traits.parameters, **wanted})
        return True


def _with_schema(turns: Turns, schema: dict[str, Any]) -> list[dict[str, str]]:
    """The conversation with the schema shown in it, unless it is already."""
    shown = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    if not turns or any(shown in turn["content"] for turn in turns):
        return list(turns)
    text = load_probes().show_schema.replace("{schema}", shown)
    last = turns[-1]
    if last["role"] != "user":
        return [*turns, {"role": "user", "content": text}]
    return [*turns[:-1], {"role": "user", "content": f"{last['content']}\n\n{text}"}]
