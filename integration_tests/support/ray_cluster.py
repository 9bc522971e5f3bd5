"""A Ray cluster of one node on 127.0.0.1, whose actors a test can kill, and programs that run jobs on it."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from integration_tests.support.processes import free_port, stop

_ROOT = Path(__file__).parents[2]
_STARTED = "Ray runtime started"
_START_SECONDS = 120.0
# By which its processes are known.
_PORT = "TESTS_RAY_PORT"


@dataclass
class RayCluster:
    """A running cluster with two processors; use as a context manager.

    Args:
        environment: Further environment variables of its workers.
    """

    environment: Mapping[str, str]
    port: int = field(default_factory=free_port, init=False)
    _token: str = field(default_factory=lambda: secrets.token_hex(32), init=False, repr=False)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def _variables(self) -> dict[str, str]:
        paths = f"{_ROOT / 'src'}{os.pathsep}{_ROOT}"
        settings = {
            "RAY_ADDRESS": self.address, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self._token,
            "RAY_USAGE_STATS_ENABLED": "0", "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
        }  # fmt: skip
        return {**os.environ, **settings, _PORT: str(self.port), "PYTHONPATH": paths, **self.environment}

    def __enter__(self) -> Self:
        # A path of a socket has at most 107 bytes, so the folder is not one of pytest's.
        self._folder = tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True)
        self._log = (Path(self._folder.name) / "log").open("wb+")
        options = [
            "--head", "--block", "--num-cpus=2", "--node-ip-address=127.0.0.1", f"--port={self.port}",
            "--object-store-memory=200000000", "--include-dashboard=false", f"--temp-dir={self._folder.name}",
            "--disable-usage-stats",
        ]  # fmt: skip
        environment = self._variables
        del environment["RAY_ADDRESS"]  # this is the node that others connect to
        self._node = subprocess.Popen(
            [Path(sys.executable).parent / "ray", "start", *options],
            stdout=self._log, stderr=subprocess.STDOUT, env=environment, cwd=_ROOT,
        )  # fmt: skip
        until = time.monotonic() + _START_SECONDS
        while _STARTED not in self.output():
            if self._node.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"Ray did not start:\n{self.output()}")
            time.sleep(0.1)
        return self

    def __exit__(self, *_: object) -> None:
        stop(self._node)  # with it end the processes that it has started
        self._log.close()
        self._folder.cleanup()

    def output(self) -> str:
        return Path(self._log.name).read_text(errors="replace")

    def start(self, *jobs: Mapping[str, Any]) -> subprocess.Popen[str]:
        """Start a program that runs jobs, which ``ray_job`` describes."""
        return self._start(["-m", "integration_tests.support.ray_job", *map(json.dumps, jobs)])

    def start_command(self, arguments: Sequence[str]) -> subprocess.Popen[str]:
        """Start ``unified-llm`` with these arguments."""
        return self._start(["-m", "unified_llm", *arguments])

    def _start(self, arguments: Sequence[str]) -> subprocess.Popen[str]:
        command = [sys.executable, *arguments]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self._variables, cwd=_ROOT
        )

    def run(self, *jobs: Mapping[str, Any]) -> Finished:
        """Run such a program to its end."""
        with self.start(*jobs) as program:
            return finish(program)

    def actors(self, kind: str = "MapWorker") -> list[int]:
        """Return the process identifiers of the actors of a class; Ray's own runs the rows of ``map_batches``."""
        name = f"ray::{kind}".encode()  # as in the list of processes
        return [pid for pid, command in _processes() if command.startswith(name) and _is_ours(pid, self.port)]


@dataclass(frozen=True)
class Finished:
    """A program that has ended, with the rows that it wrote."""

    status: int
    errors: str
    rows: list[dict[str, Any]]


def finish(program: subprocess.Popen[str], seconds: float = 150.0) -> Finished:
    """Wait for a program, and read what it wrote."""
    try:
        output, errors = program.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        program.kill()
        _, errors = program.communicate()
        raise AssertionError(f"The job did not end in {seconds} s:\n{errors[-3000:]}") from None
    return Finished(program.returncode, errors, [json.loads(line) for line in output.splitlines() if line[:1] == "{"])


def kill(pid: int) -> None:
    """End a process as a crash does."""
    os.kill(pid, signal.SIGKILL)


def _processes() -> Iterable[tuple[int, bytes]]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            yield int(folder.name), (folder / "cmdline").read_bytes()
        except OSError:  # it has ended
            continue


def _is_ours(pid: int, port: int) -> bool:
    """Return whether a process has the environment of this cluster: another may run on this machine."""
    try:
        environment = (Path("/proc") / str(pid) / "environ").read_bytes()
    except OSError:
        return False
    return f"{_PORT}={port}".encode() in environment
