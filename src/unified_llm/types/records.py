"""Records of a call: its attempts and its token usage."""

from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens used, counted in the same way with all providers.

    ``prompt_tokens`` includes cached tokens, ``completion_tokens`` includes reasoning tokens.
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
    """One attempt of a call at one target, and its outcome.

    Attributes:
        target: ``provider/model``.
        outcome: ``ok``, the kind of failure, ``skipped`` or ``cancelled``.
        status: The HTTP status, if one came.
        seconds: Seconds from its start to its outcome.
        waited: Seconds slept before it (backoff, Retry-After).
        first_token: Seconds until the first chunk of a stream, or None.
        request_id: The provider's identifier of this exchange.
        reason: The reason for skipping it, the provider's error code, or ``hedged``: another attempt was faster.
        maybe_billed: Whether the provider may charge for it although it failed.
        retry: Whether the same target had an earlier attempt in the same call.
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
        """Return a plain dict for metadata and JSON; omit empty fields, except the first three and ``seconds``."""
        full = {field.name: getattr(self, field.name) for field in fields(self)}
        always = ("target", "outcome", "status", "seconds")
        return {name: value for name, value in full.items() if name in always or value}
