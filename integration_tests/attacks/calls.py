"""Calls in every mode, each timed and with its attempts; cases in processes of their own, all at the same time."""

from __future__ import annotations

import asyncio
import json
import os
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

from integration_tests.attacks.concurrency import events
from integration_tests.attacks.servers import OK, Request, reply
from unified_llm import LLMClient, LLMConfig
from unified_llm.exceptions import LLMError

SYNC: Final = ("generate", "stream", "embed")
ASYNC: Final = ("agenerate", "astream", "aembed")
MODES: Final = SYNC + ASYNC


def target(model: str, url: str, **fields: Any) -> LLMConfig:
    """Make the configuration of a target, with the retries that a target has by default."""
    given: dict[str, Any] = {"api_key": "sk-of-the-attacks", "allow_http": True, "space": "s", **fields}
    return LLMConfig(model=f"openai-compatible/{model}", base_url=url, **given)


def answer(request: Request) -> bytes:
    """Answer a request of any mode."""
    if request.path.endswith("/embeddings"):
        return reply({"data": [{"index": 0, "embedding": [1.0, 2.0]}]})
    return events("hi") if request.json.get("stream") else OK


def answer_and_close(request: Request) -> bytes:
    """Answer a request of any mode, and close the connection, so that the next call needs a new one."""
    return answer(request).replace(b"\r\n", b"\r\nConnection: close\r\n", 1)


@dataclass(frozen=True)
class Ended:
    """A call that has ended.

    Attributes:
        mode: The method of the client.
        answered: Whether it returned a response.
        seconds: How long it took.
        attempts: Target and outcome of each attempt.
        text: What the error says.
        leaving: Seconds from its end to the end of ``asyncio.run``.
    """

    mode: str
    answered: bool
    seconds: float
    attempts: list[str]
    text: str = ""
    leaving: float = 0.0

    def over(self, limit: float) -> float:
        """Return the seconds beyond a limit, 0 if there are none."""
        return max(0.0, self.seconds - limit)


def call(client: LLMClient, mode: str, prompt: str = "x") -> Ended:
    """Make one call with one of the ``MODES``; an async one in a loop of its own."""
    if mode in SYNC:
        started = time.monotonic()
        try:
            return _end(mode, started, _request(client, mode, prompt))
        except LLMError as error:
            return _end(mode, started, error)
    inside = asyncio.run(acall(client, mode, prompt))
    ended = time.monotonic()
    return Ended(**{**asdict(inside[0]), "leaving": ended - inside[1]})


async def acall(client: LLMClient, mode: str = "agenerate", prompt: str = "x") -> tuple[Ended, float]:
    """Make one async call; return also the instant of its end."""
    started = time.monotonic()
    try:
        ended = _end(mode, started, await _arequest(client, mode, prompt))
    except LLMError as error:
        ended = _end(mode, started, error)
    return ended, time.monotonic()


def _request(client: LLMClient, mode: str, prompt: str) -> Any:
    match mode:
        case "stream":
            return list(client.stream(prompt))[-1]
        case "embed":
            return client.embed(prompt)
        case _:
            return client.generate(prompt)


async def _arequest(client: LLMClient, mode: str, prompt: str) -> Any:
    match mode:
        case "astream":
            return [chunk async for chunk in client.astream(prompt)][-1]
        case "aembed":
            return await client.aembed(prompt)
        case _:
            return await client.agenerate(prompt)


def _end(mode: str, started: float, outcome: Any) -> Ended:
    seconds = time.monotonic() - started
    attempts = [f"{one.target.rpartition('/')[2]} {one.outcome}" for one in outcome.attempts]
    failed = isinstance(outcome, LLMError)
    text = f"{outcome} ({getattr(outcome, 'detail', '')})" if failed else ""
    return Ended(mode, not failed, seconds, attempts, text)


def warm_up() -> None:
    """Let a first call prepare what takes time in a new process: certificates, modules."""
    with suppress(LLMError):
        LLMClient(target("warm", "https://127.0.0.1:1", max_retries=0)).generate("x")


def in_threads(calls: Sequence[Callable[[], Ended]]) -> list[Ended]:
    """Make calls at the same time, each in a thread; return them in order.

    They begin one after the other, after ``warm_up``, so that none waits for the processor.
    """
    warm_up()
    with ThreadPoolExecutor(len(calls)) as pool:
        pending = []
        for one in calls:
            pending.append(pool.submit(one))
            time.sleep(0.02)
        return [one.result() for one in pending]


def in_modes(client: Callable[[], LLMClient], modes: Sequence[str] = MODES) -> list[Ended]:
    """Make a call in each mode, at the same time, each with a client of its own."""
    return in_threads([partial(_in_mode, client, mode) for mode in modes])


def _in_mode(client: Callable[[], LLMClient], mode: str) -> Ended:
    made = client()
    ended = call(made, mode)
    made.close()
    return ended


Case = Callable[[], Any]


def apart(cases: Sequence[Case]) -> list[Any]:
    """Run each case in a forked process of its own, all at the same time; return what they return, as JSON.

    So neither the state of health nor what one case replaced in the standard library reaches another.

    Raises:
        RuntimeError: A case raised; what it raised is printed.
    """
    children = [_fork(case) for case in cases]
    results: list[Any] = []
    for pid, reader in children:
        with open(reader, "rb") as pipe:  # noqa: PTH123 - a descriptor
            results.append(json.loads(pipe.read() or b"null"))
        os.waitpid(pid, 0)
    if None in results:
        raise RuntimeError(f"{results.count(None)} of {len(results)} cases raised")
    return results


def _fork(case: Case) -> tuple[int, int]:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        return pid, reader
    try:
        os.write(writer, json.dumps(case()).encode())
    except BaseException:  # noqa: BLE001 - whatever it is, the parent says that the case raised
        traceback.print_exc()
    finally:
        os._exit(0)


def calls_apart(cases: Sequence[Callable[[], list[Ended]]]) -> list[Ended]:
    """Run cases that make calls as ``apart`` does; return all of their calls."""
    results = apart([partial(_as_rows, case) for case in cases])
    ended = [Ended(**row) for rows in results for row in rows]
    for one in ended:
        print(one)  # noqa: T201
    return ended


def _as_rows(case: Callable[[], list[Ended]]) -> list[dict[str, Any]]:
    return [asdict(one) for one in case()]
