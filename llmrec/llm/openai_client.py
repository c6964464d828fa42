"""The wire to an OpenAI-compatible server: address, key, retries."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import openai
import tenacity

from llmrec.errors import ModelError
from llmrec.llm.cancellation import Cancellation
from llmrec.llm.openai_failures import (
    LONGEST_WAIT,
    BrokenStreamError,
    UnreadableAnswerError,
    explain_connection,
    explain_status,
    is_transient,
    seconds_asked_for,
)
from llmrec.llm.openai_lines import Lines
from llmrec.llm.openai_streams import Listener, read_stream

logger = logging.getLogger(__name__)

DEFAULT_BASE_URL = "https://api.openai.com/v1"
# The client insists on a key; servers without authentication take any.
DUMMY_KEY = "no-key"
FIRST_WAIT = 0.5
CHAT, COMPLETIONS = "/chat/completions", "/completions"

Messages = Sequence[Mapping[str, str]]

wait_exponentially = tenacity.wait_exponential(
    multiplier=FIRST_WAIT, max=LONGEST_WAIT / 2
) + tenacity.wait_random(0, FIRST_WAIT)


class ServerClient:
    """One model on one server. May be used from several threads at once."""

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None,
        api_key: str | None,
        timeout: float,
        max_attempts: int,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        """Prepare the connection; nothing is sent yet.

        `timeout` is how many seconds the server may be silent; `max_attempts` counts the first one; `sleep`
        waits between them, in place of a wait that a cancellation ends. Raises ModelError when the address or
        the key cannot be used.
        """
        self.model = model
        self.base_url = _checked_url(base_url or os.environ.get("OPENAI_BASE_URL") or DEFAULT_BASE_URL)
        self._timeout = timeout
        self._max_attempts = max(1, max_attempts)
        self._sleep = sleep
        self._closed = threading.Event()
        self._client = openai.OpenAI(
            base_url=self.base_url,
            api_key=_checked_key(api_key, self.base_url),
            timeout=timeout,
            max_retries=0,
        )
        self._lines = Lines(self._client)

    @property
    def shown_url(self) -> str:
        """The server's address without any password in it."""
        parts = urlsplit(self.base_url)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))

    def close(self) -> None:
        """Close the connections; later requests, and those that can be cancelled, raise ModelError."""
        self._closed.set()
        self._lines.close()
        self._client.close()

    def check_open(self) -> None:
        """Raise ModelError when the client was closed."""
        if self._closed.is_set():
            raise ModelError(f"the model {self.model} was closed: open it again")

    def chat(
        self, messages: Messages, options: Mapping[str, Any], *, cancellation: Cancellation | None = None
    ) -> dict[str, Any]:
        """Ask /chat/completions; returns the answer's JSON object.

        Raises ModelUnavailableError after the last attempt, RequestRefusedError when the server will not,
        ContextLengthError when the text is too long, another ModelError when it cannot be asked at all, and
        CallCancelledError soon after it was cancelled, whatever it waits for.
        """

        def request(client: openai.OpenAI) -> dict[str, Any]:
            return self._parse(CHAT, self._post_chat(client, messages, options).http_response.text)

        return self._send(CHAT, request, cancellation)

    def stream_chat(
        self,
        messages: Messages,
        options: Mapping[str, Any],
        listener: Listener,
        *,
        counted: bool,
        cancellation: Cancellation | None = None,
    ) -> dict[str, Any]:
        """Ask /chat/completions for an answer in pieces, which the listener hears; returns it in one.

        `counted` asks for the number of tokens too, which not every server knows how to add. A stream that
        breaks off is asked for again, in one piece, as long as nobody has heard of it. After that the pieces
        cannot be taken back: it raises BrokenStreamError, and otherwise what `chat` raises.
        """
        in_pieces: dict[str, Any] = {"stream": True}
        if counted:
            in_pieces["stream_options"] = {"include_usage": True}

        def request(client: openai.OpenAI) -> dict[str, Any]:
            listener.begin()
            response = self._post_chat(client, messages, options, **in_pieces)
            if not in_pieces:
                return self._parse(CHAT, response.http_response.text)
            try:
                return self._read_streamed(response, listener)
            except BrokenStreamError:
                in_pieces.clear()
                raise

        return self._send(CHAT, request, cancellation, may_repeat=lambda: not listener.bound)

    def complete(
        self, prompt: str, options: Mapping[str, Any], *, cancellation: Cancellation | None = None
    ) -> dict[str, Any]:
        """Ask /completions; returns the answer's JSON object. Raises what `chat` raises."""

        def request(client: openai.OpenAI) -> dict[str, Any]:
            create = client.completions.with_raw_response.create
            response = create(model=self.model, prompt=prompt, extra_body=dict(options))
            return self._parse(COMPLETIONS, response.http_response.text)

        return self._send(COMPLETIONS, request, cancellation)

    def models(self) -> list[dict[str, Any]]:
        """What the server says about its models, one object each; empty when it does not answer that."""
        self.check_open()
        try:
            answer = self._parse("/models", self._client.models.with_raw_response.list().http_response.text)
        except (openai.OpenAIError, ModelError):
            return []
        data = answer.get("data")
        return [entry for entry in data if isinstance(entry, dict)] if isinstance(data, list) else []

    def _post_chat(
        self, client: openai.OpenAI, messages: Messages, options: Mapping[str, Any], **further: Any
    ) -> Any:
        create: Any = client.chat.completions.with_raw_response.create
        return create(model=self.model, messages=list(messages), extra_body=dict(options), **further)

    def _send(
        self,
        path: str,
        request: Callable[[openai.OpenAI], dict[str, Any]],
        cancellation: Cancellation | None,
        may_repeat: Callable[[], bool] = lambda: True,
    ) -> dict[str, Any]:
        self.check_open()
        if cancellation is None:
            return self._attempt(path, lambda: request(self._client), self._sleep or time.sleep, may_repeat)

        def unless_cancelled() -> dict[str, Any]:
            cancellation.check()
            return request(client)

        with self._lines.borrow(cancellation) as client:
            try:
                return self._attempt(path, unless_cancelled, self._sleep or cancellation.wait, may_repeat)
            except Exception:
                # What a request fails with whose connection was cut tells nothing.
                cancellation.check()
                raise

    def _attempt(
        self,
        path: str,
        request: Callable[[], dict[str, Any]],
        sleep: Callable[[float], Any],
        may_repeat: Callable[[], bool],
    ) -> dict[str, Any]:
        def is_worth_repeating(error: BaseException) -> bool:
            return is_transient(error) and may_repeat() and not self._closed.is_set()

        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._max_attempts),
            wait=_wait_as_told,
            retry=tenacity.retry_if_exception(is_worth_repeating),
            sleep=sleep,
            reraise=True,
        )
        try:
            return retrying(request)
        except BrokenStreamError:
            self.check_open()
            raise
        except openai.APIConnectionError as error:
            self.check_open()
            raise explain_connection(error, self.shown_url, self._timeout, self._max_attempts) from error
        except openai.APIStatusError as error:
            raise explain_status(
                error, url=self.shown_url, path=path, model=self.model, models=self._model_names
            ) from error
        except (openai.OpenAIError, RuntimeError) as error:
            self.check_open()
            raise ModelError(f"the server at {self.shown_url} could not be asked: {error}") from error

    def _read_streamed(self, response: Any, listener: Listener) -> dict[str, Any]:
        http = response.http_response
        try:
            if "event-stream" in http.headers.get("content-type", ""):
                return read_stream(self._received(http), listener, self.shown_url)
            # A server that does not stream may answer in one piece, and one that does may not say so.
            body = b"".join(self._received(http))
            if body.lstrip().startswith(b"data:"):
                return read_stream([body], listener, self.shown_url)
            return self._parse(CHAT, body.decode("utf-8", "replace"))
        finally:
            http.close()

    def _received(self, http: Any) -> Iterator[bytes]:
        try:
            yield from http.iter_bytes()
        except Exception as error:
            raise BrokenStreamError(
                f"the answer of the server at {self.shown_url} broke off "
                f"({error or type(error).__name__}): try again"
            ) from error

    def _model_names(self) -> list[str]:
        return [str(entry.get("id")) for entry in self.models()]

    def _parse(self, path: str, text: str) -> dict[str, Any]:
        try:
            answer = json.loads(text)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise UnreadableAnswerError(
                f"{self.shown_url}{path} answered {text[:60]!r}, which is no OpenAI-compatible answer: "
                "check the base URL, which usually ends in /v1"
            )
        return answer


def _checked_url(base_url: str) -> str:
    url = base_url.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ModelError(f"{base_url!r} is no address of a server: write it like http://localhost:8000/v1")
    return url


def _checked_key(api_key: str | None, base_url: str) -> str:
    key = (api_key or os.environ.get("OPENAI_API_KEY") or "").strip()
    if not key:
        if urlsplit(base_url).hostname == urlsplit(DEFAULT_BASE_URL).hostname:
            raise ModelError(
                "api.openai.com needs a key: set OPENAI_API_KEY or give api_key, or name another server's URL"
            )
        return DUMMY_KEY
    if not key.isascii() or not key.isprintable():
        raise ModelError("the API key holds characters that no key has: copy it again")
    return key


def _wait_as_told(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    told = seconds_asked_for(error)
    wait = wait_exponentially(state) if told is None else told
    logger.info("waiting %.1f s after attempt %d: %s", wait, state.attempt_number, error)
    return wait
