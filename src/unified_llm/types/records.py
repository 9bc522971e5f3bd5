"""What is kept of a call: attempts, and tokens used."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens spent, counted in one way whoever answered.

    ``prompt_tokens`` includes cached ones, ``completion_tokens`` includes reasoning.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    audio_tokens: int = 0
    audio_output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of one target in one call.

    Attributes:
        target: ``provider/model``.
        outcome: ``ok``, the kind of failure, ``skipped`` or ``cancelled``.
        status: The HTTP status, if one came.
        seconds: How long it took, until its outcome was known.
        waited: Seconds slept before it (back-off, Retry-After).
        first_token: Seconds until the first chunk of a stream, or None.
        request_id: The provider's identifier of this exchange.
        reason: Why it was skipped, the provider's error code, or ``hedged``: another attempt was faster.
        maybe_billed: The provider may charge for it although nothing came of it.
        retry: The same target had been asked before in the same call.
    """

    target: str
    outcome: str
    status: int | None = None
    seconds: float = 0.0
    waited: float = 0.0
    first_token: float | None = None
    request_id: str | None = None
    reason: str | None = None
    maybe_billed: bool = False
    retry: bool = False

    def as_dict(self) -> dict[str, Any]:
        """A plain dict for metadata and JSON; fields that say nothing are left out."""
        full = {each.name: getattr(self, each.name) for each in fields(self)}
        always = ("target", "outcome", "status", "seconds")
        return {name: value for name, value in full.items() if name in always or value}
