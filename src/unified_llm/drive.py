"""The two drivers: they perform what the policy asks for. Above the transport, only these exist twice.

``advance`` runs the policy until it hands something out, and returns that; ``END`` means that the policy has ended,
with its verdict in ``defeat``. ``close`` may be called at any time, and more than once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from unified_llm.exceptions import ValidationError
from unified_llm.exchange import AsyncExchange, Event, Exchange
from unified_llm.outcome import Failure
from unified_llm.policy.effects import FOREVER, Emit, Open, Sleep, Wait
from unified_llm.policy.plan import Flow
from unified_llm.policy.standing import Defeat
from unified_llm.runtime import Runtime
from unified_llm.target import Target

END: Final = object()


class Drive:
    """Drives a policy for a synchronous caller."""

    __slots__ = ("_connect", "_exchanges", "_flow", "_runtime", "defeat")

    def __init__(self, flow: Flow, connect: Callable[[Target], Exchange], runtime: Runtime) -> None:
        """Nothing happens before the first ``advance``."""
        self._flow = flow
        self._connect = connect
        self._runtime = runtime
        self._exchanges: dict[int, Exchange] = {}
        self.defeat: Defeat | None = None

    def advance(self) -> Any:
        """The next thing that the policy hands out, or ``END``."""
        send, exchanges = self._flow.send, self._exchanges
        outcome: Any = None
        try:
            while True:
                effect = send(outcome)
                if isinstance(effect, Emit):
                    return effect.value
                if isinstance(effect, Wait):
                    number = effect.attempts[0]
                    outcome = (number, exchanges[number].read(effect.until))
                elif isinstance(effect, Open):
                    outcome = self._open(effect)
                else:
                    outcome = None
                    if isinstance(effect, Sleep):
                        self._runtime.sleep(effect.until)
                    elif exchange := exchanges.pop(effect.attempt, None):
                        exchange.close()
        except StopIteration as end:
            self.defeat = end.value
            return END
        except BaseException:
            self.close()
            raise

    def _open(self, effect: Open) -> Failure | None:
        try:
            exchange = self._connect(effect.target)
        except ValidationError as problem:
            return Failure("unsendable", detail=str(problem))
        self._exchanges[effect.attempt] = exchange
        return exchange.open(effect.until)

    def close(self) -> None:
        """End the policy and every exchange."""
        self._flow.close()
        while self._exchanges:
            self._exchanges.popitem()[1].close()


class AsyncDrive:
    """Drives a policy for an asynchronous caller."""

    __slots__ = ("_aside", "_connect", "_exchanges", "_flow", "_runtime", "defeat")

    def __init__(self, flow: Flow, connect: Callable[[Target], AsyncExchange], runtime: Runtime) -> None:
        """Nothing happens before the first ``advance``."""
        self._flow = flow
        self._connect = connect
        self._runtime = runtime
        self._exchanges: dict[int, AsyncExchange] = {}
        # Attempts that were begun aside, until their first event. A read that is cancelled ends its exchange, so
        # these go on while others are waited for.
        self._aside: dict[int, asyncio.Task[Event]] = {}
        self.defeat: Defeat | None = None

    async def advance(self) -> Any:
        """The next thing that the policy hands out, or ``END``."""
        send, exchanges, aside = self._flow.send, self._exchanges, self._aside
        outcome: Any = None
        try:
            while True:
                effect = send(outcome)
                if isinstance(effect, Emit):
                    return effect.value
                if isinstance(effect, Wait):
                    if aside:
                        outcome = await self._first(effect)
                    else:
                        number = effect.attempts[0]
                        outcome = (number, await exchanges[number].read(effect.until))
                elif isinstance(effect, Open):
                    outcome = await self._open(effect)
                else:
                    outcome = None
                    if isinstance(effect, Sleep):
                        await self._runtime.asleep(effect.until)
                    else:
                        await self._abandon(effect.attempt)
        except StopIteration as end:
            self.defeat = end.value
            return END
        except GeneratorExit:  # nobody awaits this any more
            finish_now(self.close)
            raise
        except BaseException:
            await self.close()
            raise

    async def _open(self, effect: Open) -> Failure | None:
        try:
            exchange = self._connect(effect.target)
        except ValidationError as problem:
            return Failure("unsendable", detail=str(problem))
        self._exchanges[effect.attempt] = exchange
        if not effect.aside:
            return await exchange.open(effect.until)
        self._aside[effect.attempt] = asyncio.create_task(_begin(exchange, effect.until))
        return None

    async def _first(self, effect: Wait) -> tuple[int, Event] | None:
        tasks = {self._aside[number]: number for number in effect.attempts}
        left = None if effect.until == FOREVER else max(0.0, effect.until - self._runtime.now())
        done, _ = await asyncio.wait(tasks, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        for task, number in tasks.items():
            if task in done:
                del self._aside[number]
                return number, task.result()
        return None

    async def _abandon(self, number: int) -> None:
        if task := self._aside.get(number):
            task.cancel()
            await asyncio.wait([task])
            del self._aside[number]
        if exchange := self._exchanges.pop(number, None):
            await exchange.close()

    async def close(self) -> None:
        """End the policy and every exchange."""
        self._flow.close()
        try:
            if self._aside:
                for task in self._aside.values():
                    task.cancel()
                await asyncio.wait(self._aside.values())
        finally:
            self._aside.clear()
            while self._exchanges:
                await self._exchanges.popitem()[1].close()


async def _begin(exchange: AsyncExchange, until: float) -> Event:
    return await exchange.open(until) or await exchange.read(until)


def finish_now(close: Callable[[], Any]) -> None:
    """Run a coroutine function that has no reason to wait, where nobody can await: in the garbage collector."""
    coroutine = close()
    with suppress(StopIteration, RuntimeError):
        coroutine.send(None)
    coroutine.close()
