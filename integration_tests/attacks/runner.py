"""Runs attacks in child processes with a limit of memory and a timer, since they may hang or exhaust both.

A child is forked, so it starts with everything imported and measures only what the attack adds. It is the leader of a
process group of its own, with the servers that it starts, and the whole group is killed when it ends or its time is
over. Figures are sent as they come, so those before a kill are kept.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import select
import signal
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import IO, Final

from integration_tests.attacks.catalogue import Attack, Figure

JOBS: Final = 3
"""Attacks at the same time, of those that allow it: most of them wait for most of their time."""

_STACK: Final = 1 << 20  # bytes for each thread, so that a thousand of them fit into the limit of memory


@dataclass
class Result:
    """A line of the table after its attack: figures, and what went wrong beside them."""

    attack: Attack
    figures: list[Figure] = field(default_factory=list)
    problem: str = ""
    output: str = ""
    seconds: float = 0.0

    @property
    def only_slow(self) -> bool:
        """Whether nothing is wrong but times."""
        wrong = [figure for figure in self.figures if not figure.ok]
        return bool(wrong) and not self.problem and all(figure.unit == "s" for figure in wrong)

    @property
    def ok(self) -> bool:
        """Whether there are figures, all within their bounds, and nothing went wrong."""
        return bool(self.figures) and not self.problem and all(figure.ok for figure in self.figures)


def preload() -> None:
    """Import what a first call imports, so that no attack measures it; no connection is made."""
    from unified_llm._formats.codecs import FORMATS, codec_for

    for name in ("exchange_sync", "exchange_async"):
        import_module(f"unified_llm._backends.http.{name}")
    for name in FORMATS:
        codec_for(name)


def run_all(attacks: Sequence[Attack], jobs: int = JOBS) -> Iterator[Result]:
    """Run the attacks, those that measure time one after another; yield the results as they finish."""
    preload()
    yield from _run([attack for attack in attacks if attack.parallel], jobs)
    for result in _run([attack for attack in attacks if not attack.parallel], 1):
        # A machine that was busy for a moment is no fault of the code; what is too slow is so again.
        yield from _run([result.attack], 1) if result.only_slow else [result]


def _run(attacks: Sequence[Attack], jobs: int) -> Iterator[Result]:
    waiting, running = list(attacks), list[_Child]()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(_Child(waiting.pop(0)))
            select.select([child.pipe for child in running], [], [], 0.05)
            for child in [child for child in running if child.over()]:
                running.remove(child)
                yield child.finish()
    finally:
        for child in running:
            child.finish()


class _Child:
    """A running attack."""

    def __init__(self, attack: Attack) -> None:
        self.result = Result(attack)
        self._started = time.monotonic()
        self._received = b""
        self._ended = False
        self._output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - read and closed by finish
        self.pipe, writer = os.pipe()
        self._pid = os.fork()
        if not self._pid:
            _run_in_child(attack, writer, self._output.fileno())
        os.close(writer)
        os.set_blocking(self.pipe, False)

    def over(self) -> bool:
        """Read what the child sent; return whether it has ended or its time is over."""
        with suppress(BlockingIOError):
            while data := os.read(self.pipe, 65536):
                self._received += data
            self._ended = True
        return self._ended or self._late

    @property
    def _late(self) -> bool:
        return time.monotonic() - self._started > self.result.attack.kill_after

    def finish(self) -> Result:
        """End the whole group; return the result."""
        result = self.result
        if not self._ended:
            result.problem = f"killed after {result.attack.kill_after:.0f} s"
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        _, status = os.waitpid(self._pid, 0)
        os.close(self.pipe)
        for line in self._received.splitlines():
            with suppress(ValueError):
                self._take(json.loads(line))
        if self._ended and not result.problem and not self._received.endswith(b'{"end": true}\n'):
            result.problem = f"ended by signal {status & 127}" if status & 127 else "ended without a result"
        result.seconds = time.monotonic() - self._started
        self._output.seek(0)
        result.output = self._output.read().decode(errors="replace")
        self._output.close()
        return result

    def _take(self, message: dict[str, object]) -> None:
        if "problem" in message:
            self.result.problem = self.result.problem or str(message["problem"])
        elif "label" in message:
            self.result.figures.append(Figure(**message))  # type: ignore[arg-type]


def _run_in_child(attack: Attack, writer: int, output: int) -> None:
    """Run the attack in the forked child; never return."""
    os.setsid()
    os.dup2(output, 1)
    os.dup2(output, 2)
    _limit_memory(attack.memory)
    _raise_descriptor_limit()
    threading.stack_size(_STACK)
    logging.getLogger("unified_llm").addHandler(logging.NullHandler())  # its warnings are expected
    try:
        for figure in attack.run():
            _send(writer, asdict(figure))
    except MemoryError:
        _send(writer, {"problem": f"more than {attack.memory} MB"})
    except BaseException as error:  # noqa: BLE001 - whatever it is, the line is red
        _send(writer, {"problem": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:160]})
        traceback.print_exc()
    _send(writer, {"end": True})
    os._exit(0)


def _send(writer: int, message: dict[str, object]) -> None:
    data = json.dumps(message).encode() + b"\n"
    while data:
        data = data[os.write(writer, data) :]


def _limit_memory(megabytes: int) -> None:
    with suppress(OSError, ValueError):  # not every system can
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        limit = pages * resource.getpagesize() + (megabytes << 20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _raise_descriptor_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
