"""Clean-up that goes on where nobody can await it any more, left to the event loop that runs there.

A stream that nobody holds any more is closed in the garbage collector. A provider object of the user's may have to wait
while it cleans up; cut off there, it would leave its own connections open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Generator
from contextlib import suppress
from typing import Any, Final

# An event loop keeps no hold of its tasks.
_TASKS: Final[set[asyncio.Task[None]]] = set()


class FinishInBackground:
    """What is awaited here is finished by the event loop, if whoever awaits it is closed before it has ended."""

    def __init__(self, awaitable: Awaitable[object]) -> None:
        """Nothing happens before it is awaited."""
        self._awaitable = awaitable

    def __await__(self) -> Generator[Any, Any, None]:
        """Wait as long as there is somebody who does."""
        steps = self._awaitable.__await__()
        with suppress(StopIteration):
            awaited = next(steps)
            while True:
                try:
                    yield awaited
                except GeneratorExit:
                    _leave(steps, awaited)
                    raise
                except BaseException as problem:  # noqa: BLE001 - it is theirs, cancellation as well
                    awaited = steps.throw(problem)
                else:
                    awaited = next(steps)


def _leave(steps: Generator[Any, Any, object], awaited: Any) -> None:
    with suppress(RuntimeError):  # no loop runs here: the steps are closed when they are forgotten
        task = asyncio.get_running_loop().create_task(_finish(_Rest(steps, awaited)))
        _TASKS.add(task)
        task.add_done_callback(_TASKS.discard)


async def _finish(rest: _Rest) -> None:
    with suppress(Exception):
        await rest


class _Rest:
    """What is left of something that has begun outside of any task, and what it waits for."""

    def __init__(self, steps: Generator[Any, Any, object], awaited: Any) -> None:
        self._steps, self._awaited = steps, awaited

    def __await__(self) -> Generator[Any, Any, None]:
        yield self._awaited
        yield from self._steps
