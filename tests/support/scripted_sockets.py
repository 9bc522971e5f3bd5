"""Sockets that follow a script, below the real HTTP code: no network, and time passes where a script contains a pause.

Unlike ``scripted_server``, the package's own streams and their deadlines are real. The clock may be the real one, to
which the pauses are added: so a test of time needs no waiting, and work that takes too long is noticed all the same.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from unified_llm._backends.http import Transport, deadline_socket_async, deadline_socket_sync
from unified_llm._backends.http.deadline_socket import DeadlineSocket
from unified_llm._core import runtime

if TYPE_CHECKING:
    import httpcore

Step: TypeAlias = "bytes | float | type[OSError] | Endless"
"""Bytes (empty: the server closed the connection), seconds that pass first, or an error of the socket."""


@dataclass(frozen=True)
class Endless:
    """The same bytes without end; ``pause`` seconds pass before each of them."""

    data: bytes
    pause: float = 0.005


class Clock:
    """A clock that only scripts and sleeps advance; with ``real``, the real time is added."""

    def __init__(self, *, real: bool = False) -> None:
        self._real, self.skipped = real, 1000.0

    def __call__(self) -> float:
        return self.skipped + (time.monotonic() if self._real else 0.0)

    def sleep(self, until: float) -> None:
        self.skipped += max(0.0, until - self())

    async def asleep(self, until: float) -> None:
        await asyncio.sleep(0)
        self.sleep(until)


@dataclass
class ScriptedSocket:
    """A connected socket, as far as the package uses one. ``after`` answers the second and every later request."""

    clock: Clock
    owner: DeadlineSocket
    steps: list[Step]
    after: bytes
    descriptors: tuple[int, int]
    sent: bytearray = field(default_factory=bytearray)
    requests: int = 0
    waiting: bool = False
    closed: bool = False

    def settimeout(self, seconds: float | None) -> None:
        """Take a timeout; the deadline of the owner is what counts."""

    def setsockopt(self, *_: Any) -> None:
        """Take an option."""

    def gettimeout(self) -> float:
        return 0.0

    def send(self, data: bytes | memoryview) -> int:
        self.sent += data
        count = self.sent.count(b" HTTP/1.1\r\n")
        if count > self.requests:
            self.steps += [self.after] * (count - max(1, self.requests))
            self.requests = count
        return len(data)

    def recv(self, size: int) -> bytes:
        # Async callers ask first whether something is there, and again, through the event loop, to wait for it.
        may_wait = self.waiting or not isinstance(self.owner, deadline_socket_async.AsyncDeadlineSocket)
        self.waiting = not may_wait
        while self.steps:
            step = self.steps[0]
            if isinstance(step, float):
                self._wait(step, may_wait)
                self.steps.pop(0)
            elif isinstance(step, Endless):
                self._wait(step.pause, may_wait)
                self.waiting = False
                return step.data[:size]
            elif isinstance(step, bytes):
                if len(step) > size:
                    self.steps[0] = step[size:]
                elif step:
                    self.steps.pop(0)
                self.waiting = False
                return step[:size]
            else:
                self.waiting = False
                raise step
        self._wait(float("inf"), may_wait)
        raise AssertionError("a wait without end has ended")

    def _wait(self, seconds: float, may_wait: bool) -> None:  # noqa: FBT001
        """Let time pass; raise what a socket raises when its deadline passes first, or asyncio must wait."""
        if not may_wait:
            raise BlockingIOError
        left = self.owner.seconds_left()
        if seconds > left:
            self.clock.skipped += left
            raise TimeoutError
        self.clock.skipped += seconds

    def fileno(self) -> int:
        """Return a descriptor that can be read if bytes or the end are there."""
        readable = bool(self.steps) and not isinstance(self.steps[0], float)
        return self.descriptors[readable]

    def close(self) -> None:
        self.closed = True


class ScriptedSockets:
    """The network of this process while ``running``: each new connection follows the next script."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.scripts: list[tuple[list[Step], bytes]] = []
        self.default: bytes = b""
        self.opened: list[ScriptedSocket] = []

    def _connect(self, owner: DeadlineSocket) -> None:
        owner.start_connecting("scripted.test", 443)
        steps, after = self.scripts.pop(0) if self.scripts else ([self.default], self.default)
        scripted = ScriptedSocket(self.clock, owner, list(steps), after, self._descriptors)
        self.opened.append(scripted)
        owner.adopt(scripted)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]

    @contextmanager
    def running(self) -> Iterator[ScriptedSockets]:
        """Replace connections and clock until the block ends."""

        def connect_tcp(sock: Any, *_: object, **__: object) -> httpcore.NetworkStream:
            self._connect(sock)
            return deadline_socket_sync.SyncStream(sock)

        async def aconnect_tcp(sock: Any, *_: object, **__: object) -> httpcore.AsyncNetworkStream:
            self._connect(sock)
            return deadline_socket_async.AsyncStream(sock)

        sync: Any = deadline_socket_sync.SyncDeadlineSocket
        async_: Any = deadline_socket_async.AsyncDeadlineSocket
        before = sync.connect_tcp, async_.connect_tcp
        defaults: dict[str, Any] = Transport.__init__.__kwdefaults__ or {}
        now: Callable[[], float] = defaults["now"]
        silent, silent_end = socket.socketpair()
        loud, loud_end = os.pipe()
        os.close(loud_end)
        self._descriptors = (silent.fileno(), loud)
        replaced = runtime.Runtime(now=self.clock, sleep=self.clock.sleep, asleep=self.clock.asleep)
        try:
            sync.connect_tcp, async_.connect_tcp = connect_tcp, aconnect_tcp
            defaults["now"] = self.clock
            with runtime.use(replaced):
                yield self
        finally:
            sync.connect_tcp, async_.connect_tcp = before
            defaults["now"] = now
            silent.close()
            silent_end.close()
            os.close(loud)
