"""Providers on this machine that answer in OpenAI's format, and fail now and then, each in its turn in another way."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from threading import Lock, Thread
from typing import Any

FAULTS = ("rate limit", *("server error", "broken connection", "invalid JSON") * 2)


class Providers:
    """What the servers have in common.

    Attributes:
        urls: Their addresses.
        requests: The prompt of every request, in the order of arrival.
        answered: How often each prompt got a valid response.
        faults: How often each fault was made.

    Args:
        share: The share of requests that fail, from 0 to 1.
        seconds: How long a response takes.
        draw: Decides which requests fail.
    """

    def __init__(self, share: float, seconds: float, draw: Random) -> None:
        self.urls: list[str] = []
        self.requests: list[str] = []
        self.answered: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self._share, self._seconds, self._draw, self._lock = share, seconds, draw, Lock()

    def receive(self, prompt: str) -> str | None:
        """Record a request; return the fault to make, or None for a response."""
        with self._lock:
            self.requests.append(prompt)
            fault = FAULTS[self._draw.randrange(len(FAULTS))] if self._draw.random() < self._share else None
            if fault:
                self.faults[fault] += 1
        time.sleep(self._seconds)
        return fault

    def record_answer(self, prompt: str) -> None:
        """Record that a prompt got a valid response."""
        with self._lock:
            self.answered[prompt] += 1


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    providers: Providers

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing of a client that was killed."""


class _Chat(BaseHTTPRequestHandler):
    """Handler that answers chats, or makes a fault."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        """Answer with the prompt in capital letters, unless this request is one that fails."""
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        prompt = request["messages"][-1]["content"]
        with suppress(ConnectionError):  # the client was killed
            match self.server.providers.receive(prompt):
                case "rate limit":
                    self._send(429, b'{"error": {"message": "Too many requests"}}', {"retry-after": "1"})
                case "server error":
                    self._send(500, b'{"error": {"message": "Internal error"}}')
                case "broken connection":
                    self.close_connection = True
                    self.connection.close()
                case "invalid JSON":
                    self._send(200, b'{"choices": [{"message": {"content": "cut')
                case _:
                    self._send(200, _completion(request["model"], prompt))
                    self.server.providers.record_answer(prompt)

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"content-type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that the standard library chose
        """Print nothing, so that only the output of the example is shown."""


def _completion(model: str, prompt: str) -> bytes:
    message = {"role": "assistant", "content": prompt.upper()}
    usage = {"prompt_tokens": len(prompt.split()), "completion_tokens": len(prompt.split())}
    body = {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {**usage, "total_tokens": sum(usage.values())},
    }  # fmt: skip
    return json.dumps(body).encode()


@contextmanager
def faulty_providers(
    number: int = 3, *, share: float = 0.1, seconds: float = 0.02, draw: Random
) -> Generator[Providers]:
    """Run the servers on free local ports."""
    providers = Providers(share, seconds, draw)
    with ExitStack() as stack:
        for _ in range(number):
            server = stack.enter_context(_Server(("127.0.0.1", 0), _Chat))
            server.providers = providers
            Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
            providers.urls.append(f"http://127.0.0.1:{server.server_port}/v1")
        yield providers
