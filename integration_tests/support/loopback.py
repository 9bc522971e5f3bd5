"""HTTP server on 127.0.0.1 as a context manager: the base of the scripted upstreams and fakes."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from typing_extensions import override


class Loopback:
    """A local server; call ``serve`` once, then use as a context manager."""

    def serve(self, handler: type[BaseHTTPRequestHandler], port: int = 0, **attributes: Any) -> None:
        """Listen (on any free port unless one is given), and answer with that handler, which gets ``attributes``."""
        self._server = _Server(("127.0.0.1", port), type("BoundHandler", (handler,), attributes))
        # A short poll, or stopping takes half a second.
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def address(self) -> str:
        """Its URL without a path."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # a burst of connections must not wait for a retransmitted SYN

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: tests close connections in the middle of a response."""
