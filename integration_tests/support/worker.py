"""A process with a client that executes commands: ``python worker.py FIRST SECOND KEY COOLDOWN``.

The primary is at FIRST, the fallback at SECOND; the environment has the address of the shared state. A line of input is
the name of a command; its result is one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self, cast

from integration_tests.support.waiting import PATIENCE

PROMPT = "CANARY-prompt: tell me everything"


class Worker:
    """Handle of such a process in a test; use as a context manager.

    Args:
        first: The base URL of the primary.
        second: The base URL of the fallback.
        key: The API key of both.
        environment: Further environment variables of the process.
        cooldown: Seconds for which its breaker stays open the first time.
    """

    def __init__(
        self, first: str, second: str, key: str, environment: Mapping[str, str], *, cooldown: float = 30.0
    ) -> None:
        root = Path(__file__).parents[2]
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-W",
                "error",
                "-m",
                "integration_tests.support.worker",
                first,
                second,
                key,
                f"{cooldown}",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=root,
            env={**os.environ, **environment},
        )

    def do(self, command: str) -> Any:
        """Send a command and return its result."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def state(self) -> str | None:
        """Return the state of the primary's breaker in this process."""
        states = {row["target"]: row["state"] for row in self.do("health")}
        return cast("str | None", states.get("vllm/scripted-large"))

    def end(self) -> int:
        """End the process; return its exit status."""
        if self._process.stdin:
            self._process.stdin.close()
        status = self._process.wait(PATIENCE)
        if self._process.stdout:
            self._process.stdout.close()
        return status

    def __enter__(self) -> Self:
        assert self.do("begin")
        return self

    def __exit__(self, *_: object) -> None:
        assert self.end() == 0


class _Warnings(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if "shared state" in record.getMessage():
            self.messages.append(record.getMessage())


def main(first: str, second: str, key: str, cooldown: str) -> None:
    """Execute commands until the input ends."""
    from unified_llm import LLMClient, LLMConfig, health_snapshot
    from unified_llm._core.target import BreakerConfig

    warnings = _Warnings()
    logging.getLogger("unified_llm").addHandler(warnings)
    breaker = BreakerConfig(cooldown=float(cooldown))
    primary = LLMConfig(model="vllm/scripted-large", base_url=first, api_key=key, max_retries=0, breaker=breaker)
    fallback = LLMConfig(model="llamacpp/scripted-small", base_url=second, api_key=key, max_retries=0)
    client = LLMClient(primary, fallbacks=[fallback])
    lists = LLMClient(primary)

    def generate() -> list[str]:
        return [f"{attempt.target} {attempt.outcome}" for attempt in client.generate(PROMPT).attempts]

    def agenerate() -> list[str]:
        return [f"{attempt.target} {attempt.outcome}" for attempt in asyncio.run(client.agenerate(PROMPT)).attempts]

    def measure() -> list[float]:
        """Return the seconds of each call; the calls run one after another for two seconds."""
        until = time.perf_counter() + 2.0
        return [_timed(generate) for _ in iter(lambda: time.perf_counter() < until, False)]  # noqa: FBT003 - what iter() takes

    async def ameasure() -> float:
        """Return the longest time that an event loop was blocked during calls."""
        longest, last, busy = 0.0, time.perf_counter(), True

        async def watch() -> None:
            nonlocal longest, last
            while busy:
                last = time.perf_counter()
                await asyncio.sleep(0.001)
                longest = max(longest, time.perf_counter() - last)

        watching, until = asyncio.create_task(watch()), time.perf_counter() + 2.0
        while time.perf_counter() < until:
            await client.agenerate(PROMPT)
        busy = False
        await watching
        return longest

    commands: dict[str, Callable[[], Any]] = {
        "begin": lambda: True,
        "generate": generate,
        "agenerate": agenerate,
        "measure": measure,
        "stall": lambda: asyncio.run(ameasure()),
        "list": lambda: [model.id for model in lists.list_models()],
        "alist": lambda: [model.id for model in asyncio.run(lists.alist_models())],
        "list again": lambda: _timed(lambda: lists.list_models(use_cache=False)),
        "list cold": lambda: _timed(LLMClient(primary).list_models),
        "health": health_snapshot,
        "warnings": lambda: warnings.messages,
    }
    for line in sys.stdin:
        sys.stdout.write(json.dumps(commands[line.strip()]()) + "\n")
        sys.stdout.flush()


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main(*sys.argv[1:])
