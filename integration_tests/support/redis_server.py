"""Debian's ``redis-server`` on 127.0.0.1, which a test can kill, restart and suspend."""

from __future__ import annotations

import signal
import socket
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from integration_tests.support.needs import need, need_program
from integration_tests.support.waiting import wait_until

if TYPE_CHECKING:
    import redis

PASSWORD = "CANARY-of-redis"


@dataclass
class RedisServer:
    """A running server without persistence; use as a context manager."""

    port: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        need("redis", install="pip install 'unified-llm[redis]'")
        self._program = need_program("redis-server", install="apt-get install redis-server")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    @property
    def url(self) -> str:
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"

    def client(self) -> redis.Redis:
        import redis

        return redis.Redis(host="127.0.0.1", port=self.port, password=PASSWORD)

    def start(self) -> None:
        """Start it without data, always on the same port."""
        import redis

        options = ["--bind", "127.0.0.1", "--port", f"{self.port}", "--save", "", "--appendonly", "no"]
        command = [self._program, *options, "--requirepass", PASSWORD]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        with self.client() as client:

            def answers() -> bool:
                with suppress(redis.ConnectionError):
                    return bool(client.ping())
                return False

            if not wait_until(answers):
                raise RuntimeError("redis-server did not start.")

    def kill(self) -> None:
        """Kill the process like a crash."""
        self._process.kill()
        self._process.wait()

    def suspend(self) -> None:
        """Stop the process: connections stay open and new ones are accepted by the kernel, without a response."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def dump(self) -> dict[str, tuple[str, int]]:
        """Return all values as text, with their time to live in milliseconds (-1: no expiry)."""
        entries: dict[str, tuple[str, int]] = {}
        with self.client() as client:
            for name in client.scan_iter():
                read = {b"stream": client.xrange, b"hash": client.hgetall}.get(client.type(name), client.get)
                value = read(name)
                entries[name.decode()] = (f"{value}", int(client.pttl(name)))
        return entries

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
