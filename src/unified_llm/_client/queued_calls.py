"""Calls of a batch: those of ``map``, of LangChain's and LlamaIndex's batch methods, of the command line and of Ray.

Such a call waits in a queue for its turn, so it is held to the limits of its targets in another way than a single call
(``_policy.rate_limits``): the wait for a turn is not counted in its deadline, and how many are in flight adapts to what
the server accepts.

What is begun in the block counts: also tasks, which copy the context, and threads that are started with a copy of it::

    with queued_calls():
        thread = Thread(target=copy_context().run, args=(client.generate, prompt))
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from typing import Final

_queued: Final[ContextVar[bool]] = ContextVar("unified_llm_queued_calls", default=False)

is_queued: Final = _queued.get
"""Return whether a call that begins here and now is one of a batch."""


@contextmanager
def queued_calls() -> Generator[None]:
    """Mark the calls that begin in this block as calls of a batch.

    A generator must not yield inside the block: its caller's own calls would be marked too.
    """
    token = _queued.set(True)
    try:
        yield
    finally:
        with suppress(ValueError):  # a coroutine that is dropped may be closed in another context, which is not marked
            _queued.reset(token)


def queued_if(*, several: bool) -> AbstractContextManager[None]:
    """Mark the calls of the block where there are several."""
    return queued_calls() if several else nullcontext()
