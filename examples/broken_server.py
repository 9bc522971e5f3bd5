"""A provider on a bad day: it speaks HTTP, and answers 503 to everything."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class Unavailable(BaseHTTPRequestHandler):
    """Answers 503 to every request."""

    def do_POST(self) -> None:
        """Read the request to its end, as a server should, and refuse it."""
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(503)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that the standard library chose
        """Print nothing: the example prints what matters."""


@contextmanager
def broken_server() -> Generator[str]:
    """Run the server on this machine, on a free port; gives its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Unavailable) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
