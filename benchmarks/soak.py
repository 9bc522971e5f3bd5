"""A hundred calls at once over real sockets, while 15 % of all requests fail. Run: ``python -m benchmarks.soak``.

Two targets that fail at random stand before one that does not. Callers ask without a pause, half of them for streams:
first as tasks of one event loop, then as threads. It exits with 1 if one of these does not hold:

- every call is answered; but for streams that break after their first words, where nobody can take over unseen: each of
  those is raised as ``StreamInterruptedError``, and they are exactly those that the server broke;
- each answer comes from one target and one request, and belongs to the question that was asked;
- a call costs at most 1.6 requests;
- memory is flat from a quarter of the time on (not looked at in less than 20 s, where everything still warms up);
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
from collections.abc import Iterator, Sequence
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
# Time goes faster here: breakers open and close again all along.
BREAKER = BreakerConfig(cooldown=2.0, cooldown_max=10.0)
# Caches fill (16,384 short strings in the JSON parser alone), and each of malloc's arenas grows in larger pieces.
SLACK = 6 << 20
WARM = 20.0
_FILES = Path("/proc/self/fd")
_PAGES = Path("/proc/self/statm")


@dataclass
class Tally:
    """What became of the calls. Appending and adding to it is atomic enough: each thread counts by itself.

    Attributes:
        answered: Calls that got a whole answer.
        interrupted: Streams that broke after their first words, and said so.
        wrong: Answers that are not what one target said to this question.
        lost: Errors of calls that got no answer, by kind.
        seconds: How long each answered call took.
        fell_back: Answers from another target than the first.
    """

    answered: int = 0
    interrupted: int = 0
    wrong: list[str] = field(default_factory=list[str])
    lost: Counter[str] = field(default_factory=Counter[str])
    seconds: array[float] = field(default_factory=lambda: array("d"))
    fell_back: int = 0

    def take(self, question: str, text: str, attempts: Sequence[Attempt], began: float) -> None:
        """An answer has come."""
        self.seconds.append(time.monotonic() - began)
        self.answered += 1
        self.fell_back += not attempts[-1].target.endswith(CHAIN[0])
        self._check(question, text, attempts, whole=True)

    def interrupt(self, question: str, error: StreamInterruptedError) -> None:
        """A stream broke."""
        self.interrupted += 1
        self._check(question, error.partial, error.attempts, whole=False)

    def _check(self, question: str, text: str, attempts: Sequence[Attempt], *, whole: bool) -> None:
        words = text.split()
        target, _, asked = (words or ["//"])[0].split("/")
        good = len(set(words)) == 1 and asked == question and attempts[-1].target.endswith(f"/{target}")
        if not good or (len(words) != WORDS if whole else not 0 < len(words) < WORDS):
            self.wrong.append(f"{question}: {text!r} by {attempts[-1].target}")

    def __iadd__(self, other: Tally) -> Self:
        """Both together."""
        self.answered += other.answered
        self.interrupted += other.interrupted
        self.fell_back += other.fell_back
        self.wrong += other.wrong
        self.lost += other.lost
        self.seconds += other.seconds
        return self


@dataclass
class Report:
    """What was measured, and which bounds it breaks.

    Attributes:
        kind: ``tasks`` or ``threads``.
        tally: What became of the calls.
        requests: How many requests the server saw.
        broken: How many streams the server broke after their first words.
        memory: Resident bytes at a quarter, half, three quarters and all of the time, where the system tells them.
        seconds: How long callers went on.
        left: What is more at the end than before (``threads``, ``tasks``, ``files``).
    """

    kind: str
    seconds: float
    tally: Tally = field(default_factory=Tally)
    requests: int = 0
    broken: int = 0
    memory: list[int] = field(default_factory=list[int])
    left: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def calls(self) -> int:
        """All of them."""
        return self.tally.answered + self.tally.interrupted + self.tally.lost.total()

    def waited(self, share: float) -> float:
        """Seconds that a call took, at this quantile."""
        seconds = sorted(self.tally.seconds)
        return seconds[int(share * (len(seconds) - 1))]

    @property
    def problems(self) -> list[str]:
        """The bounds that do not hold, in words."""
        tally, growth = self.tally, self.memory[-1] - self.memory[0] if self.memory else 0
        flat = growth <= SLACK or self.seconds < WARM
        found = {
            f"calls without an answer: {dict(tally.lost)}": bool(tally.lost),
            f"{tally.interrupted} streams were interrupted, and {self.broken} broken": tally.interrupted != self.broken,
            f"{len(tally.wrong)} wrong answers, such as {tally.wrong[:1]}": bool(tally.wrong),
            f"{self.requests / self.calls:.2f} requests a call": self.requests > MOST_REQUESTS * self.calls,
            f"memory grew by {growth / 2**20:.1f} MiB": not flat,
            f"left over: {self.left}": any(more > 0 for more in self.left.values()),
        }
        return [problem for problem, holds in found.items() if holds]

    def __str__(self) -> str:
        """For people."""
        tally = self.tally
        outcome = f"{tally.answered} answered, {tally.lost.total()} lost, {len(tally.wrong)} wrong"
        broken = f"{tally.interrupted} streams interrupted, {self.broken} broken by the server"
        elsewhere = f"answered by a fallback {tally.fell_back / tally.answered:.1%}"
        requests = f"requests a call {self.requests / self.calls:.3f}"
        lines = [
            f"{self.kind}: {self.calls} calls, {outcome}; {broken}",
            f"  {elsewhere}; {requests}; seconds p50 {self.waited(0.5):.3f}, p99 {self.waited(0.99):.3f}",
            "  resident MiB at 25, 50, 75, 100 %: " + " ".join(f"{each / 2**20:.1f}" for each in self.memory),
            f"  more than before: {self.left}",
        ]
        return "\n".join([*lines, *(f"  BROKEN BOUND: {problem}" for problem in self.problems)])


def client(url: str, timeout: float) -> LLMClient:
    """Asks the shaky targets first; only the good one may take its time."""
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
    """As tasks of one event loop."""
    report = Report("tasks", seconds)

    async def run() -> None:
        before = len(asyncio.all_tasks())
        until = time.monotonic() + seconds
        async with client(server.url, timeout) as asked:
            callers = [asyncio.create_task(_calls(asked, number, until, report.tally)) for number in range(at_once)]
            for _ in range(4):
                await asyncio.sleep(seconds / 4)
                report.memory += resident()
            await asyncio.gather(*callers)
        report.left["tasks"] = len(asyncio.all_tasks()) - before

    with watched(report, server):
        asyncio.run(run())
    return report


async def _calls(asked: LLMClient, number: int, until: float, tally: Tally) -> None:
    count = 0
    while (began := time.monotonic()) < until:
        count += 1
        question = f"{number}.{count}"
        try:
            if count % 2:
                answer = await asked.agenerate(question)
                tally.take(question, answer.content, answer.attempts, began)
            else:
                async with asked.astream(question) as stream:
                    text = "".join([chunk.content async for chunk in stream])
                tally.take(question, text, stream.attempts, began)
        except StreamInterruptedError as error:
            tally.interrupt(question, error)
        except LLMError as error:
            tally.lost[type(error).__name__] += 1


def soak_threads(server: Server, seconds: float, at_once: int, timeout: float) -> Report:
    """As threads."""
    report = Report("threads", seconds)
    tallies = [Tally() for _ in range(at_once)]
    with watched(report, server), client(server.url, timeout) as asked:
        until = time.monotonic() + seconds
        callers = [
            threading.Thread(target=_blocking_calls, args=(asked, number, until, tally))
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


def _blocking_calls(asked: LLMClient, number: int, until: float, tally: Tally) -> None:
    count = 0
    while (began := time.monotonic()) < until:
        count += 1
        question = f"{number}.{count}"
        try:
            if count % 2:
                answer = asked.generate(question)
                tally.take(question, answer.content, answer.attempts, began)
            else:
                with asked.stream(question) as stream:
                    text = "".join(chunk.content for chunk in stream)
                tally.take(question, text, stream.attempts, began)
        except StreamInterruptedError as error:
            tally.interrupt(question, error)
        except LLMError as error:
            tally.lost[type(error).__name__] += 1


@contextmanager
def watched(report: Report, server: Server) -> Iterator[None]:
    """Count what the server sees, and what is left over."""
    reset_health()
    seen, threads, files = server.seen(), threading.active_count(), open_files()
    yield
    gc.collect()
    after = server.seen()
    report.requests, report.broken = after["requests"] - seen["requests"], after["broken"] - seen["broken"]
    report.left |= {"threads": threading.active_count() - threads, "files": open_files() - files}


def resident() -> list[int]:
    """Resident bytes of this process, where the system says so."""
    return [int(_PAGES.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")] if _PAGES.exists() else []


def open_files() -> int:
    """Sockets and other open files of this process, where the system says so."""
    return len(list(_FILES.iterdir())) if _FILES.exists() else 0


def main() -> None:
    """Run both kinds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="in all")
    parser.add_argument("--at-once", type=int, default=100, help="calls under way at any moment")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    logging.getLogger("unified_llm").setLevel(logging.ERROR)  # it warns of every failover: there are thousands
    reports: list[Report] = []
    with serving(Plan(seed=options.seed)) as server:
        for soak in (soak_tasks, soak_threads):
            reports.append(soak(server, options.seconds / 2, options.at_once, timeout=1.5))
            print(reports[-1], flush=True)
        print("the server saw:", dict(sorted(server.seen().items())))
    raise SystemExit(any(report.problems for report in reports))


if __name__ == "__main__":
    main()
