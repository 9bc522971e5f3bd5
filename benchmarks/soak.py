"""A hundred concurrent calls over real sockets, while 15 % of all requests fail. Run: ``python -m benchmarks.soak``.

Two targets that fail at random come before one that does not. Callers send requests without a pause, half of them for
streams: first as tasks of one event loop, then as threads. It exits with 1 if one of these is violated:

- every call is answered, except streams that break after their first words, where no failover is possible: each of
  those is raised as ``StreamInterruptedError``, and they are those that the server broke, less those whose attempt had
  timed out before (on a loaded machine);
- each answer comes from one target and one request, and belongs to the question of its call;
- a call costs at most 1.6 requests, without those that timed out though the server answered them;
- memory is flat from a quarter of the time on (not checked in runs of less than 20 s, where caches still fill);
- at the end there are as many tasks, threads and sockets as before.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import threading
import time
from array import array
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from benchmarks.soak_server import WORDS, Plan, Server, serving
from unified_llm import BreakerConfig, LLMClient, LLMConfig, reset_health
from unified_llm.exceptions import LLMError, StreamInterruptedError
from unified_llm.types import Attempt

CHAIN = ("shaky-1", "shaky-2", "well")
MOST_REQUESTS = 1.6
# Short cooldowns, so that breakers open and close many times in one run.
BREAKER = BreakerConfig(cooldown=2.0, cooldown_max=10.0)
# Caches fill (16,384 short strings in the JSON parser alone), and each of malloc's arenas grows in larger pieces.
SLACK = 6 << 20
WARM = 20.0
_FILES = Path("/proc/self/fd")
_PAGES = Path("/proc/self/statm")


@dataclass
class Tally:
    """Results of the calls. It has no lock: each thread has a tally of its own.

    Attributes:
        answered: Calls that got a whole answer.
        interrupted: Streams that broke after their first words and raised ``StreamInterruptedError``.
        wrong: Answers that are not the answer of one target to this question.
        lost: Errors of calls without an answer, by kind.
        seconds: How long each answered call took.
        fell_back: Answers from another target than the first.
        timeouts: Attempts that timed out.
    """

    answered: int = 0
    interrupted: int = 0
    wrong: list[str] = field(default_factory=list[str])
    lost: Counter[str] = field(default_factory=Counter[str])
    seconds: array[float] = field(default_factory=lambda: array("d"))
    fell_back: int = 0
    timeouts: int = 0

    def add_answer(self, question: str, text: str, attempts: Sequence[Attempt], started: float) -> None:
        """Count a whole answer."""
        self.seconds.append(time.monotonic() - started)
        self.answered += 1
        self.fell_back += not any(attempt.outcome == "ok" and attempt.target.endswith(CHAIN[0]) for attempt in attempts)
        self._check(question, text, attempts, whole=True)

    def add_interrupted(self, question: str, error: StreamInterruptedError) -> None:
        """Count a stream that broke."""
        self.interrupted += 1
        self._check(question, error.partial, error.attempts, whole=False)

    def add_lost(self, error: LLMError) -> None:
        """Count a call without an answer."""
        self.lost[type(error).__name__] += 1
        self._add_timeouts(error.attempts)

    def _add_timeouts(self, attempts: Sequence[Attempt]) -> None:
        self.timeouts += sum(attempt.outcome == "timeout" for attempt in attempts)

    def _check(self, question: str, text: str, attempts: Sequence[Attempt], *, whole: bool) -> None:
        self._add_timeouts(attempts)
        words = text.split()
        target, _, question_in_answer = (words or ["//"])[0].split("/")
        good = len(set(words)) == 1 and question_in_answer == question and attempts[-1].target.endswith(f"/{target}")
        if not good or (len(words) != WORDS if whole else not 0 < len(words) < WORDS):
            self.wrong.append(f"{question}: {text!r} by {attempts[-1].target}")

    def __iadd__(self, other: Tally) -> Self:
        """Add another tally to this one."""
        self.answered += other.answered
        self.interrupted += other.interrupted
        self.fell_back += other.fell_back
        self.timeouts += other.timeouts
        self.wrong += other.wrong
        self.lost += other.lost
        self.seconds += other.seconds
        return self


@dataclass
class Report:
    """Measurements of one run, and the bounds that they violate.

    Attributes:
        kind: ``tasks`` or ``threads``.
        tally: Results of the calls.
        requests: How many requests the server received.
        broken: How many streams the server broke after their first words.
        hung: How many requests the server never answered.
        memory: Resident bytes at a quarter, half, three quarters and all of the time, on systems that report them.
        seconds: How long callers sent requests.
        left: How many more there are at the end than before, of ``threads``, ``tasks`` and ``files``.
    """

    kind: str
    seconds: float
    tally: Tally = field(default_factory=Tally)
    requests: int = 0
    broken: int = 0
    hung: int = 0
    memory: list[int] = field(default_factory=list[int])
    left: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def calls(self) -> int:
        """Number of all calls."""
        return self.tally.answered + self.tally.interrupted + self.tally.lost.total()

    def waited(self, share: float) -> float:
        """Return the seconds that a call took, at this quantile."""
        seconds = sorted(self.tally.seconds)
        return seconds[int(share * (len(seconds) - 1))]

    @property
    def problems(self) -> list[str]:
        """Messages about the bounds that are violated."""
        tally, growth = self.tally, self.memory[-1] - self.memory[0] if self.memory else 0
        flat = growth <= SLACK or self.seconds < WARM
        # Each request that hung timed out. Other requests that timed out may be streams that the server broke later.
        unnoticed, late = self.broken - tally.interrupted, tally.timeouts - self.hung
        checks = {
            f"calls without an answer: {dict(tally.lost)}": bool(tally.lost),
            f"{tally.interrupted} streams were interrupted, {self.broken} broken, {late} others timed out": (
                not 0 <= unnoticed <= late
            ),
            f"{len(tally.wrong)} wrong answers, such as {tally.wrong[:1]}": bool(tally.wrong),
            f"{self.requests / self.calls:.2f} requests a call": self.requests - late > MOST_REQUESTS * self.calls,
            f"memory grew by {growth / 2**20:.1f} MiB": not flat,
            f"left over: {self.left}": any(more > 0 for more in self.left.values()),
        }
        return [message for message, violated in checks.items() if violated]

    def __str__(self) -> str:
        """Return the report as text."""
        tally = self.tally
        outcome = f"{tally.answered} answered, {tally.lost.total()} lost, {len(tally.wrong)} wrong"
        broken = f"{tally.interrupted} streams interrupted, {self.broken} broken by the server; "
        broken += f"{tally.timeouts} attempts timed out, {self.hung} never answered by the server"
        elsewhere = f"answered by a fallback {tally.fell_back / tally.answered:.1%}"
        requests = f"requests a call {self.requests / self.calls:.3f}"
        lines = [
            f"{self.kind}: {self.calls} calls, {outcome}; {broken}",
            f"  {elsewhere}; {requests}; seconds p50 {self.waited(0.5):.3f}, p99 {self.waited(0.99):.3f}",
            "  resident MiB at 25, 50, 75, 100 %: " + " ".join(f"{size / 2**20:.1f}" for size in self.memory),
            f"  more than before: {self.left}",
        ]
        return "\n".join([*lines, *(f"  VIOLATED BOUND: {problem}" for problem in self.problems)])


def client(url: str, timeout: float) -> LLMClient:
    """Return a client that tries the shaky targets first; only the good one has a long timeout."""
    chain = [
        LLMConfig(
            provider="openai-compatible",
            model=name,
            base_url=f"{url}/{name}/v1",
            api_key=f"sk-soak-{name}",
            timeout=30.0 if name == "well" else timeout,
            breaker=BREAKER,
        )
        for name in CHAIN
    ]
    return LLMClient(chain[0], fallbacks=chain[1:])


def soak_tasks(server: Server, seconds: float, at_once: int, timeout: float) -> Report:
    """Run the calls as tasks of one event loop."""
    report = Report("tasks", seconds)

    async def run() -> None:
        before = len(asyncio.all_tasks())
        until = time.monotonic() + seconds
        async with client(server.url, timeout) as llm:
            callers = [asyncio.create_task(_async_calls(llm, number, until, report.tally)) for number in range(at_once)]
            for _ in range(4):
                await asyncio.sleep(seconds / 4)
                report.memory += resident()
            await asyncio.gather(*callers)
        report.left["tasks"] = len(asyncio.all_tasks()) - before

    with watched(report, server):
        asyncio.run(run())
    return report


async def _async_calls(llm: LLMClient, number: int, until: float, tally: Tally) -> None:
    count = 0
    while (started := time.monotonic()) < until:
        count += 1
        question = f"{number}.{count}"
        try:
            if count % 2:
                answer = await llm.agenerate(question)
                tally.add_answer(question, answer.content, answer.attempts, started)
            else:
                async with llm.astream(question) as stream:
                    text = "".join([chunk.content async for chunk in stream])
                tally.add_answer(question, text, stream.attempts, started)
        except StreamInterruptedError as error:
            tally.add_interrupted(question, error)
        except LLMError as error:
            tally.add_lost(error)


def soak_threads(server: Server, seconds: float, at_once: int, timeout: float) -> Report:
    """Run the calls as threads."""
    report = Report("threads", seconds)
    tallies = [Tally() for _ in range(at_once)]
    with watched(report, server), client(server.url, timeout) as llm:
        until = time.monotonic() + seconds
        callers = [
            threading.Thread(target=_sync_calls, args=(llm, number, until, tally))
            for number, tally in enumerate(tallies)
        ]
        for caller in callers:
            caller.start()
        for _ in range(4):
            time.sleep(seconds / 4)
            report.memory += resident()
        for caller in callers:
            caller.join()
        for tally in tallies:
            report.tally += tally
    return report


def _sync_calls(llm: LLMClient, number: int, until: float, tally: Tally) -> None:
    count = 0
    while (started := time.monotonic()) < until:
        count += 1
        question = f"{number}.{count}"
        try:
            if count % 2:
                answer = llm.generate(question)
                tally.add_answer(question, answer.content, answer.attempts, started)
            else:
                with llm.stream(question) as stream:
                    text = "".join(chunk.content for chunk in stream)
                tally.add_answer(question, text, stream.attempts, started)
        except StreamInterruptedError as error:
            tally.add_interrupted(question, error)
        except LLMError as error:
            tally.add_lost(error)


@contextmanager
def watched(report: Report, server: Server) -> Generator[None]:
    """Count the requests of the server, and the threads and files that are left over."""
    reset_health()
    seen, threads, files = server.seen(), threading.active_count(), open_files()
    yield
    gc.collect()
    after = server.seen()
    report.requests, report.broken, report.hung = (
        after[count] - seen[count] for count in ("requests", "broken", "hang")
    )
    report.left |= {"threads": threading.active_count() - threads, "files": open_files() - files}


def resident() -> list[int]:
    """Return the resident bytes of this process, on systems that report them."""
    return [int(_PAGES.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")] if _PAGES.exists() else []


def open_files() -> int:
    """Return the number of open files and sockets of this process, on systems that report them."""
    return len(list(_FILES.iterdir())) if _FILES.exists() else 0


def main() -> None:
    """Run both kinds and print their reports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="of both runs together")
    parser.add_argument("--at-once", type=int, default=100, help="concurrent calls")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    logging.getLogger("unified_llm").setLevel(logging.ERROR)  # every failover logs a warning: thousands of them
    reports: list[Report] = []
    with serving(Plan(seed=options.seed)) as server:
        for soak in (soak_tasks, soak_threads):
            reports.append(soak(server, options.seconds / 2, options.at_once, timeout=1.5))
            print(reports[-1], flush=True)
        print("requests of the server:", dict(sorted(server.seen().items())))
    raise SystemExit(any(report.problems for report in reports))


if __name__ == "__main__":
    main()
