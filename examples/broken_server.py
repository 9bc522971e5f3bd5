"""HTTP server that answers every request with 503."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class Unavailable(BaseHTTPRequestHandler):
    """Handler that answers 503."""

    def do_POST(self) -> None:
        """Read the whole request, and answer 503."""
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(503)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that the standard library chose
        """Print nothing, so that only the output of the example is shown."""


@contextmanager
def broken_server() -> Generator[str]:
    """Run the server on a free local port; yield its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Unavailable) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
