"""Debian's ``redis-server`` on 127.0.0.1, to be killed, restarted and held up by a test."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from integration_tests.support.needs import need, need_program

if TYPE_CHECKING:
    import redis

PASSWORD = "CANARY-of-redis"


@dataclass
class RedisServer:
    """A running server that keeps nothing on disk; use as a context manager."""

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
        """Start it, again on the same port and empty."""
        import redis

        options = ["--bind", "127.0.0.1", "--port", f"{self.port}", "--save", "", "--appendonly", "no"]
        command = [self._program, *options, "--requirepass", PASSWORD]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        with self.client() as client:
            for _ in range(200):
                with suppress(redis.ConnectionError):
                    client.ping()
                    return
                time.sleep(0.05)
        raise RuntimeError("redis-server did not start.")

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()
        self._process.wait()

    def hold_up(self) -> None:
        """Connections stay, and new ones are accepted by the kernel; no answer comes."""
        self._process.send_signal(signal.SIGSTOP)

    def let_go(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def dump(self) -> dict[str, tuple[str, int]]:
        """Everything that it holds, as text, with the milliseconds that it stays (-1: for ever)."""
        found: dict[str, tuple[str, int]] = {}
        with self.client() as client:
            for name in client.scan_iter():
                value = client.zrange(name, 0, -1) if client.type(name) == b"zset" else client.get(name)
                found[name.decode()] = (f"{value}", int(client.pttl(name)))
        return found

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
