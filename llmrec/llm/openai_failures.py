"""Failures of an OpenAI-compatible server: which may pass, and what each means in one plain sentence."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

import openai

from llmrec.errors import ContextLengthError, ModelError, ModelUnavailableError

LONGEST_WAIT = 60.0
"""Seconds; a server that asks to wait longer is not waited for."""
SHOWN_MODELS = 5

TRANSIENT_STATUSES = frozenset({408, 409, 425, 429})
MISSING_STATUSES = frozenset({404, 405, 501})
# Some servers answer a request that they do not understand with status 500: asking again is of no use.
REFUSAL_WORDS = re.compile(
    r"validation error|response_format|json_schema|grammar|logits_all"
    r"|not (?:supported|implemented)|unsupported",
    re.IGNORECASE,
)
CONTEXT_WORDS = re.compile(
    r"context_length_exceeded|maximum context length|(?:exceed|longer than)\w*[^.]{0,40}\bcontext"
    r"|context (?:length|window|size)[^.]{0,20} exceeded|prompt is too long",
    re.IGNORECASE,
)
CONTEXT_LIMIT = re.compile(
    r"(?:maximum context length (?:is|of)|context (?:window|size|length)(?: of| is)?)\D{0,3}(\d+)",
    re.IGNORECASE,
)
CONTEXT_TOKENS = re.compile(
    r"(?:requested|request has|resulted in|requested tokens|request) \(?(\d+)", re.IGNORECASE
)


class RequestRefusedError(ModelError):
    """The server will not do this request; `parameter` is the one it names, `detail` its own words."""

    def __init__(self, message: str, *, detail: str = "", parameter: str | None = None) -> None:
        super().__init__(message)
        self.detail = detail
        self.parameter = parameter


class EndpointMissingError(RequestRefusedError):
    """The server has no such endpoint, or not for this model."""


class BrokenStreamError(ModelUnavailableError):
    """A streamed answer ended before it was complete."""


class UnreadableAnswerError(ModelError):
    """The server answered with something else than an OpenAI-compatible answer."""


def is_transient(error: BaseException) -> bool:
    """Whether asking again may help, and soon enough to wait for it."""
    if isinstance(error, (openai.APIConnectionError, BrokenStreamError)):
        return True
    if not isinstance(error, openai.APIStatusError) or (seconds_asked_for(error) or 0) > LONGEST_WAIT:
        return False
    return _passes(error)


def seconds_asked_for(error: BaseException | None) -> float | None:
    """What a Retry-After header asks for, as seconds or as a date; None without a usable one."""
    if not isinstance(error, openai.APIStatusError):
        return None
    header = str(error.response.headers.get("retry-after", "")).strip()
    if re.fullmatch(r"\d+(\.\d+)?", header):
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except (TypeError, ValueError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return max(0.0, (moment - datetime.now(timezone.utc)).total_seconds())


def explain_connection(
    error: openai.APIConnectionError, url: str, timeout: float, attempts: int
) -> ModelError:
    """Say what a connection that never came about means; `timeout` is in seconds."""
    if isinstance(error, openai.APITimeoutError):
        return ModelUnavailableError(
            f"the server at {url} gave no answer within {timeout:g} s, {attempts} times: "
            "raise the timeout, or try again when it is less busy"
        )
    return ModelUnavailableError(
        f"no connection to {url} in {attempts} attempts ({error.__cause__ or error}): "
        "start the server, or check the address"
    )


def explain_status(
    error: openai.APIStatusError, *, url: str, path: str, model: str, models: Callable[[], Sequence[str]]
) -> ModelError:
    """Say what an error status means; `models` asks the server for the names it knows."""
    status, detail = error.status_code, detail_of(error)
    if CONTEXT_WORDS.search(f"{error.code} {detail}"):
        limit, tokens = CONTEXT_LIMIT.search(detail), CONTEXT_TOKENS.search(detail)
        return ContextLengthError(
            f"the text is longer than the context of {model}: give a shorter history, or use a model with a "
            f"longer context ({detail[:200]})",
            tokens=int(tokens.group(1)) if tokens else None,
            limit=int(limit.group(1)) if limit else None,
        )
    if status in MISSING_STATUSES or error.code == "model_not_found":
        return _explain_missing(models(), url=url, path=path, model=model, detail=detail)
    if status in (401, 403):
        return ModelError(
            f"the server at {url} refused the key (status {status}): "
            "give one that may use this model, as api_key or in OPENAI_API_KEY"
        )
    if error.code == "insufficient_quota":
        return ModelError(f"the account at {url} has no credit left: add some, or use another key")
    if _passes(error):
        wait = seconds_asked_for(error)
        advice = f"it asks to wait {wait:.0f} s" if wait else "wait a little and try again"
        return ModelUnavailableError(
            f"the server at {url} failed with status {status} ({detail[:120] or 'no reason given'}): {advice}"
        )
    return RequestRefusedError(
        f"the server at {url} refused the request (status {status}): {detail[:300] or 'it gave no reason'}",
        detail=detail,
        parameter=error.param,
    )


def detail_of(error: openai.APIStatusError) -> str:
    """The server's own words, from the several shapes in which servers put them."""
    body: Any = error.body
    if isinstance(body, dict):
        body = body.get("error") or body.get("message") or body.get("detail") or body
    if isinstance(body, dict):
        body = body.get("message") or body
    if body and not isinstance(body, str):
        body = json.dumps(body, ensure_ascii=False, default=str)
    return " ".join(str(body or "").split())


def _passes(error: openai.APIStatusError) -> bool:
    """Whether the fault is the server's own and may pass by itself."""
    if error.code == "insufficient_quota" or error.status_code == 501:
        return False
    if error.status_code < 500:
        return error.status_code in TRANSIENT_STATUSES
    detail = detail_of(error)
    refused = error.status_code == 500 and REFUSAL_WORDS.search(detail)
    return not refused and not CONTEXT_WORDS.search(detail)


def _explain_missing(names: Sequence[str], *, url: str, path: str, model: str, detail: str) -> ModelError:
    if names and model not in names:
        shown = ", ".join(names[:SHOWN_MODELS]) + (", …" if len(names) > SHOWN_MODELS else "")
        return ModelError(f"the server at {url} has no model {model!r}: choose one of {shown}")
    return EndpointMissingError(
        f"the server at {url} has no {path} for {model!r}: check the name and the base URL, which usually "
        f"ends in /v1 ({detail[:120] or 'not found'})",
        detail=detail,
    )
