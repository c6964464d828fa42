"""The wire to an OpenAI-compatible server: address, key, retries."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast
from urllib.parse import urlsplit, urlunsplit

import openai
import tenacity

from llmrec.errors import ModelError
from llmrec.llm.openai_failures import (
    LONGEST_WAIT,
    UnreadableAnswerError,
    explain_connection,
    explain_status,
    is_transient,
    seconds_asked_for,
)

logger = logging.getLogger(__name__)

DEFAULT_BASE_URL = "https://api.openai.com/v1"
# The client insists on a key; servers without authentication take any.
DUMMY_KEY = "no-key"
FIRST_WAIT = 0.5

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
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Prepare the connection; nothing is sent yet.

        `timeout` is in seconds for one attempt; `max_attempts` counts the first one; `sleep` waits between
        them. Raises ModelError when the address or the key cannot be used.
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

    @property
    def shown_url(self) -> str:
        """The server's address without any password in it."""
        parts = urlsplit(self.base_url)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))

    def close(self) -> None:
        """Close the connections; later requests raise ModelError."""
        self._closed.set()
        self._client.close()

    def check_open(self) -> None:
        """Raise ModelError when the client was closed."""
        if self._closed.is_set():
            raise ModelError(f"the model {self.model} was closed: open it again")

    def chat(self, messages: Sequence[Mapping[str, str]], options: Mapping[str, Any]) -> dict[str, Any]:
        """Ask /chat/completions; returns the answer's JSON object.

        Raises ModelUnavailableError after the last attempt, RequestRefusedError when the server will not,
        ContextLengthError when the text is too long, another ModelError when it cannot be asked at all.
        """
        create = self._client.chat.completions.with_raw_response.create
        return self._send(
            "/chat/completions",
            lambda: create(model=self.model, messages=cast(Any, list(messages)), extra_body=dict(options)),
        )

    def complete(self, prompt: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """Ask /completions; returns the answer's JSON object. Raises what `chat` raises."""
        create = self._client.completions.with_raw_response.create
        return self._send(
            "/completions", lambda: create(model=self.model, prompt=prompt, extra_body=dict(options))
        )

    def models(self) -> list[dict[str, Any]]:
        """What the server says about its models, one object each; empty when it does not answer that."""
        self.check_open()
        try:
            answer = self._parse("/models", self._client.models.with_raw_response.list())
        except (openai.OpenAIError, ModelError):
            return []
        data = answer.get("data")
        return [entry for entry in data if isinstance(entry, dict)] if isinstance(data, list) else []

    def _send(self, path: str, request: Callable[[], Any]) -> dict[str, Any]:
        self.check_open()
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._max_attempts),
            wait=_wait_as_told,
            retry=tenacity.retry_if_exception(is_transient),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            response = retrying(request)
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
        return self._parse(path, response)

    def _model_names(self) -> list[str]:
        return [str(entry.get("id")) for entry in self.models()]

    def _parse(self, path: str, response: Any) -> dict[str, Any]:
        text: str = response.http_response.text
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
