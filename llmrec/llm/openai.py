"""Any OpenAI-compatible server as a language model; what it can do is probed once and remembered."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from llmrec.errors import AnswerError, CallCancelledError, ModelError
from llmrec.llm.background import run_apart
from llmrec.llm.base import Capabilities, Completion, Message, Score, StructuredSupport, Usage
from llmrec.llm.cancellation import Cancellation
from llmrec.llm.openai_answers import ChatAnswer
from llmrec.llm.openai_chat import Chat
from llmrec.llm.openai_client import ServerClient
from llmrec.llm.openai_probes import (
    find_context_length,
    load_probes,
    probe_open_answers,
    probe_score_lead,
    probe_structured,
)
from llmrec.llm.openai_scores import SCORE_CURE, EchoLostError, EchoScorer
from llmrec.llm.openai_streams import Listener
from llmrec.llm.openai_traits import TraitsFile
from llmrec.llm.stopping import cut_at_stop

logger = logging.getLogger(__name__)

PROBE_TOKENS = 100
# For models that think before they answer.
LONG_PROBE_TOKENS = 4000
THREAD_NAME = "llmrec-openai"


class OpenAIModel:
    """A model behind the chat and completion endpoints of an OpenAI-compatible server.

    Servers differ in what they hold answers to and in which probabilities they give: the first use of each
    asks the server a few short questions, and `cache_dir` remembers the answers for a day. Safe to call from
    several threads.
    """

    scores_alone = True
    """`score` sends a request for every continuation, each with the whole prefix."""

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
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        """Name a model of a server; nothing is sent yet.

        `base_url` defaults to OPENAI_BASE_URL, then to api.openai.com; `api_key` to OPENAI_API_KEY.
        `timeout` is how many seconds the server may be silent, `max_attempts` counts the attempts at one
        request, and `max_concurrency` is how many continuations are scored at once. `sleep` waits between
        attempts, in place of a wait that a cancellation ends.
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
        self._learning = threading.Lock()
        self._counting = threading.Lock()
        self._usage = Usage()
        self._no_score = ""
        self._chat = Chat(self._client, self._traits, learn=self._learn, count=self._count)
        self._scorer = EchoScorer(self._client, count=self._count, max_concurrency=max_concurrency)

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
        on_text: Callable[[str], object] | None = None,
        cancellation: Cancellation | None = None,
    ) -> Completion:
        """Answer a conversation, held to a JSON schema by the firmest means the server has.

        `Completion.structured` names the means; below `json_schema` the answer may not fit the schema.
        With `on_text` or `cancellation` the answer is streamed, where the server can: without a count of
        tokens from it, a piece counts as one. A cancelled call closes its connection and returns within a
        second, also before the first piece and between two attempts.
        Raises ModelUnavailableError after the last attempt, and for a stream that breaks off after its first
        piece was handed on, which cannot be asked for again unnoticed; ContextLengthError when the
        conversation is too long, AnswerError when the model refuses, ModelError when the server cannot do it.
        """
        self._client.check_open()
        options: dict[str, Any] = {"max_tokens": max_tokens, "temperature": temperature, "seed": seed}
        if stop:
            options["stop"] = list(stop)
        if on_text is None and cancellation is None:
            return self._answer(messages, schema, options)
        if cancellation is not None and cancellation.cancelled:
            return Completion(text="", finish_reason="cancelled")
        listener, heard = Listener(stop), list[str]()

        def answer(hand_on: Callable[[str], None], own: Cancellation) -> Completion:
            if on_text is not None:
                listener.hand_on = hand_on
            return self._answer(messages, schema, options, listener, own)

        def hear(piece: str) -> None:
            heard.append(piece)
            if on_text is not None:
                on_text(piece)

        completion = run_apart(answer, on_text=hear, cancellation=cancellation, name=THREAD_NAME)
        if completion is None:
            text = "".join(heard) if on_text is not None else listener.said
            return Completion(text=text, finish_reason="cancelled", usage=listener.cost)
        return completion

    def score(
        self, prefix: str, continuations: Sequence[str], *, cancellation: Cancellation | None = None
    ) -> list[Score]:
        """Score each continuation by the log-probabilities that the server echoes.

        A server cuts prefix and continuation into tokens together: a token that reaches over the seam is
        counted with the continuation. An empty continuation scores 0 without a request.
        Raises ModelError when the server gives no probabilities, or none for a text without a prefix,
        CallCancelledError within a second after it was cancelled.
        """
        self._client.check_open()
        if cancellation is None:
            return self._score(prefix, continuations, None)
        cancellation.check()
        scores = run_apart(
            lambda _, own: self._score(prefix, continuations, own),
            on_text=None,
            cancellation=cancellation,
            name=THREAD_NAME,
        )
        if scores is None:
            raise CallCancelledError("the call was cancelled before every continuation was scored")
        return scores

    def close(self) -> None:
        """Close the connections. Closing twice is allowed; using the model afterwards raises ModelError."""
        self._client.close()

    def _answer(
        self,
        messages: Sequence[Message],
        schema: dict[str, Any] | None,
        options: dict[str, Any],
        listener: Listener | None = None,
        cancellation: Cancellation | None = None,
    ) -> Completion:
        turns = [{"role": message.role, "content": message.content} for message in messages]
        rung: StructuredSupport = "none"
        if schema is None:
            answer, usage = self._chat.ask(turns, options, listener=listener, cancellation=cancellation)
        else:
            first = self._structured_support(cancellation)
            answer, usage, rung = self._chat.ask_by_schema(
                turns, options, schema, first, listener=listener, cancellation=cancellation
            )
        if answer.refusal and not answer.text:
            raise AnswerError(
                f"{self._name} refused to answer: {answer.refusal[:200]}", answers=(answer.refusal,)
            )
        text = cut_at_stop(answer.text, options.get("stop", ()))
        if listener is not None:
            listener.finish(text)
        # Some servers do not know of stop strings, and go on to the last token they may write.
        reason = answer.finish_reason if text == answer.text else "stop"
        return Completion(text=text, finish_reason=reason, structured=rung, usage=usage)

    def _score(
        self, prefix: str, continuations: Sequence[str], cancellation: Cancellation | None
    ) -> list[Score]:
        if not continuations:
            return []
        lead = self._score_lead(cancellation)
        if lead is None:
            raise ModelError(f"{self._name} cannot score, because {self._no_score}: {SCORE_CURE}")
        try:
            return self._scorer.score(lead, prefix, continuations, cancellation=cancellation)
        except EchoLostError:
            self._learn(score_lead=None)
            raise

    def _count(self, usage: Usage) -> Usage:
        with self._counting:
            self._usage += usage
        return usage

    def _learn(self, **traits: Any) -> None:
        with self._learning:
            for name, value in traits.items():
                setattr(self._traits, name, value)
            self._file.save(self._traits)

    def _structured_support(self, cancellation: Cancellation | None = None) -> StructuredSupport:
        def ask(question: str, form: dict[str, Any] | None) -> str:
            further = {"response_format": form} if form else {}
            return _with_room_to_think(
                lambda options: self._chat.ask(
                    _question(question), {**options, **further}, cancellation=cancellation
                )[0]
            )

        with self._probing:
            if self._traits.structured is None:
                found = probe_structured(ask)
                self._learn(structured=found)
                logger.info("%s holds answers to a schema by %s", self._name, found)
                return found
            return self._traits.structured

    def _score_lead(self, cancellation: Cancellation | None = None) -> str | None:
        echo = partial(self._scorer.echo, cancellation=cancellation)
        with self._probing:
            if self._traits.score_lead is None and not self._no_score:
                lead, self._no_score = probe_score_lead(echo)
                self._learn(score_lead=lead)
            return self._traits.score_lead

    def _open_answers(self) -> bool:
        def ask(question: str) -> str:
            first, schema = self._structured_support(), load_probes().open_schema
            return _with_room_to_think(
                lambda options: self._chat.ask_by_schema(_question(question), options, schema, first)[0]
            )

        with self._probing:
            if self._traits.open_answers is None:
                self._learn(open_answers=probe_open_answers(ask))
            return bool(self._traits.open_answers)

    def _context_length(self) -> int:
        with self._probing:
            if self._traits.context_length is None:
                self._learn(context_length=find_context_length(self._client.models(), self._name))
            return self._traits.context_length or 0


def _question(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def _with_room_to_think(ask: Callable[[dict[str, Any]], ChatAnswer]) -> str:
    """Ask for a short answer, and once more for a model that was still thinking when it had to end."""
    options: dict[str, Any] = {"max_tokens": PROBE_TOKENS, "temperature": 0.0}
    answer = ask(options)
    if answer.finish_reason == "length" and not answer.text.strip():
        answer = ask({**options, "max_tokens": LONG_PROBE_TOKENS})
    return answer.text
