"""Servers in processes of their own: where they listen, and how they end."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Generator
from contextlib import contextmanager


def free_port() -> int:
    """Return a port of this machine at which nothing listens now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def killed_at_the_end(process: subprocess.Popen[str]) -> Generator[subprocess.Popen[str]]:
    """Kill a process that a failed test leaves running: otherwise its ``with`` block waits for it forever."""
    with process:
        try:
            yield process
        finally:
            process.kill()


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process; kill it where it does not end in 10 s."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
