"""Everything that this package raises.

    LLMError
    ├── ConfigurationError          a setting is wrong; raised before any request
    ├── ValidationError             the request itself is wrong (HTTP 400, 413, 422, or found here)
    │   └── ContextOverflowError    the prompt is longer than the model's window
    ├── UnsupportedOperationError   no target can do what the request asks for
    ├── AuthenticationError         the key was refused (401)
    ├── PermissionDeniedError       the key may not do this (403)
    ├── QuotaExceededError          no credit left (402, or 429 with a billing code)
    ├── RateLimitError              too many requests (429)
    ├── ModelNotFoundError          no such model (404)
    ├── ContentFilterError          the provider's filter blocked the prompt
    ├── ConnectionError             no connection, or it broke (also the builtin ConnectionError)
    ├── TimeoutError                no answer in time (also the builtin TimeoutError)
    ├── ServiceUnavailableError     the provider failed (5xx, 529)
    ├── GenerationError             an answer came that is no answer (empty, malformed, of the wrong type)
    ├── StreamInterruptedError      the stream broke after text was handed out
    └── AllTargetsFailedError       several targets were tried and none answered

Messages say what happened, on which target, and what to do next. They never hold a key, a prompt, an answer, or the
provider's own words, which may quote any of these; the provider's words are in ``detail`` for those who look.
"""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unified_llm.types.records import Attempt, Usage

__all__ = [
    "AllTargetsFailedError",
    "AuthenticationError",
    "ConfigurationError",
    "ConnectionError",
    "ContentFilterError",
    "ContextOverflowError",
    "GenerationError",
    "LLMError",
    "ModelNotFoundError",
    "PermissionDeniedError",
    "QuotaExceededError",
    "RateLimitError",
    "ServiceUnavailableError",
    "StreamInterruptedError",
    "TimeoutError",
    "UnsupportedOperationError",
    "ValidationError",
]


class LLMError(Exception):
    """Base of everything that this package raises.

    Attributes:
        provider: The provider that failed, or None.
        model: The model that failed, or None.
        status_code: The HTTP status, if one came.
        request_id: The provider's identifier of the exchange, to quote to its support.
        code: The provider's own error code, if it gave one.
        detail: The provider's own words. They may quote the prompt, so they are in no message, log or pickle.
        attempts: Every attempt of the call, in order.
    """

    def __init__(
        self,
        message: str,
        *,
        provider: str | None = None,
        model: str | None = None,
        status_code: int | None = None,
        request_id: str | None = None,
        code: str | None = None,
        detail: str | None = None,
        attempts: Sequence[Attempt] = (),
    ) -> None:
        """Make an error; everything but the message is optional."""
        super().__init__(message)
        self.provider = provider
        self.model = model
        self.status_code = status_code
        self.request_id = request_id
        self.code = code
        self.detail = detail
        self.attempts: tuple[Attempt, ...] = tuple(attempts)

    def _repr_html_(self) -> str:
        """What a notebook shows of an error at the end of a cell."""
        from unified_llm._lib import attempt_table

        return attempt_table.error(type(self).__name__, str(self), self.attempts)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without ``detail``, and without what cannot travel (causes, tracebacks)."""
        state = {name: value for name, value in self.__dict__.items() if name not in {"detail", "raw"}}
        return (_restore, (type(self), str(self), state))


def _restore(kind: type[LLMError], message: str, state: dict[str, Any]) -> LLMError:
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    error.detail = None
    error.__dict__.update(state)
    return error


class ConfigurationError(LLMError):
    """A setting is wrong or missing. Raised before any request."""


class ValidationError(LLMError):
    """The request is wrong, and would be wrong anywhere else too."""


class ContextOverflowError(ValidationError):
    """The prompt is longer than the model's context window."""


class UnsupportedOperationError(LLMError):
    """No target can do what the request asks for."""


class AuthenticationError(LLMError):
    """The key was refused."""


class PermissionDeniedError(LLMError):
    """The key is valid but may not do this."""


class QuotaExceededError(LLMError):
    """The account has no credit or has reached its spending limit."""


class RateLimitError(LLMError):
    """Too many requests; ``retry_after`` is the provider's hint in seconds, if it gave one."""

    retry_after: float | None = None


class ModelNotFoundError(LLMError):
    """The provider has no such model."""


class ContentFilterError(LLMError):
    """The provider's content filter blocked the prompt."""


class ConnectionError(LLMError, builtins.ConnectionError):
    """No connection could be made, or it broke."""


class TimeoutError(LLMError, builtins.TimeoutError):
    """No answer came in time."""


class ServiceUnavailableError(LLMError):
    """The provider failed."""


class GenerationError(LLMError):
    """Something came back that is no answer: empty, malformed, or of the wrong type."""


class StreamInterruptedError(LLMError):
    """The stream broke after its first chunk was handed out. Nothing was replayed.

    Attributes:
        partial: The text so far.
        usage: Tokens spent so far, where the provider had said.
    """

    def __init__(self, message: str, *, partial: str = "", usage: Usage | None = None, **fields: Any) -> None:
        """Make an error that carries what had arrived."""
        super().__init__(message, **fields)
        self.partial = partial
        self.usage = usage

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without the partial answer."""
        restore, (kind, message, state) = super().__reduce__()
        return (restore, (kind, message, {**state, "partial": ""}))


class AllTargetsFailedError(LLMError):
    """Several targets were tried and none answered.

    Attributes:
        errors: The last error of each target that was asked, in the order of the chain.
    """

    def __init__(self, message: str, *, errors: Sequence[LLMError] = (), **fields: Any) -> None:
        """Make an error that carries the error of each target."""
        super().__init__(message, **fields)
        self.errors: tuple[LLMError, ...] = tuple(errors)
