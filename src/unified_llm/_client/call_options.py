"""Options of a call beyond those of each target: deadline, timeout, hedging, and what fails over.

A mistake in a client's options is found when the client is made; one in those of a call, before anything is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from inspect import isasyncgenfunction, iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final, cast, get_args

from unified_llm._client import extra_headers
from unified_llm._core.outcome import FailureKind, kind_of_status
from unified_llm._core.redaction import quoted
from unified_llm._core.seconds import SecondsError, read_seconds
from unified_llm._lib.close_names import closest
from unified_llm._observe.tracing_tools import ModelSpan
from unified_llm.exceptions import ConfigurationError, LLMError, ValidationError

if TYPE_CHECKING:
    from unified_llm._config.call_targets import CallTargets

DEADLINE: Final = 600.0

_KINDS: Final[tuple[str, ...]] = get_args(FailureKind)


@dataclass(frozen=True, slots=True)
class CallOptions:
    """The options of a client, or of one call.

    Attributes:
        deadline: Seconds for a whole call, or None for no limit.
        timeout: Seconds for each attempt of this call, in place of those of its target.
        hedge_after: Seconds after which the request is sent to another target beside a slow one, or None for never.
        failover_on: For some kinds of failure, whether the call fails over.
        extra_headers: Headers of this call, for the server of the first target alone.
        extra_query: Names and values for the query of the address, as ``extra_headers``. Set by ``openai_style``.
        retries: Fields of ``RetryLimits`` for every target of this call, in place of those of its configuration.
        named_targets: The key, the URL and the fallbacks that this call names; None where it names none.
        model_spans: What tracing tools record of this call. An adapter sets it; it is no option for users.
    """

    deadline: float | None = DEADLINE
    timeout: float | None = None
    hedge_after: float | None = None
    failover_on: Mapping[FailureKind, bool] = field(default_factory=dict[FailureKind, bool])
    extra_headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    extra_query: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    retries: Mapping[str, Any] = field(default_factory=dict[str, Any])
    named_targets: CallTargets | None = field(default=None, repr=False)
    model_spans: tuple[ModelSpan, ...] = field(default=(), repr=False)

    @classmethod
    def of_client(cls, **given: Any) -> CallOptions:
        """Check the options of a client.

        Raises:
            ConfigurationError: One of them makes no sense.
        """
        return cls(**_read(given, ConfigurationError))

    def without_target_changes(self) -> CallOptions:
        """Return these options without those that change targets, for targets that were changed already."""
        return replace(self, timeout=None, extra_headers={}, extra_query=(), retries={})

    def with_timeout(self, timeout: float | None) -> CallOptions:
        """Return these options with the timeout that a request has, unless the call has one."""
        return self if timeout is None or self.timeout is not None else replace(self, timeout=timeout)

    def of_call(self, overrides: dict[str, Any], *, chat: bool) -> CallOptions:
        """Take the options of one call out of its keyword arguments; the rest are fields of the request.

        Args:
            overrides: The keyword arguments; those that are options are removed.
            chat: Whether the call is a chat, which alone may be hedged.

        Raises:
            ValidationError: One of them makes no sense.
        """
        names = OPTION_NAMES if chat else _OPTIONS_OF_OTHERS
        given = {name: overrides.pop(name) for name in names if name in overrides}
        if not given:
            return self
        of_targets: dict[str, Any] = {name: given.pop(name) for name in OPTIONS_OF_TARGETS if name in given}
        options = replace(self, **_read(given, ValidationError))
        if of_targets and any(value is not None for value in of_targets.values()):
            from unified_llm._client import target_options  # which imports what makes targets

            options = replace(options, **target_options.read(of_targets))
        return options


TARGET_OPTIONS: Final = ("api_key", "base_url", "fallbacks")
OPTIONS_OF_TARGETS: Final = (
    "max_retries", "retry_delay", "retry_max_delay", "retry_exponential_base", *TARGET_OPTIONS,
)  # fmt: skip
OPTION_NAMES: Final = ("deadline", "timeout", "hedge_after", "failover_on", "extra_headers", *OPTIONS_OF_TARGETS)
_OPTIONS_OF_OTHERS: Final = tuple(name for name in OPTION_NAMES if name != "hedge_after")


def check_stream_break(value: object) -> None:
    """Refuse any value of ``on_stream_break`` but ``raise``.

    Raises:
        ConfigurationError: It is not ``raise``.
    """
    if value != "raise":
        raise ConfigurationError(
            'on_stream_break knows "raise" alone: a stream that broke after its first chunk raises '
            "StreamInterruptedError, and .partial has the text so far."
        )


def check_flag(name: str, value: object) -> None:
    """Refuse an option that is neither True nor False: the text "no" would be taken for True.

    Raises:
        ConfigurationError: It is something else.
    """
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name} must be True or False, not {type(value).__name__}.")


def check_callback(callback: object) -> None:
    """Refuse an ``on_attempt`` that cannot be called, or would have to be awaited: sync calls cannot do that.

    Raises:
        ConfigurationError: It is no plain function.
    """
    if callback is None:
        return
    if not callable(callback):
        raise ConfigurationError(f"on_attempt is a function that takes an Attempt, not {type(callback).__name__}.")
    functions = (callback, getattr(callback, "__call__", None))  # noqa: B004 - also of an object whose __call__ is async
    if any(iscoroutinefunction(function) or isasyncgenfunction(function) for function in functions):
        raise ConfigurationError(
            "on_attempt is an async function, and would never be awaited: pass a plain function. In async calls it may "
            "start a task, with asyncio.get_running_loop().create_task(...)."
        )


def _read(given: Mapping[str, Any], error: type[LLMError]) -> dict[str, Any]:
    return {name: _read_option(name, value, error) for name, value in given.items()}


def _read_option(name: str, value: object, error: type[LLMError]) -> object:
    match name:
        case "failover_on":
            return _failover(value, error)
        case "extra_headers":
            return extra_headers.read(value, error)
        case _:
            return None if value is None else check_seconds(name, value, error)


def check_seconds(name: str, value: object, error: type[LLMError]) -> float:
    """Return an option that is a time in seconds.

    Raises:
        LLMError: It is something else.
    """
    try:
        return read_seconds(value)
    except SecondsError as wrong:
        raise error(f"{name} {wrong}.") from None


def _failover(value: object, error: type[LLMError]) -> dict[FailureKind, bool]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise error(
            f"failover_on maps kinds of failure to True or False, and got {type(value).__name__}: write "
            f"failover_on={_example(value)}."
        )
    for kind, allowed in cast("Mapping[object, object]", value).items():
        if kind not in _KINDS:
            raise error(f"failover_on has no kind of failure {_shown(kind)}: {_meant(kind)}")
        if not isinstance(allowed, bool):
            raise error(f"failover_on maps kinds of failure to True or False, and {kind!r} to neither.")
    return dict(cast("Mapping[FailureKind, bool]", value))


def _example(value: object) -> str:
    """Return a mapping that may have been meant by a list of kinds, or one kind."""
    given = [value] if isinstance(value, str) else list(value) if isinstance(value, (list, tuple, set)) else []
    kinds = [kind for each in given for kind in _kinds_like(each)[:1]] or ["filter"]
    return f"{{{', '.join(f'{kind!r}: True' for kind in dict.fromkeys(kinds))}}}"


def _shown(kind: object) -> str:
    if isinstance(kind, type):
        return kind.__name__
    if isinstance(kind, str):  # which may be a key, unless it is like something known
        return quoted(kind) if _kinds_like(kind) else "of that name"
    return str(kind) if isinstance(kind, int) else type(kind).__name__


def _meant(kind: object) -> str:
    """Say which kinds may be meant by an HTTP status, an exception or a misspelt name."""
    like = _kinds_like(kind)
    if not like:
        return f"known are {', '.join(_KINDS)}."
    if isinstance(kind, type):
        return f"it is raised for {', '.join(map(repr, like))}."
    return f"HTTP {kind} is {like[0]!r}." if _status(kind) else f"did you mean {like[0]!r}?"


def _kinds_like(kind: object) -> list[str]:
    if kind in _KINDS:
        return [f"{kind}"]
    if isinstance(kind, type):
        from unified_llm._client.errors import kinds_raised_as  # which imports the policy

        return kinds_raised_as(kind)
    if status := _status(kind):
        return [kind_of_status(status)]
    near = closest(kind, _KINDS) if isinstance(kind, str) else None
    return [near] if near else []


def _status(kind: object) -> int | None:
    """Read an HTTP status that is no success."""
    if isinstance(kind, bool) or not str(kind).isdecimal():
        return None
    return status if 300 <= (status := int(str(kind))) <= 599 else None
