"""Callables that return API keys: those of a vault, of Entra ID, of Google's cloud, whose keys expire.

What one returned is kept for every target and client of the process that has the same callable, as long as the callable
exists. ``_backends.keys`` calls it.
"""

from __future__ import annotations

import inspect
import sys
import threading
import weakref
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, cast

from unified_llm._core.api_key import Secret, problem_with_key, unwrapped
from unified_llm._core.seconds import FOREVER, SecondsError, read_seconds
from unified_llm._lib.fork_safe import make_lock, run_in_child
from unified_llm.exceptions import ConfigurationError

# Seconds. A key is renewed so long before its end: a tenth of its time, and at most a minute.
_RENEWED_BEFORE: Final = 60.0
_PART_OF_ITS_TIME: Final = 0.1
# A longer time is a date, in seconds since 1970: the second value of an ``AccessToken`` of azure-identity.
_LONGEST: Final = 10 * 365 * 86400.0
_LONGEST_NAME: Final = 200


@dataclass(slots=True, weakref_slot=True, eq=False)
class KeptKey:
    """What a callable returned last, and the call of it that is in progress. Fields change under ``lock`` only.

    Attributes:
        number: Tells apart callables of one name.
        is_async: It returns an awaitable, as far as is known.
        key: What it returned last; None before that.
        asked_at: The instant at which it was called for that key.
        renew_at: The instant from which another one is fetched, while this one still serves.
        ends_at: The instant from which the key is not sent any more.
        fetch: The call of it that is in progress: a future of ``_backends.keys``.
        fetching_since: The instant at which that call began.
    """

    number: int = 1
    is_async: bool = False
    key: Secret | None = None
    asked_at: float = -FOREVER
    renew_at: float = FOREVER
    ends_at: float = FOREVER
    fetch: Any = None
    fetching_since: float = -FOREVER
    lock: threading.RLock = field(default_factory=make_lock)

    def __post_init__(self) -> None:
        """Register it, for a child of this process."""
        _all.add(self)

    def keep(self, key: Secret, seconds: float | None, asked_at: float) -> None:
        """Keep a key, for its time in seconds; None is until it is refused."""
        self.key, self.asked_at, self.ends_at, self.renew_at = key, asked_at, FOREVER, FOREVER
        if seconds is not None:
            self.ends_at = asked_at + seconds
            self.renew_at = self.ends_at - min(_RENEWED_BEFORE, seconds * _PART_OF_ITS_TIME)


class KeyCallable:
    """A callable that returns an API key, or the key and the seconds for which it is valid.

    Attributes:
        name: Module and qualified name of the callable, for messages.
        kept: What it returned; shared by all that have the same callable.

    Args:
        call: The callable, sync or async.

    Raises:
        ConfigurationError: It is a class, or takes arguments that it would not get.
    """

    __slots__ = ("_call", "kept", "name")

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call, self.name = call, _name_of(call)
        if isinstance(call, type):
            raise ConfigurationError(f"api_key= is the class {self.name}: pass an object of it, or its method.")
        if needed := _needed_arguments(call):
            raise ConfigurationError(
                f"api_key= is called without arguments, and {self.name} needs {', '.join(needed)}: pass "
                "functools.partial(...) or a lambda."
            )
        self.kept = _kept_for(call, self.name)

    def call(self) -> Any:
        """Call it."""
        return self._call()

    @property
    def described(self) -> str:
        """Return what messages call it."""
        return f"the API key callable {self.name}"

    def check_sync(self) -> None:
        """Refuse the use of an async callable in a sync call.

        Raises:
            ConfigurationError: It is one.
        """
        if self.kept.is_async:
            raise ConfigurationError(
                f"api_key= is the async callable {self.name}, which a sync call cannot await: use the async methods, "
                "or pass a sync callable."
            )

    @property
    def account(self) -> str:
        """Return the default account: the name, with a number where it is not the first of that name."""
        number = 1 if self.is_importable else self.kept.number
        return f"{self.name}#{number}" if number > 1 else self.name

    @property
    def is_importable(self) -> bool:
        """Return whether it is found by its name, as functions of a module are: a pickle has just that name."""
        module, name = (getattr(self._call, attribute, None) for attribute in ("__module__", "__qualname__"))
        return bool(name) and getattr(sys.modules.get(f"{module}"), f"{name}", None) is self._call

    def __repr__(self) -> str:
        """Show the name."""
        return f"<callable {self.name}>"

    def __eq__(self, other: object) -> bool:
        """Compare the callables."""
        return isinstance(other, KeyCallable) and _is_same(self._call, other._call)

    def __hash__(self) -> int:
        """Hash the callable by its identity."""
        return hash(_identity(self._call)[1])

    def __copy__(self) -> KeyCallable:
        """Return itself: the callable stays that of the user."""
        return self

    def __deepcopy__(self, memo: object) -> KeyCallable:
        """Return itself: the callable stays that of the user."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the name of a function of a module; refuse to pickle anything else.

        Raises:
            TypeError: Its object may hold keys.
        """
        if not self.is_importable:
            raise TypeError("A callable that returns keys is pickled only where it is a function of a module.")
        return KeyCallable, (self._call,)


def read_returned(value: object, source: str) -> tuple[Secret, float | None] | str:
    """Read what a callable returned: a key, or a key and the seconds for which it is valid.

    Returns:
        The key and its seconds; where it is something else, why, in words that continue a sentence about the key.
    """
    seconds: object = None
    if isinstance(value, (tuple, list)):
        pair = cast("Sequence[object]", value)
        if len(pair) != 2:
            return f"must be a key or (key, seconds), not {len(pair)} values"
        value, seconds = pair
    try:
        seconds = None if seconds is None or seconds == FOREVER else read_seconds(seconds, or_zero=True)
    except SecondsError as wrong:
        return f"has a time that {wrong}"
    if seconds is not None and seconds > _LONGEST:
        return "has a date in place of the seconds for which it is valid: subtract time.time()"
    key = unwrapped(value)
    if isinstance(key, Secret):
        return key, seconds
    return problem_with_key(key) or (Secret(key, source), seconds)


def close_awaitable(value: object) -> None:
    """Close a coroutine that nobody awaits, so that Python does not warn of it."""
    with suppress(Exception):
        cast("Any", value).close()


def refuse_awaitable(value: object) -> None:
    """Refuse a coroutine in the place of the function that makes it.

    Raises:
        ConfigurationError: It is one.
    """
    if isinstance(value, Awaitable):
        close_awaitable(value)
        raise ConfigurationError("api_key= is what an async function returned: pass the function itself, without ().")


_all: Final = weakref.WeakSet[KeptKey]()
# One process keeps what a callable returned for as long as the callable exists.
_kept: Final[dict[object, tuple[weakref.ref[Any], KeptKey]]] = {}
_numbers: Final[dict[str, int]] = {}
_lock = make_lock()


def _kept_for(call: Callable[[], Any], name: str) -> KeptKey:
    owner, identity = _identity(call)
    with _lock:
        if identity in _kept:
            return _kept[identity][1]
        number = _numbers[name] = _numbers.get(name, 0) + 1
        kept = KeptKey(number, is_async=_is_async(call))
        with suppress(TypeError):  # an object of a class with __slots__: what it returns is kept with this one alone
            _kept[identity] = weakref.ref(owner, lambda _: _kept.pop(identity, None)), kept
    return kept


def _forget_calls_in_progress() -> None:
    """Forget calls that only the parent of this process has threads for."""
    for kept in list(_all):
        kept.fetch = None


run_in_child(_forget_calls_in_progress)


def _identity(call: Any) -> tuple[Any, object]:
    """Return the object that lives as long as the callable (bound methods are made each time), and an identity."""
    if inspect.ismethod(call):
        return call.__self__, (id(call.__self__), id(call.__func__))
    return call, id(call)


def _is_same(one: Any, other: Any) -> bool:
    return _identity(one)[1] == _identity(other)[1]


def _is_async(call: Any) -> bool:
    return any(map(inspect.iscoroutinefunction, (call, type(call).__call__)))


def _needed_arguments(call: Callable[[], Any]) -> list[str]:
    """Return the names of the arguments without defaults, as far as they are known."""
    try:
        parameters = inspect.signature(call).parameters.values()
    except (TypeError, ValueError):  # it is not written in Python
        return []
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [each.name for each in parameters if each.default is each.empty and each.kind not in variadic]


def _name_of(call: Any) -> str:
    while isinstance(call, partial):
        call = call.func
    named = call if hasattr(call, "__qualname__") else type(call)
    return f"{named.__module__}.{named.__qualname__}"[:_LONGEST_NAME]
