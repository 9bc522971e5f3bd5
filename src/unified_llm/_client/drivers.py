"""The two drivers: they perform what the policy asks for. Above the transport, only these exist twice.

``advance`` runs the policy until it hands something out, and returns that; ``END`` means that the policy has ended,
with its verdict in ``defeat``. ``close`` may be called at any time, and more than once.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from unified_llm._core.exchange import AsyncExchange, Event, Exchange
from unified_llm._core.outcome import Failure
from unified_llm._core.runtime import Runtime
from unified_llm._core.target import Target
from unified_llm._policy.call_state import CallFailed
from unified_llm._policy.effects import FOREVER, Emit, Open, Sleep, Wait
from unified_llm._policy.failover import Flow
from unified_llm.exceptions import ValidationError

if TYPE_CHECKING:
    from unified_llm._client.racing_tasks import RacingAttempts

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
        self.defeat: CallFailed | None = None

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
        self._aside: RacingAttempts | None = None
        self.defeat: CallFailed | None = None

    async def advance(self) -> Any:
        """The next thing that the policy hands out, or ``END``."""
        send, exchanges = self._flow.send, self._exchanges
        outcome: Any = None
        try:
            while True:
                effect = send(outcome)
                if isinstance(effect, Emit):
                    return effect.value
                if isinstance(effect, Wait):
                    if self._aside:
                        outcome = await self._first(self._aside, effect)
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
            finish_without_loop(self.close)
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
        if not effect.concurrent:
            return await exchange.open(effect.until)
        if self._aside is None:
            from unified_llm._client.racing_tasks import RacingAttempts

            self._aside = RacingAttempts()
        self._aside.begin(effect.attempt, exchange, effect.until)
        return None

    async def _first(self, concurrent: RacingAttempts, effect: Wait) -> tuple[int, Event] | None:
        left = None if effect.until == FOREVER else max(0.0, effect.until - self._runtime.now())
        return await concurrent.first(effect.attempts, left)

    async def _abandon(self, number: int) -> None:
        if self._aside:
            await self._aside.stop(number)
        if exchange := self._exchanges.pop(number, None):
            await exchange.close()

    async def close(self) -> None:
        """End the policy and every exchange."""
        self._flow.close()
        try:
            if self._aside:
                await self._aside.stop_all()
        finally:
            while self._exchanges:
                await self._exchanges.popitem()[1].close()


def finish_without_loop(close: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine function that has no reason to wait, where nobody can await: in the garbage collector."""
    coroutine = close()
    with suppress(StopIteration, RuntimeError):
        coroutine.send(None)
    coroutine.close()
