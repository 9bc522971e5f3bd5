"""Finish async clean-up where nobody can await it any more.

A stream that is no longer referenced is closed in the garbage collector, where nothing can be awaited. The object
behind it (a wrapped model, a user-defined provider) may have to wait while it cleans up; cut off there, it would leave
its connections open. ``FinishInBackground`` gives the rest of such a clean-up to the running event loop::

    await FinishInBackground(clean_up())
      |
      |  next(steps) -> future          the awaiting task passes each future on to its event loop
      |
      +-- result, error, cancelled      passed back into the steps, as with any await
      |
      +-- GeneratorExit                 the awaiting coroutine was closed in the middle
            |
            +-- an event loop runs      new task: wait for the same future, then run the remaining steps
            |
            +-- no event loop runs      the steps are closed when they are garbage-collected

``finish_without_loop`` is the counterpart for clean-up that has nothing to wait for. This module imports asyncio only
when it is needed: sync callers import it too.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Coroutine, Generator

# Strong references: an event loop keeps only weak ones to its tasks.
_TASKS: Final[set[asyncio.Task[None]]] = set()


class FinishInBackground:
    """Awaitable that the event loop runs to its end, even if the awaiting coroutine is closed before.

    Args:
        awaitable: The clean-up. It does not start before it is awaited.
    """

    def __init__(self, awaitable: Awaitable[object]) -> None:
        self._awaitable = awaitable

    def __await__(self) -> Generator[Any, Any, None]:
        """Run the steps of the awaitable; on ``GeneratorExit`` leave the remaining ones to the event loop."""
        steps = self._awaitable.__await__()
        with suppress(StopIteration):
            awaited = next(steps)
            while True:
                try:
                    yield awaited
                except GeneratorExit:
                    _finish_in_task(steps, awaited)
                    raise
                except BaseException as error:  # noqa: BLE001 - the awaitable handles it, cancellation included
                    awaited = steps.throw(error)
                else:
                    awaited = next(steps)


def finish_without_loop(close: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine function that has no reason to wait, where nothing can be awaited: in the garbage collector.

    A coroutine that does wait is closed at its first wait.
    """
    coroutine = close()
    with suppress(StopIteration, RuntimeError):
        coroutine.send(None)
    coroutine.close()


def _finish_in_task(steps: Generator[Any, Any, object], awaited: Any) -> None:
    # RuntimeError: no loop runs here. ImportError: the interpreter is exiting, so none runs either.
    with suppress(RuntimeError, ImportError):
        import asyncio

        task = asyncio.get_running_loop().create_task(_run_to_end(_RemainingSteps(steps, awaited)))
        _TASKS.add(task)
        task.add_done_callback(_TASKS.discard)


async def _run_to_end(remaining: _RemainingSteps) -> None:
    with suppress(Exception):
        await remaining


class _RemainingSteps:
    """The rest of an awaitable that was started outside of any task, and the future that it waits for."""

    def __init__(self, steps: Generator[Any, Any, object], awaited: Any) -> None:
        self._steps, self._awaited = steps, awaited

    def __await__(self) -> Generator[Any, Any, None]:
        yield self._awaited
        yield from self._steps
