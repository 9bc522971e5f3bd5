"""Ways to get responses from one model, for ``benchmarks.mlx``: mlx-lm's own functions, this package, and a server.

A way answers concurrent callers, each with its requests one after the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean
from typing import Any, Final, NamedTuple, TypeAlias, cast

from unified_llm import LLMClient, Usage

COLUMNS: Final = ("tokens/s", "tokens per CPU s", "first token, ms", "first token, CPU ms")
Turns: TypeAlias = "list[dict[str, str]]"
Moment: TypeAlias = "tuple[float, float]"
"""The time and the processor time, in seconds."""


Ask: TypeAlias = "tuple[Turns, int]"
"""A conversation, and how many tokens to write."""
Callers: TypeAlias = "list[list[Ask]]"
Way: TypeAlias = "Callable[[Callers, Clock], int]"
"""Answers all callers and returns the number of tokens written."""


class Clock:
    """What it takes to answer all callers.

    Args:
        server: The process whose processor time counts as well as that of this one.
    """

    def __init__(self, server: int | None = None) -> None:
        self._server = server
        self._firsts: list[Moment] = []
        self._began = self.now()

    def now(self) -> Moment:
        """Return the time and the processor time."""
        cpu = time.process_time()
        if self._server is not None:
            try:
                fields = Path(f"/proc/{self._server}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
                cpu += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            except OSError:  # not Linux
                cpu = float("nan")
        return time.perf_counter(), cpu

    def first(self, sent: Moment) -> None:
        """Note that a request has its first token.

        Args:
            sent: ``now()`` when it was sent.
        """
        wall, cpu = self.now()
        self._firsts.append((wall - sent[0], cpu - sent[1]))

    def watch(self, chunks: Iterable[tuple[Any, int | None]]) -> int:
        """Read a response as pairs of its text and, once, the number of its tokens; return that number."""
        sent, began, tokens = self.now(), False, 0
        for text, count in chunks:
            if text and not began:
                began = True
                self.first(sent)
            tokens = count or tokens
        return tokens

    def figures(self, tokens: int) -> dict[str, float]:
        """Return what was measured, the time to first token as the mean of all requests, by the names of ``COLUMNS``.

        Args:
            tokens: How many were written.
        """
        wall, cpu = (now - began for now, began in zip(self.now(), self._began, strict=True))
        first_wall, first_cpu = (mean(each) * 1000 for each in zip(*self._firsts, strict=True))
        return dict(zip(COLUMNS, (tokens / wall, tokens / cpu, first_wall, first_cpu), strict=True))


class Bare:
    """mlx-lm's own functions."""

    def __init__(self, folder: Path) -> None:
        import mlx_lm

        self.model, self.tokenizer = cast("tuple[Any, Any]", mlx_lm.load(str(folder))[:2])

    def ids(self, turns: Turns) -> list[int]:
        """Return the tokens of a prompt."""
        return list(self.tokenizer.apply_chat_template(turns, add_generation_prompt=True))

    def stream(self, callers: Callers, clock: Clock) -> int:
        """Answer with ``stream_generate``."""
        from mlx_lm import stream_generate

        def chunks(turns: Turns, limit: int) -> Iterator[tuple[Any, int | None]]:
            for each in stream_generate(self.model, self.tokenizer, self.ids(turns), max_tokens=limit):
                yield True, each.generation_tokens

        return sum(clock.watch(chunks(*ask)) for asks in callers for ask in asks)

    def batch(self, callers: Callers, clock: Clock) -> int:
        """Answer with ``BatchGenerator``, and make text of the tokens."""
        from mlx_lm.generate import BatchGenerator

        generator: Any = BatchGenerator(self.model, stop_tokens=[[each] for each in self.tokenizer.eos_token_ids])
        running: dict[int, tuple[Iterator[Ask], Any, list[Moment]]] = {}

        def send(asks: Iterator[Ask]) -> None:
            if ask := next(asks, None):
                sent = clock.now()
                (uid,) = generator.insert([self.ids(ask[0])], [ask[1]])
                running[uid] = (asks, self.tokenizer.detokenizer, [sent])

        for each in callers:
            send(iter(each))
        tokens = 0
        while running:
            for response in generator.next()[1]:
                asks, reader, sent = running[response.uid]
                if sent:
                    clock.first(sent.pop())
                tokens += 1
                reader.add_token(response.token)
                _ = reader.last_segment
                if response.finish_reason:
                    del running[response.uid]
                    send(asks)
        generator.close()
        return tokens


class Streams:
    """Streams of an ``LLMClient``."""

    def __init__(self, client: LLMClient) -> None:
        self.client = client
        self.runner = asyncio.Runner()

    def threads(self, callers: Callers, clock: Clock, **options: Any) -> int:
        """Stream to a thread for each caller; to this thread for a single one."""

        def answer(asks: list[Ask]) -> int:
            tokens = 0
            for turns, limit in asks:
                stream = self.client.stream(turns, max_tokens=limit, temperature=0.0, **options)
                tokens += clock.watch((each.content, (each.usage or Usage()).completion_tokens) for each in stream)
            return tokens

        if len(callers) == 1:
            return answer(callers[0])
        with ThreadPoolExecutor(len(callers)) as pool:
            return sum(pool.map(answer, callers))

    def tasks(self, callers: Callers, clock: Clock) -> int:
        """Stream to a task for each caller."""

        async def answer(asks: list[Ask]) -> int:
            tokens = 0
            for turns, limit in asks:
                sent, began = clock.now(), False
                async for chunk in self.client.astream(turns, max_tokens=limit, temperature=0.0):
                    if chunk.content and not began:
                        began = True
                        clock.first(sent)
                    if chunk.usage:
                        tokens += chunk.usage.completion_tokens or 0
            return tokens

        async def answer_all() -> int:
            return sum(await asyncio.gather(*map(answer, callers)))

        return self.runner.run(answer_all())


class LangChain:
    """``ChatUnified``."""

    def __init__(self, model: str) -> None:
        from unified_llm.langchain import ChatUnified

        self.model = ChatUnified(model=model, temperature=0.0)

    def stream(self, callers: Callers, clock: Clock) -> int:
        """Stream to this thread."""
        tokens = 0
        for asks in callers:
            for turns, limit in asks:
                stream = self.model.stream(turns, max_tokens=limit)
                tokens += clock.watch(
                    (each.content, each.usage_metadata["output_tokens"] if each.usage_metadata else None)
                    for each in stream
                )
        return tokens


class Server(NamedTuple):
    """A server that is running.

    Attributes:
        url: Of its interface.
        pid: Of its process.
    """

    url: str
    pid: int


@contextlib.contextmanager
def serving(folder: Path) -> Generator[Server]:
    """Run ``mlx_lm.server`` until the block ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlx_lm", "server", "--model", str(folder), "--port", str(port)]
    null = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=null, stdout=null, stderr=null) as process:  # noqa: S603 - our own server
        try:
            for _ in range(600):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.1)
            yield Server(f"http://127.0.0.1:{port}/v1", process.pid)
        finally:
            process.terminate()
