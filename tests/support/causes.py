"""The errors that belong to an error."""

from __future__ import annotations

from collections.abc import Iterator

from unified_llm.exceptions import AllTargetsFailedError


def error_and_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, its causes and contexts, and the errors of groups and of targets; each once."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        raised = waiting.pop()
        if raised is None or id(raised) in seen:
            continue
        seen.add(id(raised))
        waiting += [raised.__cause__, raised.__context__]
        if isinstance(raised, BaseExceptionGroup):
            waiting += raised.exceptions
        elif isinstance(raised, AllTargetsFailedError):
            waiting += raised.errors
        yield raised
