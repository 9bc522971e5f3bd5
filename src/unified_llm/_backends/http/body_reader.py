"""Base class of the readers of response bodies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from unified_llm._core.outcome import Done, Failure

if TYPE_CHECKING:
    from unified_llm._core.exchange import AnyEvent

_DETAIL: Final = 500  # characters kept of a body that is not an answer


class BodyReader:
    """Base of the readers of JSON bodies, streams, media and errors."""

    def feed(self, data: bytes) -> list[AnyEvent]:
        """Return the events of these bytes."""
        raise NotImplementedError

    def finish(self, *, incomplete: bool) -> list[AnyEvent]:
        """Return the events of the end of the body."""
        raise NotImplementedError

    def on_timeout(self) -> Done | Failure:
        """Return the end after a timeout."""
        return Failure("timeout")


def malformed(body: bytes | bytearray) -> Failure:
    """Return the failure for a body that is not an answer."""
    return Failure("malformed", detail=body[:_DETAIL].decode(errors="replace"))
