"""Streamed answers of an OpenAI-compatible server: from bytes to text that will not be taken back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from llmrec.llm.base import Usage
from llmrec.llm.openai_answers import THOUGHTS_BEGIN, THOUGHTS_END, ChatChunk
from llmrec.llm.openai_failures import BrokenStreamError, UnreadableAnswerError
from llmrec.llm.stopping import StopFilter

LAST_EVENT = "[DONE]"


class Listener:
    """Hears one answer as it comes in, and hands on what is sure to be in the Completion's text."""

    def __init__(self, stops: Sequence[str]) -> None:
        """Prepare for one answer."""
        self._stops = tuple(stops)
        self.said = ""
        """The text so far, and all that was handed on."""
        self.hand_on: Callable[[str], object] | None = None
        """What takes each new piece; None where nobody wants them."""
        self.begin()

    @property
    def bound(self) -> bool:
        """Whether somebody has a piece already: another answer could no longer take this one's place."""
        return self.hand_on is not None and bool(self.said)

    @property
    def cost(self) -> Usage:
        """What the answer has cost so far, a token a piece; nothing before its first piece."""
        return Usage(calls=1, completion_tokens=self._received) if self._received else Usage()

    def begin(self) -> None:
        """Listen to an answer from its beginning."""
        self._thoughts, self._stop = ThoughtsFilter(), StopFilter(self._stops)
        self._received = 0
        if self.hand_on is None:
            self.said = ""

    def hear(self, content: str) -> None:
        """Take the next piece of the answer as the server sends it."""
        self._received += 1
        self._say(self._stop.feed(self._thoughts.feed(content)))

    def finish(self, text: str) -> None:
        """The answer is over, and this is its text: hand on what was held back of it."""
        self._say(text[len(self.said) :])

    def _say(self, text: str) -> None:
        if text:
            self.said += text
            if self.hand_on is not None:
                self.hand_on(text)


class ThoughtsFilter:
    """Lets through an answer without the thoughts at its beginning, as ChatAnswer.text does at once."""

    def __init__(self) -> None:
        self._held = ""
        self._place = "before"

    def feed(self, text: str) -> str:
        """Take the next piece; returns what is certainly no thought, perhaps nothing."""
        text, self._held = self._held + text, ""
        if self._place == "before":
            beginning = text.lstrip()
            if THOUGHTS_BEGIN.startswith(beginning):
                self._held = text
                return ""
            self._place = "thoughts" if beginning.startswith(THOUGHTS_BEGIN) else "answer"
        if self._place == "thoughts":
            _, end, rest = text.partition(THOUGHTS_END)
            if not end:
                self._held = text[-len(THOUGHTS_END) :]
                return ""
            self._place, text = "newlines", rest
        if self._place == "newlines":
            text = text.lstrip("\n")
            if text:
                self._place = "answer"
        return text


def events(chunks: Iterable[bytes]) -> Iterator[str]:
    """The data of server-sent events, from their bytes as they come."""
    held, data = b"", list[str]()
    for chunk in chunks:
        # Not splitlines: JSON may hold characters that Python, but not the protocol, takes for line ends.
        *lines, held = (held + chunk).split(b"\n")
        for line in lines:
            yield from _take_line(line, data)
    yield from _take_line(held, data)
    yield from _take_line(b"", data)


def _take_line(raw: bytes, data: list[str]) -> Iterator[str]:
    line = raw.rstrip(b"\r")
    if line.startswith(b"data:"):
        data.append(line[5:].decode("utf-8", "replace").removeprefix(" "))
    elif not line and data:
        yield "\n".join(data)
        data.clear()


def read_stream(chunks: Iterable[bytes], listener: Listener, url: str) -> dict[str, Any]:
    """Read a streamed answer to its end; returns it as the server would have sent it in one piece.

    Raises BrokenStreamError when the stream ends before the answer does, UnreadableAnswerError when it is
    none.
    """
    content: list[str] = []
    refusal, reason, usage = "", None, None
    try:
        for event in events(chunks):
            if event.strip() == LAST_EVENT:
                break
            chunk = _read_chunk(event, url)
            usage = chunk.usage or usage
            for choice in chunk.choices[:1]:
                reason = choice.finish_reason or reason
                refusal += choice.delta.refusal or ""
                if choice.delta.text:
                    content.append(choice.delta.text)
                    listener.hear(choice.delta.text)
    except BrokenStreamError:
        # What comes after the reason only counts tokens.
        if reason is None:
            raise
    if reason is None:
        # Also with a last event: llama-cpp-python's server lets another request cut this one off so.
        raise BrokenStreamError(
            f"the server at {url} ended its answer before it was complete: try again when it is less busy"
        )
    message = {"content": "".join(content), "refusal": refusal}
    return {
        "choices": [{"message": message, "finish_reason": reason}],
        "usage": usage or {"completion_tokens": len(content)},
    }


def _read_chunk(event: str, url: str) -> ChatChunk:
    try:
        chunk = ChatChunk.model_validate(json.loads(event))
    except ValueError:
        raise UnreadableAnswerError(
            f"the server at {url} streams {event[:60]!r}, which is no part of an OpenAI-compatible answer: "
            "check the base URL, which usually ends in /v1"
        ) from None
    if chunk.error:
        said = chunk.error.get("message") if isinstance(chunk.error, dict) else chunk.error
        raise BrokenStreamError(
            f"the server at {url} ended its answer with an error ({str(said)[:200]}): try again"
        )
    return chunk
