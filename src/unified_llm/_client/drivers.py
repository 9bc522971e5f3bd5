"""The sync and the async driver: they perform the effects of the policy. Above the HTTP backend, only they exist twice.

    policy ── effect ──> driver ── open, read, close ──> exchange
       ^                   │   └── wait ──> model loader    │
       └──── outcome ──────┴──────────── outcome ───────────┘

``advance`` runs the policy until something is handed to the caller: a chunk, or the end of the call (``Done`` or
``CallFailed``), after which it is not called again. ``close`` may be called at any time, and more than once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from unified_llm._backends.objects.finalize import finish_without_loop
from unified_llm._client.call import PreparedCall
from unified_llm._client.original_request import gets_original
from unified_llm._core.codec import UNWRITABLE, AnyRequest, Chunk
from unified_llm._core.converted_exchange import AsyncConvertedExchange, ConvertedExchange, Converter
from unified_llm._core.exchange import AnyEvent, AsyncExchange, Exchange
from unified_llm._core.hidden import clear_variables
from unified_llm._core.model_loading import ModelLoader
from unified_llm._core.observer import CallObserver
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.runtime import Runtime
from unified_llm._core.seconds import FOREVER
from unified_llm._core.target import Target
from unified_llm._policy.call_state import CallFailed
from unified_llm._policy.effects import Abandon, Emit, Load, Open, Sleep, Wait
from unified_llm._policy.failover import run_policy
from unified_llm._structured.attempts import StructuredAttempt
from unified_llm.exceptions import ConfigurationError, LLMError

if TYPE_CHECKING:
    from unified_llm._client.racing_tasks import RacingAttempts

Step: TypeAlias = Chunk | Done | CallFailed
"""Result of ``advance``."""

_NEEDS_ASYNCIO: Final = (
    "The async methods need asyncio, and none of its event loops runs here. Under trio or another library call the "
    "sync methods in a thread: await trio.to_thread.run_sync(client.generate, prompt)."
)


class _Observed:
    """Notifies the observer of a call, if there is one."""

    __slots__ = ("_call", "_observer", "_policy", "_runtime", "_started")

    def __init__(self, call: PreparedCall, runtime: Runtime) -> None:
        self._call, self._runtime = call, runtime
        self._policy = run_policy(call.state)
        self._observer, self._started = call.observer, False

    def _enter(self, observer: CallObserver) -> Any:
        if not self._started:
            self._started = True
            observer.started()
        return observer.enter()

    def _notify(self, observer: CallObserver, token: Any, step: Step) -> None:
        observer.leave(token)
        if isinstance(step, CallFailed):
            observer.finished(self._call.error(step))
            return
        observer.event(step)
        if isinstance(step, Done):
            observer.finished(None)

    def _fail(self, token: Any, error: BaseException) -> None:
        if self._observer is not None:
            self._observer.leave(token)
            self._observer.finished(error)

    def _finish(self) -> None:
        if self._started and self._observer is not None:
            self._observer.finished(None)


def begin_attempt(
    call: PreparedCall, target: Target
) -> tuple[AnyRequest, StructuredAttempt | None, Sequence[Converter]]:
    """Return the request for a target, how it asks for JSON, and what converts the events of its answer."""
    if call.original is not None and gets_original(call.original, target, call.primary):
        return call.original, None, ()
    structured = call.structured.attempt(target) if call.structured else None
    request = structured.request if structured else call.request
    fitted = None if call.fits_as_it_is and target is call.primary else call.fit(request, target)
    if fitted is None:
        return request, structured, (structured,) if structured else ()
    converters = fitted.converters
    return fitted.request, structured, (*converters, structured) if structured else converters


def _unsendable(error: LLMError, structured: StructuredAttempt | None) -> Failure:
    failure = Failure("unsendable", detail=str(error))
    return structured.on_failure(failure) if structured else failure


def check_loop() -> None:
    """Check that asyncio runs this call.

    Raises:
        ConfigurationError: It is awaited under trio or another library, or without an event loop.
    """
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise ConfigurationError(_NEEDS_ASYNCIO) from None


class Driver(_Observed):
    """Drives a call for a sync caller.

    Args:
        call: The call.
        connect: Makes an exchange for a request to a target.
        runtime: Clock and sleep.
        loader: Loads models, for a call that has targets with models to load.
    """

    __slots__ = ("_connect", "_exchanges", "_loader")

    def __init__(
        self,
        call: PreparedCall,
        connect: Callable[[AnyRequest, Target], Exchange],
        runtime: Runtime,
        *,
        loader: ModelLoader | None = None,
    ) -> None:
        super().__init__(call, runtime)
        self._connect, self._loader = connect, loader
        self._exchanges: dict[int, Exchange] = {}

    def advance(self) -> Step:
        """Run the policy to the next chunk or to the end of the call."""
        observer, send, exchanges = self._observer, self._policy.send, self._exchanges
        token = self._enter(observer) if observer is not None else None
        outcome: Any = None
        try:
            while not isinstance(effect := send(outcome), Emit):
                if isinstance(effect, Wait):
                    number = effect.attempts[0]
                    outcome = (number, exchanges[number].read(effect.until))
                elif isinstance(effect, Open):
                    outcome = self._open(effect)
                else:
                    outcome = self._perform(effect)
            step: Step = effect.chunk
        except StopIteration as end:
            step = end.value
        except BaseException as error:
            self._abort(token, error)
            raise
        if observer is not None:
            self._notify(observer, token, step)
        return step

    def _open(self, effect: Open) -> Failure | None:
        request, structured, converters = begin_attempt(self._call, effect.target)
        try:
            exchange = self._connect(request, effect.target)
            for converter in converters:
                exchange = ConvertedExchange(exchange, converter)
            self._exchanges[effect.attempt] = exchange
            return exchange.open(effect.until)
        except UNWRITABLE as error:
            return _unsendable(error, structured)

    def _perform(self, effect: Sleep | Load | Abandon) -> bool | None:
        if isinstance(effect, Load):
            return self._loader is None or self._loader.wait(effect.target, effect.until)
        if isinstance(effect, Sleep):
            self._runtime.sleep(effect.until)
        elif exchange := self._exchanges.pop(effect.attempt, None):
            exchange.close()
        return None

    def _abort(self, token: Any, error: BaseException) -> None:
        clear_variables(error)
        try:
            self._close()
        finally:
            self._fail(token, error)

    def close(self) -> None:
        """End the policy and close every exchange."""
        try:
            self._close()
        finally:
            self._finish()

    def _close(self) -> None:
        self._policy.close()
        while self._exchanges:
            self._exchanges.popitem()[1].close()


class AsyncDriver(_Observed):
    """Drives a call for an async caller; arguments as for ``Driver``.

    Args:
        load: Returns what to await before the first exchange with a target, or None.
    """

    __slots__ = ("_connect", "_exchanges", "_load", "_loader", "_racing")

    def __init__(
        self,
        call: PreparedCall,
        connect: Callable[[AnyRequest, Target], AsyncExchange],
        runtime: Runtime,
        *,
        load: Callable[[Target], Awaitable[None] | None] = lambda _: None,
        loader: ModelLoader | None = None,
    ) -> None:
        super().__init__(call, runtime)
        self._connect, self._load, self._loader = connect, load, loader
        self._exchanges: dict[int, AsyncExchange] = {}
        self._racing: RacingAttempts | None = None

    async def advance(self) -> Step:
        """Run the policy to the next chunk or to the end of the call."""
        observer, send, exchanges = self._observer, self._policy.send, self._exchanges
        token = self._enter(observer) if observer is not None else None
        outcome: Any = None
        try:
            while not isinstance(effect := send(outcome), Emit):
                if isinstance(effect, Wait):
                    if self._racing:
                        outcome = await self._first(self._racing, effect)
                    else:
                        number = effect.attempts[0]
                        outcome = (number, await exchanges[number].read(effect.until))
                elif isinstance(effect, Open):
                    outcome = await self._load_and_open(effect)
                else:
                    outcome = await self._perform(effect)
            step: Step = effect.chunk
        except StopIteration as end:
            step = end.value
        except GeneratorExit:  # the coroutine is collected or closed: nothing can be awaited any more
            finish_without_loop(self._close)
            # Its context is gone with the awaiting task, and this may run in another: there is none to restore.
            self._finish()
            raise
        except BaseException as error:
            await self._abort(token, error)
            raise
        if observer is not None:
            self._notify(observer, token, step)
        return step

    async def _open(self, effect: Open) -> Failure | None:
        request, structured, converters = begin_attempt(self._call, effect.target)
        try:
            exchange = self._connect(request, effect.target)
            for converter in converters:
                exchange = AsyncConvertedExchange(exchange, converter)
            self._exchanges[effect.attempt] = exchange
            if not effect.concurrent:
                return await exchange.open(effect.until)
        except UNWRITABLE as error:
            return _unsendable(error, structured)
        if self._racing is None:
            from unified_llm._client.racing_tasks import RacingAttempts

            self._racing = RacingAttempts()
        self._racing.begin(effect.attempt, exchange, effect.until)
        return None

    async def _first(self, racing: RacingAttempts, effect: Wait) -> tuple[int, AnyEvent] | None:
        left = None if effect.until == FOREVER else max(0.0, effect.until - self._runtime.now())
        return await racing.first(effect.attempts, left)

    async def _perform(self, effect: Sleep | Load | Abandon) -> bool | None:
        if isinstance(effect, Abandon):
            await self._abandon(effect.attempt)
            return None
        check_loop()
        if isinstance(effect, Load):
            return self._loader is None or await self._loader.wait_async(effect.target, effect.until)
        await self._runtime.asleep(effect.until)
        return None

    async def _abandon(self, number: int) -> None:
        if self._racing:
            await self._racing.stop(number)
        if exchange := self._exchanges.pop(number, None):
            await exchange.close()

    async def _load_and_open(self, effect: Open) -> Failure | None:
        check_loop()
        if loading := self._load(effect.target):
            await loading
        return await self._open(effect)

    async def _abort(self, token: Any, error: BaseException) -> None:
        clear_variables(error)
        try:
            await self._close()
        finally:
            self._fail(token, error)

    async def close(self) -> None:
        """End the policy and close every exchange."""
        try:
            await self._close()
        finally:
            self._finish()

    async def _close(self) -> None:
        self._policy.close()
        try:
            if self._racing:
                await self._racing.stop_all()
        finally:
            while self._exchanges:
                await self._exchanges.popitem()[1].close()
