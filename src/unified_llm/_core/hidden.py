"""Values that no repr shows, and tracebacks whose variables show nothing: error trackers print the variables of frames.

Rule for code of this package: a function that waits, or that calls what may fail, holds keys, prompts and responses
only in objects whose repr shows nothing. Whatever other frames hold is cleared while an exception passes (see
``clear_variables``), whichever line raised it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR
from types import TracebackType
from typing import Final, Generic, TypeVar

ValueT_co = TypeVar("ValueT_co", covariant=True)

_PACKAGE: Final = "unified_llm."
# Modules that call libraries, never objects of users, whose variables are theirs to see: the frames of a library are
# cleared below these.
_LIBRARY_CALLERS: Final = tuple(
    _PACKAGE + name for name in ("_lib.", "_formats.", "_backends.http.", "_config.", "_state.", "_adapters.")
)
_MAY_BE_SUSPENDED: Final = CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR


class Hidden(Generic[ValueT_co]):
    """A value of any type that no repr shows; equal to another with an equal value."""

    __slots__ = ("value",)

    def __init__(self, value: ValueT_co) -> None:
        self.value = value

    def __repr__(self) -> str:
        """Hide the value."""
        return "Hidden('***')"

    def __eq__(self, other: object) -> bool:
        """Compare the values."""
        return isinstance(other, Hidden) and bool(other.value == self.value)

    def __hash__(self) -> int:
        """Hash the value."""
        return hash(self.value)


class HiddenText(str):
    """A text whose repr hides it, also within a list or a dictionary. Never in a value that is compared by its repr."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Hide the content."""
        return "'***'"


class HiddenBytes(bytes):
    """Bytes whose repr hides them, for libraries that keep headers in variables."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Hide the content."""
        return "b'***'"


class ClearVariables:
    """Context manager that clears the variables of all frames that an exception has left; see ``clear_variables``."""

    __slots__ = ()

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Clear the variables if there is an exception."""
        if error is not None:
            clear_variables(error)


CLEAR_VARIABLES: Final = ClearVariables()


def clear_variables(error: BaseException) -> None:
    """Clear the variables of this package's frames, and of libraries that it called, in an exception's tracebacks.

    Frames that are still running, such as the caller's own, keep their variables; so do those of an application and of
    the objects that it passed to this package.
    """
    for raised in _chain(error):
        trace, calls_library = raised.__traceback__, False
        while trace is not None:
            frame = trace.tb_frame
            module = str(frame.f_globals.get("__name__"))
            if own := module.startswith(_PACKAGE):
                calls_library = module.startswith(_LIBRARY_CALLERS)
            in_library = calls_library and not own
            # A generator of ours may have caught an earlier exception and be suspended: to clear it would close it.
            if in_library or (own and (raised is error or not frame.f_code.co_flags & _MAY_BE_SUSPENDED)):
                with suppress(RuntimeError):  # it is still running
                    frame.clear()
            trace = trace.tb_next


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, its causes and contexts, and the members of groups; each once."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        raised = waiting.pop()
        if raised is None or id(raised) in seen:
            continue
        seen.add(id(raised))
        waiting += (raised.__cause__, raised.__context__)
        if isinstance(raised, BaseExceptionGroup):
            waiting += raised.exceptions
        yield raised
