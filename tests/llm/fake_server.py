"""A small server on loopback that says what a test tells it to: real HTTP, no model."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """What the server answers: a status, a JSON value or raw text, further headers."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


Handler = Callable[[dict[str, Any]], Reply]


@dataclass
class FakeServer:
    """Handlers by path; `requests` holds (path, body) of everything asked."""

    base_url: str
    handlers: dict[str, Handler] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

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
            fake.keys.append(self.headers.get("Authorization", ""))
            handler = fake.handlers.get(path)
            reply = handler(body) if handler else Reply({"error": {"message": "not found"}}, 404)
            is_text = isinstance(reply.body, str)
            data = (reply.body if is_text else json.dumps(reply.body)).encode()
            self.send_response(reply.status)
            self.send_header("Content-Type", "text/html" if is_text else "application/json")
            self.send_header("Content-Length", str(len(data)))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), RequestHandler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    fake.base_url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def chat(text: str | None, *, finish_reason: str | None = "stop", usage: Any = None, **message: Any) -> Reply:
    """An answer of /chat/completions."""
    turn = {"role": "assistant", "content": text, **message}
    body: dict[str, Any] = {"choices": [{"index": 0, "message": turn, "finish_reason": finish_reason}]}
    return Reply({**body, "usage": usage} if usage else body)


def error(status: int, message: str = "no", *, headers: dict[str, str] | None = None, **fields: Any) -> Reply:
    """An error as OpenAI words it."""
    return Reply({"error": {"message": message, "type": "error", **fields}}, status, headers or {})
