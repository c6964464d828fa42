"""Any OpenAI-compatible server as a language model; what it can do is probed once and remembered."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from llmrec.errors import AnswerError, ModelError
from llmrec.llm.base import Capabilities, Completion, Message, Score, StructuredSupport, Usage
from llmrec.llm.openai_answers import ChatAnswer, EchoAnswer, read_answer, within
from llmrec.llm.openai_client import ServerClient
from llmrec.llm.openai_failures import EndpointMissingError, RequestRefusedError
from llmrec.llm.openai_probes import (
    find_context_length,
    load_probes,
    probe_open_answers,
    probe_score_lead,
    probe_structured,
    response_format,
)
from llmrec.llm.openai_traits import TraitsFile
from llmrec.llm.schemas import InexpressibleSchemaError

logger = logging.getLogger(__name__)

LADDER: tuple[StructuredSupport, ...] = ("json_schema", "json_object", "prompted")
PROBE_TOKENS = 100
# For models that think before they answer.
LONG_PROBE_TOKENS = 4000
LEAST_LOGPROB = -9999.0
SCORE_CURE = (
    "use a server that echoes log-probabilities of the prompt (vLLM, or llama-cpp-python started with "
    "--logits_all true), or rely on generated answers"
)


class OpenAIModel:
    """A model behind the chat and completion endpoints of an OpenAI-compatible server.

    Servers differ in what they hold answers to and in which probabilities they give: the first use of each
    asks the server a few short questions, and `cache_dir` remembers the answers for a day. Safe to call from
    several threads.
    """

    def __init__(
        self,
        name: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout: float = 60,
        max_attempts: int = 4,
        cache_dir: Path | None = None,
        max_concurrency: int = 1,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Name a model of a server; nothing is sent yet.

        `base_url` defaults to OPENAI_BASE_URL, then to api.openai.com; `api_key` to OPENAI_API_KEY.
        `timeout` is in seconds for one attempt, `max_attempts` counts the attempts at one request, and
        `max_concurrency` is how many continuations are scored at once. `sleep` waits between attempts.
        Raises ModelError when the address or the key cannot be used.
        """
        self._client = ServerClient(
            name,
            base_url=base_url,
            api_key=api_key,
            timeout=timeout,
            max_attempts=max_attempts,
            sleep=sleep,
        )
        self._name = name
        self._file = TraitsFile(cache_dir, self._client.base_url, name)
        self._traits = self._file.load()
        self._probing = threading.RLock()
        self._counting = threading.Lock()
        self._usage = Usage()
        self._no_score = ""
        self._rungs: dict[str, StructuredSupport] = {}
        self._max_concurrency = max(1, max_concurrency)

    @property
    def name(self) -> str:
        """The model's name on the server."""
        return self._name

    @property
    def fingerprint(self) -> str:
        """Identity of the server's address and the model's name; a server does not tell its weights."""
        identity = json.dumps(["openai", self._client.base_url, self._name])
        return hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    @property
    def usage(self) -> Usage:
        """Everything this instance has cost so far, its probes included."""
        with self._counting:
            return self._usage

    @property
    def capabilities(self) -> Capabilities:
        """What this model can do on this server; the first time, the server is asked.

        Raises ModelUnavailableError when the server does not answer, ModelError when it has no such model.
        """
        self._client.check_open()
        structured = self._structured_support()
        generates = structured != "none"
        return Capabilities(
            score=self._score_lead() is not None,
            generate=generates,
            structured=structured,
            open_answers=generates and self._open_answers(),
            context_length=self._context_length() or None,
        )

    def generate(
        self,
        messages: Sequence[Message],
        *,
        schema: dict[str, Any] | None = None,
        max_tokens: int = 512,
        temperature: float = 0.0,
        seed: int = 0,
        stop: Sequence[str] = (),
    ) -> Completion:
        """Answer a conversation, held to a JSON schema by the firmest means the server has.

        `Completion.structured` names the means; below `json_schema` the answer may not fit the schema.
        Raises ModelUnavailableError after the last attempt, ContextLengthError when the conversation is too
        long, AnswerError when the model refuses, ModelError when the server cannot do it.
        """
        self._client.check_open()
        options: dict[str, Any] = {"max_tokens": max_tokens, "temperature": temperature, "seed": seed}
        if stop:
            options["stop"] = list(stop)
        turns = [{"role": message.role, "content": message.content} for message in messages]
        if schema is None:
            answer, usage = self._chat(turns, options)
            rung: StructuredSupport = "none"
        else:
            answer, usage, rung = self._chat_by_schema(turns, options, schema)
        if answer.refusal and not answer.text:
            raise AnswerError(
                f"{self._name} refused to answer: {answer.refusal[:200]}", answers=(answer.refusal,)
            )
        text = answer.text
        for end in filter(None, stop):
            text = text.partition(end)[0]
        return Completion(text=text, finish_reason=answer.finish_reason, structured=rung, usage=usage)

    def score(self, prefix: str, continuations: Sequence[str]) -> list[Score]:
        """Score each continuation by the log-probabilities that the server echoes.

        A server cuts prefix and continuation into tokens together: a token that reaches over the seam is
        counted with the continuation. An empty continuation scores 0 without a request.
        Raises ModelError when the server gives no probabilities, or none for a text without a prefix.
        """
        self._client.check_open()
        if not continuations:
            return []
        lead = self._score_lead()
        if lead is None:
            raise ModelError(f"{self._name} cannot score, because {self._no_score}: {SCORE_CURE}")

        def score_one(continuation: str) -> Score:
            return self._score_one(lead, prefix, continuation)

        if self._max_concurrency == 1:
            return [score_one(continuation) for continuation in continuations]
        with ThreadPoolExecutor(self._max_concurrency) as pool:
            return list(pool.map(score_one, continuations))

    def close(self) -> None:
        """Close the connections. Closing twice is allowed; using the model afterwards raises ModelError."""
        self._client.close()

    def _chat_by_schema(
        self, turns: list[dict[str, str]], options: dict[str, Any], schema: dict[str, Any]
    ) -> tuple[ChatAnswer, Usage, StructuredSupport]:
        """Ask on the firmest rung of the ladder, and one further down whenever the server refuses."""
        # Sorted keys would name two schemas alike that differ in the order in which they are filled in.
        key = json.dumps(schema)
        first = self._rungs.get(key) or self._structured_support()
        for rung in LADDER[LADDER.index(first) :] if first in LADDER else LADDER[-1:]:
            try:
                form = response_format(rung, schema)
                shown = turns if rung == "json_schema" else _with_schema(turns, schema)
                answer, usage = self._chat(shown, {**options, **({"response_format": form} if form else {})})
            except (RequestRefusedError, InexpressibleSchemaError) as error:
                if rung == LADDER[-1] or isinstance(error, EndpointMissingError):
                    raise
                logger.info("%s does not take a schema by %s: %s", self._name, rung, error)
                continue
            if rung != first:
                self._rungs[key] = rung
            return answer, usage, rung
        raise AssertionError("the last rung answers or raises")

    def _chat(self, turns: list[dict[str, str]], options: dict[str, Any]) -> tuple[ChatAnswer, Usage]:
        """Ask, and learn on the way which parameters this server wants otherwise."""
        while True:
            named = {self._traits.parameters.get(key, key): value for key, value in options.items()}
            named.pop("", None)
            try:
                raw = self._client.chat(turns, named)
            except RequestRefusedError as error:
                if not self._learn_parameter(error, named):
                    raise
                continue
            answer = read_answer(ChatAnswer, raw, self._client.shown_url)
            return answer, self._count(answer.usage)

    def _learn_parameter(self, error: RequestRefusedError, sent: dict[str, Any]) -> bool:
        if "max_tokens" in sent and "max_completion_tokens" in error.detail:
            wanted = {"max_tokens": "max_completion_tokens"}
        else:
            wanted = {
                name: ""
                for name in ("temperature", "seed", "stop")
                if name in sent and (error.parameter == name or re.search(rf"\b{name}\b", error.detail))
            }
        if not wanted:
            return False
        logger.info("%s takes other parameters: %s", self._name, wanted)
        with self._probing:
            self._traits.parameters = {**self._traits.parameters, **wanted}
            self._file.save(self._traits)
        return True

    def _score_one(self, lead: str, prefix: str, continuation: str) -> Score:
        if not continuation:
            return Score(logprob=0.0, tokens=0)
        found = self._echo(lead, prefix + continuation, len(prefix))
        if found is None:
            with self._probing:
                self._traits.score_lead = None
            raise ModelError(
                f"{self._name} at {self._client.shown_url} echoed no log-probabilities for a text, though it "
                f"did before: {SCORE_CURE}"
            )
        values = [within(LEAST_LOGPROB, value, 0.0) for value in found if value is not None]
        if len(values) < len(found) or not values:
            raise ModelError(
                f"{self._name} gives no probability for the first token of a text: score with a prefix"
            )
        return Score(logprob=sum(values), tokens=len(values))

    def _echo(self, lead: str, text: str, start: int) -> list[float | None] | None:
        # One token more is asked for than needed: some servers take 0 for "without end".
        options = {"echo": True, "logprobs": 1, "max_tokens": 1, "temperature": 0.0}
        answer = read_answer(EchoAnswer, self._client.complete(lead + text, options), self._client.shown_url)
        self._count(answer.usage)
        return answer.continuation_logprobs(text, start)

    def _count(self, usage: Usage) -> Usage:
        with self._counting:
            self._usage += usage
        return usage

    def _ask(self, question: str, form: dict[str, Any] | None) -> str:
        turns = [{"role": "user", "content": question}]
        options: dict[str, Any] = {"max_tokens": PROBE_TOKENS, "temperature": 0.0}
        if form:
            options["response_format"] = form
        answer, _ = self._chat(turns, options)
        if answer.finish_reason == "length" and not answer.text.strip():
            answer, _ = self._chat(turns, {**options, "max_tokens": LONG_PROBE_TOKENS})
        return answer.text

    def _structured_support(self) -> StructuredSupport:
        with self._probing:
            if self._traits.structured is None:
                self._traits.structured = probe_structured(self._ask)
                self._file.save(self._traits)
                logger.info("%s holds answers to a schema by %s", self._name, self._traits.structured)
            return self._traits.structured

    def _score_lead(self) -> str | None:
        with self._probing:
            if self._traits.score_lead is None and not self._no_score:
                self._traits.score_lead, self._no_score = probe_score_lead(self._echo)
                self._file.save(self._traits)
            return self._traits.score_lead

    def _open_answers(self) -> bool:
        def ask(question: str) -> str:
            turns = [{"role": "user", "content": question}]
            options = {"max_tokens": PROBE_TOKENS, "temperature": 0.0}
            answer, _, _ = self._chat_by_schema(turns, options, load_probes().open_schema)
            return answer.text

        with self._probing:
            if self._traits.open_answers is None:
                self._traits.open_answers = probe_open_answers(ask)
                self._file.save(self._traits)
            return self._traits.open_answers

    def _context_length(self) -> int:
        with self._probing:
            if self._traits.context_length is None:
                self._traits.context_length = find_context_length(self._client.models(), self._name)
                self._file.save(self._traits)
            return self._traits.context_length


def _with_schema(turns: Sequence[dict[str, str]], schema: dict[str, Any]) -> list[dict[str, str]]:
    """The conversation with the schema shown in it, unless it is already."""
    shown = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    if not turns or any(shown in turn["content"] for turn in turns):
        return list(turns)
    text = load_probes().show_schema.replace("{schema}", shown)
    last = turns[-1]
    if last["role"] != "user":
        return [*turns, {"role": "user", "content": text}]
    return [*turns[:-1], {"role": "user", "content": f"{last['content']}\n\n{text}"}]
