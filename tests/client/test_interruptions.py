"""An exception of a signal handler, at any line of a sync call, loses no connection permit and spoils no later call.

Lines of ``FOLDERS`` are interrupted, one call after another, over the real HTTP code and a scripted network: every one
where there is time (``TESTS_THOROUGH``), else every ninth. ``CHECKS`` are what must hold after each.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from tests.support.interruptions import count_lines, interrupt
from tests.support.lines import in_own_thread
from tests.support.scripted_server import Network
from tests.support.thorough import THOROUGH
from unified_llm import LLMClient
from unified_llm._backends.http import Transport
from unified_llm._lib import fork_safe
from unified_llm.exceptions import LLMError

pytestmark = pytest.mark.thorough

FOLDERS: Final = (
    "_backends/http", "_client/backends", "_client/base_client", "_client/drivers", "_client/stream", "_policy",
)  # fmt: skip

STEP: Final = 1 if THOROUGH else 9

BODY: Final = b'{"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}'
WHOLE: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
EVENTS: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n",
    b'data: {"choices": [{"delta": {"content": "hi"}}]}\n\n',
    b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n',
    b"",
)
DOWN: Final = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"


class Server:
    """A client of two targets on a scripted network, which answers every request in the same way."""

    def __init__(self, network: Network, *answer: bytes) -> None:
        self.network, self._answer = network, answer
        self.client = LLMClient(
            "openai-compatible/one",
            base_url="http://127.0.0.1:1/v1",
            max_retries=0,
            fallbacks=[{"model": "openai-compatible/two", "base_url": "http://127.0.0.1:2/v1", "max_retries": 0}],
        )
        self.transport = self.client._backends._http = Transport(max_connections=2)

    def script(self) -> None:
        """Script connections enough for two calls, without those of earlier ones; keep one, where they can be kept."""
        self.transport.close()
        self.transport._closed = self.transport._make_sync_pool().idle_connections.closed = False
        self.network.connections[:] = []
        self.network.made[:] = []
        for _ in range(4):
            self.network.add_connection(*self._answer * 3)
        if self._answer == (WHOLE,):
            self.generate()

    def generate(self) -> None:
        """Make one call."""
        try:
            assert self.client.generate("Hello?").content == "hi"
        except LLMError:
            assert self._answer == (DOWN,)

    def stream(self) -> None:
        """Read one stream to its end."""
        assert "".join(chunk.content for chunk in self.client.stream("Hello?")) == "hi"

    def stream_a_little(self) -> None:
        """Read the beginning of a stream, and leave it."""
        with self.client.stream("Hello?") as stream:
            assert next(stream).content == "hi"


def no_permit_is_held(server: Server) -> bool:
    """Check that every connection permit is back."""
    pool = server.transport._sync_pool
    return pool is None or pool.permits.in_use() == {}


def no_lock_is_held(_: Server) -> bool:
    """Check that this thread has released every lock of the package."""
    return not any(lock._is_owned() for lock in fork_safe._locks)


CHECKS: Final[tuple[Callable[[Server], bool], ...]] = (no_permit_is_held, no_lock_is_held)


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # An exception in a finalizer is printed and lost, here as in a signal handler.
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    logging.disable()  # thousands of calls
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize(
    ("way", "answer"),
    [("generate", (WHOLE,)), ("generate", (DOWN,)), ("stream", EVENTS), ("stream_a_little", EVENTS)],
    ids=["whole", "failed", "stream", "stream left early"],
)
@in_own_thread
def test_an_interruption_at_any_line_loses_nothing(
    way: str, answer: tuple[bytes, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(Network(monkeypatch), *answer)
    call: Any = getattr(server, way)
    server.script()
    lines = count_lines(call, FOLDERS)
    assert lines > 200
    for at in range(0, lines, STEP):
        server.script()
        where = interrupt(call, FOLDERS, at)
        failed = [check.__name__ for check in CHECKS if not check(server)]
        assert not failed, f"interrupted at {where}"
    server.script()
    call()
