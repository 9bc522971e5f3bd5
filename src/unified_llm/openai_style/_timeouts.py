"""Timeouts as programs for OpenAI's SDK pass them: seconds, None, or an object with one limit for each step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from unified_llm._client.call_options import DEADLINE
from unified_llm.openai_style._omitted import is_omitted

_NO_LIMIT: Final = 604_800.0  # a week: no socket takes an infinite timeout
_STEPS: Final = ("connect", "read", "write", "pool")


@dataclass(frozen=True, slots=True)
class Timeout:
    """Limits in seconds, for each step of a request. ``httpx.Timeout`` does as well.

    Attributes:
        timeout: The limit of those that follow, where they are not given; None for none.
        connect: For each step of making a connection.
        read: For an attempt: to the first chunk of a stream, or to a whole response.
        write: Not used: it is part of ``read``.
        pool: Not used: a free connection is waited for as a part of connecting.
    """

    timeout: float | None = None
    connect: float | None = None
    read: float | None = None
    write: float | None = None
    pool: float | None = None

    def __post_init__(self) -> None:
        """Let the general limit stand for those that are not given."""
        for name in _STEPS:
            if getattr(self, name) is None:
                object.__setattr__(self, name, self.timeout)


def read_timeout(value: Any) -> dict[str, Any]:
    """Return the options of a call that a timeout stands for; none where it is not given.

    Args:
        value: Seconds for an attempt; None for no limit; or an object with ``read`` and ``connect``.

    Returns:
        ``timeout`` and ``connect_timeout`` in seconds; and ``deadline``, where the usual one is shorter.
    """
    if is_omitted(value):
        return {}
    if value is None:
        return {"timeout": _NO_LIMIT, "deadline": None}
    options: dict[str, Any] = {"timeout": value}
    if all(hasattr(value, name) for name in _STEPS):
        options = {"timeout": _NO_LIMIT if value.read is None else value.read}
        if value.connect is not None:
            options["connect_timeout"] = value.connect
    seconds = options["timeout"]
    if isinstance(seconds, (int, float)) and seconds > DEADLINE:
        options["deadline"] = None
    return options
