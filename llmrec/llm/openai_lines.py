"""Connections that any thread can cut, so that a request which waits for its server ends at once."""

from __future__ import annotations

import contextlib
import socket
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import openai

from llmrec.llm.cancellation import Cancellation


class Line:
    """A client that one call uses at a time, and so with one connection.

    Closing a socket does not wake a thread that reads from it; shutting it down does. No client tells which
    socket it uses for a request, but the transport reports each one that it opens.
    """

    def __init__(self, client: openai.OpenAI) -> None:
        """Prepare a client like the given one, with a connection of its own."""
        self._http = openai.DefaultHttpxClient(event_hooks={"request": [self._trace]})
        self.client = client.copy(http_client=self._http)
        self._is_cut = False
        self._socket: socket.socket | None = None

    def cut(self) -> None:
        """End what the line is used for, from any thread."""
        self._is_cut = True
        if self._socket is not None:
            _shut_down(self._socket)

    def mend(self) -> None:
        """Make it usable again, after whatever used it has ended; the client opens a new connection."""
        self._is_cut = False

    def close(self) -> None:
        """Close the connection, in the thread that used it or when none does."""
        self._http.close()

    def _trace(self, request: Any) -> None:
        request.extensions = {**request.extensions, "trace": self._watch_transport}

    def _watch_transport(self, event: str, info: dict[str, Any]) -> None:
        opened = (
            info.get("return_value") if event.endswith((".connect_tcp.complete", "_tls.complete")) else None
        )
        if opened is not None:
            self._socket = opened.get_extra_info("socket")
            # After it is in its place: a line that was cut a moment before could not find it.
            if self._is_cut and self._socket is not None:
                _shut_down(self._socket)


class Lines:
    """The lines to one server: as many as there are calls at once, kept for the next ones."""

    def __init__(self, client: openai.OpenAI) -> None:
        """Prepare for clients like the given one; none is made yet."""
        self._client = client
        self._lock = threading.Lock()
        self._idle: list[Line] = []
        self._busy: set[Line] = set()
        self._closed = False
        # Whoever forgets to close leaves no connection open, and no warning.
        weakref.finalize(self, _close_all, self._idle)

    @contextlib.contextmanager
    def borrow(self, cancellation: Cancellation) -> Iterator[openai.OpenAI]:
        """A client for the calls made inside, which fail as soon as `cancellation` is cancelled."""
        with self._lock:
            line = self._idle.pop() if self._idle else None
        line = line or Line(self._client)
        with self._lock:
            self._busy.add(line)
            if self._closed:
                line.cut()
        try:
            with cancellation.watched_by(line.cut):
                yield line.client
        finally:
            with self._lock:
                self._busy.discard(line)
                closed = self._closed
                if not closed:
                    line.mend()
                    self._idle.append(line)
            if closed:
                line.close()

    def close(self) -> None:
        """Close the lines that are idle, and cut those in use."""
        with self._lock:
            self._closed = True
            for line in self._busy:
                line.cut()
            _close_all(self._idle)


def _close_all(lines: list[Line]) -> None:
    while lines:
        lines.pop().close()


def _shut_down(opened: socket.socket) -> None:
    with contextlib.suppress(OSError):
        # Not the method of an SSLSocket, which changes what a thread inside it is using.
        socket.socket.shutdown(opened, socket.SHUT_RDWR)
