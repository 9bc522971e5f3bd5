"""Faults of targets in an outage: the kinds, and the failures that they stand for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from typing import Final, Literal, TypeAlias

from unified_llm._core.codec import AnyRequest, wants_stream
from unified_llm._core.exchange import AnyEvent
from unified_llm._core.outcome import Failure, kind_of_status
from unified_llm._core.redaction import quoted
from unified_llm._lib.close_names import closest
from unified_llm.exceptions import ConfigurationError
from unified_llm.types.requests import LLMRequest
from unified_llm.types.responses import LLMChunk

FaultKind: TypeAlias = Literal[
    "refused", "dns", "tls", "hang", "cut", "truncated", "empty", "malformed",
    "auth", "quota", "rate_limit", "context", "filter",
    "400", "401", "402", "403", "404", "408", "413", "429", "500", "502", "503", "504", "529",
]  # fmt: skip
"""Failure of a target."""

ScriptedEvent: TypeAlias = AnyEvent | None
"""One event of an attempt; None if the target hangs."""

_STATUSES: Final = (400, 401, 402, 403, 404, 408, 413, 429, 500, 502, 503, 504, 529)
_FAILURES: Final[Mapping[str, Failure | None]] = {
    "refused": Failure("connect", detail="Connection refused"),
    "dns": Failure("connect", detail="no such name"),
    "tls": Failure("tls", detail="certificate verify failed"),
    "hang": None,
    "cut": Failure("connection"),
    "truncated": Failure("truncated"),
    "empty": Failure("empty"),
    "malformed": Failure("malformed"),
    "auth": Failure("auth", 401, "invalid_api_key"),
    "quota": Failure("quota", 429, "insufficient_quota"),
    "rate_limit": Failure("rate_limit", 429, "rate_limit_exceeded"),
    "context": Failure("context", 400, "context_length_exceeded"),
    "filter": Failure("filter", 400, "content_filter"),
    **{str(status): Failure(kind_of_status(status), status) for status in _STATUSES},
}
# What is meant by a kind, and by the ``outcome`` of an attempt that is no kind.
_KINDS_BY_WORD: Final[Mapping[str, str]] = {
    **{failure.kind if failure else "timeout": kind for kind, failure in reversed([*_FAILURES.items()])},
    **{kind: kind for kind in _FAILURES},
}
# Kinds that break an answer after it has begun.
_MIDWAY: Final = frozenset({"cut", "truncated"})
_WORDS: Final = ("This ", "answer ", "breaks ", "off ")
_A_DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of a target.

    Attributes:
        failure: The outcome of every attempt; None if the target hangs.
        after: The number of chunks before the failure, in a stream.
    """

    failure: Failure | None
    after: int

    def events_for(self, request: AnyRequest) -> Sequence[ScriptedEvent]:
        """List the events of an attempt, in order."""
        if not self.after or not wants_stream(request):
            return [self.failure]
        if isinstance(request, LLMRequest):
            return [*_make_chunks(self.after), self.failure]
        from unified_llm.testing._made_up_media import made_up_chunks  # few tests need it

        return [*made_up_chunks(request, self.after), self.failure]


def make_fault(kind: FaultKind, after: int | None, retry_after: float | None) -> Fault:
    """Validate the arguments of ``outage`` and make the fault.

    Raises:
        ConfigurationError: The kind is unknown, or an argument is invalid for it.
    """
    if not isinstance(kind, str) or kind not in _FAILURES:
        near = closest(str(kind), _KINDS_BY_WORD) if isinstance(kind, (str, int)) else None
        shown = quoted(kind) if isinstance(kind, str) else type(kind).__name__ if near is None else repr(kind)
        hint = f"did you mean {_KINDS_BY_WORD[near]!r}? " if near else ""
        raise ConfigurationError(f"outage() has no kind {shown}: {hint}The kinds are {', '.join(_FAILURES)}.")
    failure = _FAILURES[kind]
    if after is None:
        after = 1 if kind in _MIDWAY else 0
    if isinstance(after, bool) or not isinstance(after, int) or after < 0:
        raise ConfigurationError("after= must be a number of chunks: 0, 1, 2 ...")
    if retry_after is None:
        return Fault(failure, after)
    if failure is None or failure.status is None:
        raise ConfigurationError(f"retry_after= is part of a server's response, and {kind!r} has none: leave it out.")
    if isinstance(retry_after, bool) or not isinstance(retry_after, (int, float)) or not 0 <= retry_after <= _A_DAY:
        raise ConfigurationError("retry_after= must be a number of seconds, a day at most.")
    return Fault(replace(failure, retry_after=float(retry_after)), after)


def _make_chunks(number: int) -> Iterator[LLMChunk]:
    return (LLMChunk(content=word) for word in islice(cycle(_WORDS), number))
