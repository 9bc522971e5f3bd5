"""How a client makes its calls, beyond what each target says: limits, hedging, and what fails over.

A mistake in a client's own rules is found when it is made; one in those of a call, before anything is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any, Final, cast, get_args

from unified_llm._core.outcome import FailureKind
from unified_llm.exceptions import ConfigurationError, LLMError, ValidationError

DEADLINE: Final = 600.0

_KINDS: Final[tuple[str, ...]] = get_args(FailureKind)


@dataclass(frozen=True, slots=True)
class CallOptions:
    """The rules of a client, or of one call.

    Attributes:
        deadline: Seconds for a whole call, or None for no limit.
        timeout: Seconds for each attempt of this call, in place of those of its target.
        hedge_after: Seconds after which another target is asked beside a slow one, or None for never.
        failover_on: For some kinds of failure, whether another target is asked.
    """

    deadline: float | None = DEADLINE
    timeout: float | None = None
    hedge_after: float | None = None
    failover_on: Mapping[FailureKind, bool] = field(default_factory=dict[FailureKind, bool])

    @classmethod
    def of_client(cls, **given: Any) -> CallOptions:
        """A client's own.

        Raises:
            ConfigurationError: One of them makes no sense.
        """
        return cls(**_read(given, ConfigurationError))

    def of_call(self, overrides: dict[str, Any], *, chat: bool) -> CallOptions:
        """Take the rules of one call out of what the user passed with it; the rest are fields of the request.

        Raises:
            ValidationError: One of them makes no sense.
        """
        names = ("deadline", "timeout", "failover_on", *(("hedge_after",) if chat else ()))
        given = {name: overrides.pop(name) for name in names if name in overrides}
        return replace(self, **_read(given, ValidationError)) if given else self


def check_stream_break(wish: object) -> None:
    """What is to happen when a stream breaks after its first chunk.

    Raises:
        ConfigurationError: It is not ``raise``.
    """
    if wish != "raise":
        raise ConfigurationError(
            'on_stream_break knows "raise" alone: a stream that broke after its first chunk raises '
            "StreamInterruptedError, and .partial has the text so far."
        )


def _read(given: Mapping[str, Any], wrong: type[LLMError]) -> dict[str, Any]:
    return {
        name: _failover(value, wrong) if name == "failover_on" else _seconds(name, value, wrong)
        for name, value in given.items()
    }


def _seconds(name: str, value: object, wrong: type[LLMError]) -> float | None:
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0):
        return value
    raise wrong(f"{name} must be greater than 0 seconds, or None.")


def _failover(value: object, wrong: type[LLMError]) -> dict[FailureKind, bool]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(wish, bool) for wish in value.values()):
        raise wrong(
            'failover_on maps kinds of failure to True or False, such as {"filter": True, "rate_limit": False}.'
        )
    for kind in value:
        if kind not in _KINDS:
            close = get_close_matches(str(kind), _KINDS, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(_KINDS)}."
            raise wrong(f"failover_on names a kind of failure that is unknown: {hint}")
    return dict(cast("Mapping[FailureKind, bool]", value))
