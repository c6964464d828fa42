"""A small server on loopback that says what a test tells it to, at once or in pieces: real HTTP, no model."""

from __future__ import annotations

import json
import select
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PAUSE = object()
"""Instead of a part: wait until the test sets `released`, or the client goes."""
BREAK = object()
"""Instead of a part: close the connection, as a server that crashes."""


@dataclass
class Reply:
    """What the server answers: a status, a JSON value or raw text, further headers."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    stalls: bool = False
    """Whether the server pauses before the first byte of its answer."""
    parts: Sequence[Any] | None = None
    """In place of a body, what is streamed: JSON values and texts as events, bytes as they are, pauses."""
    chunked: bool = True
    """Whether a stream says where it ends; without, it ends with the connection."""


Handler = Callable[[dict[str, Any]], Reply]


@dataclass
class FakeServer:
    """Handlers by path; `requests` holds (path, body) of everything asked, `clients` from which port."""

    base_url: str
    handlers: dict[str, Handler] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    clients: list[int] = field(default_factory=list)
    paused: threading.Event = field(default_factory=threading.Event)
    """Set when the server begins to pause."""
    released: threading.Event = field(default_factory=threading.Event)
    """To be set by a test, to end every pause."""
    gone: threading.Event = field(default_factory=threading.Event)
    """Set when a client closed its connection during a pause."""

    def bodies(self, path: str) -> list[dict[str, Any]]:
        """What was asked at one path."""
        return [body for asked, body in self.requests if asked == path]

    def on(self, path: str, *replies: Reply | Handler) -> None:
        """Answer a path with these in turn, and with the last one for ever."""
        waiting = list(replies)

        def handle(body: dict[str, Any]) -> Reply:
            reply = waiting.pop(0) if len(waiting) > 1 else waiting[0]
            return reply(body) if callable(reply) else reply

        self.handlers[path] = handle


@contextmanager
def running_server() -> Iterator[FakeServer]:
    """Start a fake server, and stop it at the end."""
    fake = FakeServer("")

    class RequestHandler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            self._answer(json.loads(self.rfile.read(length)))

        def _answer(self, body: dict[str, Any]) -> None:
            path = self.path.removeprefix("/v1")
            fake.requests.append((path, body))
            fake.clients.append(self.client_address[1])
            fake.keys.append(self.headers.get("Authorization", ""))
            handler = fake.handlers.get(path)
            reply = handler(body) if handler else Reply({"error": {"message": "not found"}}, 404)
            if reply.stalls:
                self._pause()
            if reply.parts is not None:
                self._stream(reply, reply.parts)
                return
            is_text = isinstance(reply.body, str)
            data = (reply.body if is_text else json.dumps(reply.body)).encode()
            self.send_response(reply.status)
            self.send_header("Content-Type", "text/html" if is_text else "application/json")
            self.send_header("Content-Length", str(len(data)))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def _stream(self, reply: Reply, parts: Sequence[Any]) -> None:
            headers = {"Content-Type": "text/event-stream", **reply.headers}
            headers |= {"Transfer-Encoding": "chunked"} if reply.chunked else {"Connection": "close"}
            self.send_response(reply.status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            for part in parts:
                if part is PAUSE:
                    self._pause()
                    continue
                if part is BREAK:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                if not isinstance(part, bytes):
                    text = part if isinstance(part, str) else json.dumps(part, ensure_ascii=False)
                    part = f"data: {text}\n\n".encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part) if reply.chunked else part)
            if reply.chunked:
                self.wfile.write(b"0\r\n\r\n")

        def _pause(self) -> None:
            fake.paused.set()
            while not fake.released.is_set():
                readable, _, _ = select.select([self.connection], [], [], 0.01)
                if readable and not self.connection.recv(1, socket.MSG_PEEK):
                    fake.gone.set()
                    raise ConnectionAbortedError

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Keep quiet."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """Keep quiet about clients that go."""

    server = Server(("127.0.0.1", 0), RequestHandler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    fake.base_url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield fake
    finally:
        fake.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


def chat(text: str | None, *, finish_reason: str | None = "stop", usage: Any = None, **message: Any) -> Reply:
    """An answer of /chat/completions."""
    turn = {"role": "assistant", "content": text, **message}
    body: dict[str, Any] = {"choices": [{"index": 0, "message": turn, "finish_reason": finish_reason}]}
    return Reply({**body, "usage": usage} if usage else body)


def piece(content: Any = None, *, finish_reason: str | None = None, **delta: Any) -> dict[str, Any]:
    """A part of a streamed answer of /chat/completions."""
    turn = {**({"content": content} if content is not None else {}), **delta}
    return {"choices": [{"index": 0, "delta": turn, "finish_reason": finish_reason}]}


def streamed(*parts: Any, finish_reason: str | None = "stop", usage: Any = None, **options: Any) -> Reply:
    """A streamed answer: texts and other parts, then why it ended, what it cost, and the last event."""
    said = [piece(part) if isinstance(part, str) else part for part in parts]
    ended = [piece(finish_reason=finish_reason)] if finish_reason else []
    counted = [{"choices": [], "usage": usage}] if usage else []
    return Reply(parts=[piece("", role="assistant"), *said, *ended, *counted, "[DONE]"], **options)


def in_pieces(handler: Reply | Handler, size: int = 3) -> Handler:
    """Like the given server, but one that streams when it is asked to, `size` characters at a time."""

    def handle(body: dict[str, Any]) -> Reply:
        reply = handler(body) if callable(handler) else handler
        if not body.get("stream") or reply.status != 200:
            return reply
        (choice,) = reply.body["choices"]
        message = {key: value for key, value in choice["message"].items() if key not in ("content", "role")}
        content = choice["message"].get("content") or ""
        texts = [content[begin : begin + size] for begin in range(0, len(content), size)]
        usage = reply.body.get("usage") if body.get("stream_options", {}).get("include_usage") else None
        return streamed(
            piece(**message), *texts, finish_reason=choice.get("finish_reason") or "stop", usage=usage
        )

    return handle


def error(status: int, message: str = "no", *, headers: dict[str, str] | None = None, **fields: Any) -> Reply:
    """An error as OpenAI words it."""
    return Reply({"error": {"message": message, "type": "error", **fields}}, status, headers or {})
