"""Exceptions that this package raises.

    LLMError
    ├── ConfigurationError          a setting is wrong; raised before any request, or where base_url turns out wrong
    │   └── UnconfiguredError       targets of the chain lack an API key, a URL or a package
    ├── ValidationError             the request is wrong
    │   ├── BadRequestError         a provider refused the request (400, 422), and so did all others
    │   └── ContextOverflowError    the prompt is longer than the model's context window
    ├── UnsupportedOperationError   no target can do what the request asks for
    ├── AuthenticationError         the API key was refused (401)
    ├── PermissionDeniedError       the API key may not do this (403)
    ├── QuotaExceededError          no credit left (402, or 429 with a billing code)
    ├── RateLimitError              too many requests (429)
    ├── ModelNotFoundError          no such model (404)
    ├── ContentFilterError          the provider's filter blocked the prompt
    ├── ConnectionError             no connection, or it broke (also the builtin ConnectionError)
    ├── TimeoutError                no response in time (also the builtin TimeoutError)
    ├── ServiceUnavailableError     the provider failed (5xx, 529)
    ├── GenerationError             the response is unusable (empty, malformed, of the wrong type)
    ├── StreamInterruptedError      the stream broke after text was returned
    └── AllTargetsFailedError       several targets were tried, and all failed

Messages state what happened, on which target, and what to do next, with the provider's code and the field of the
request that it names. They never contain a key, a prompt, a response, or the provider's own message, which may quote
any of these: ``detail`` holds it. With ``configure(error_details=True)`` it is in the message too, without keys.
"""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from unified_llm.types.records import Attempt, Usage

__all__ = [
    "AllTargetsFailedError",
    "AuthenticationError",
    "BadRequestError",
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
    "UnconfiguredError",
    "UnsupportedOperationError",
    "ValidationError",
]


# Texts of a provider, and results.
_NOT_PICKLED = frozenset({"detail", "response_body", "response_headers", "raw", "answer", "partial"})


class LLMError(Exception):
    """Base class of all exceptions of this package. Everything but the message is optional.

    Attributes:
        provider: The provider that failed, or None.
        model: The model that failed, or None.
        status_code: The HTTP status, if one came.
        request_id: The provider's identifier of the request, to quote to its support.
        code: The provider's own error code, if it sent one.
        param: The field of the request that the provider names, if it does (``messages[0].content``).
        detail: The provider's own message. It may quote the prompt, so it is in no log or pickle, and in the message
            only with ``configure(error_details=True)``.
        response_body: The provider's error as it came, as text. It may quote the prompt as well: it is in no log,
            pickle or message.
        response_headers: The headers of the response that say when to try again and which limits hold, with names in
            lower case; in no pickle.
        attempts: Every attempt of the call, in order.
        position: After ``embed``: the index of the text in the list that was refused by itself, else None.
        partial: What had arrived: after ``embed`` the vectors, by the index of their text; of a stream its text.
    """

    position: int | None = None
    partial: Any = None

    def __init__(  # noqa: PLR0913 - all that is known of a failure
        self,
        message: str,
        *,
        provider: str | None = None,
        model: str | None = None,
        status_code: int | None = None,
        request_id: str | None = None,
        code: str | None = None,
        param: str | None = None,
        detail: str | None = None,
        response_body: str | None = None,
        response_headers: Mapping[str, str] | None = None,
        attempts: Sequence[Attempt] = (),
    ) -> None:
        Exception.__init__(self, message)  # what else a class of an adapter inherits takes other arguments
        self.provider = provider
        self.model = model
        self.status_code = status_code
        self.request_id = request_id
        self.code = code
        self.param = param
        self.detail = detail
        self.response_body = response_body
        self.response_headers: dict[str, str] = {**(response_headers or {})}
        self.attempts: tuple[Attempt, ...] = tuple(attempts)

    def __str__(self) -> str:
        """Return the message, and which text of a list it is about."""
        text = super().__str__()
        if self.position is None or not (self.position or self.partial):
            return text
        return f"{text} It is the text at index {self.position}; .partial has the vectors of the others so far."

    def _repr_html_(self) -> str:
        """Return the message and a table of the attempts as HTML, for an error that is the value of a notebook cell."""
        from unified_llm._lib import attempt_table

        attempts = [attempt.as_row() for attempt in self.attempts]
        return attempt_table.render_error(type(self).__name__, str(self), attempts)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without texts of a provider, and without what cannot be pickled (causes, tracebacks)."""
        state = {name: value for name, value in self.__dict__.items() if name not in _NOT_PICKLED}
        return (restore, (type(self), Exception.__str__(self), state))


def without_traceback(error: LLMError) -> LLMError:
    """Copy all of an error but its traceback: what raises the copy keeps no frame alive in the error.

    ``copy.copy`` leaves out the texts of a provider, as pickling does.
    """
    made = type(error).__new__(type(error))
    made.args, made.__cause__ = error.args, error.__cause__
    made.__dict__.update(error.__dict__)
    return made


def restore(kind: type[LLMError], message: str, state: dict[str, Any]) -> LLMError:
    """Make an error again from what its pickle holds."""
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    error.detail, error.response_body, error.response_headers = None, None, {}
    error.__dict__.update(state)
    return error


class ConfigurationError(LLMError):
    """A setting is wrong or missing. Raised before any request, or where a server shows that its base_url is wrong."""


class UnconfiguredError(ConfigurationError):
    """Targets lack an API key, a URL or a package: the message lists all of them, with what each lacks.

    Raised when a client is created, or by a call that names a model of its own. With ``skip_unconfigured=True`` such
    targets of a chain are skipped with one warning each, and this is raised where none is left.
    """


class ValidationError(LLMError):
    """The request is invalid: found before sending, or refused by every target that received it."""


class BadRequestError(ValidationError):
    """The provider refused the request (HTTP 400, 405, 415, 422 ...), and no other target accepted it.

    Where several targets refused it, this is the error of the first; ``attempts`` lists all.
    """


class ContextOverflowError(ValidationError):
    """The prompt is longer than the model's context window."""


class UnsupportedOperationError(LLMError):
    """No target can do what the request asks for."""


class AuthenticationError(LLMError):
    """The API key was refused."""


class PermissionDeniedError(LLMError):
    """The API key is valid but may not do this."""


class QuotaExceededError(LLMError):
    """The account has no credit or has reached its spending limit."""


class RateLimitError(LLMError):
    """Too many requests; ``retry_after`` is the provider's delay in seconds, if it sent one."""

    retry_after: float | None = None


class ModelNotFoundError(LLMError):
    """The provider has no such model."""


class ContentFilterError(LLMError):
    """The provider's content filter blocked the prompt."""


class ConnectionError(LLMError, builtins.ConnectionError):
    """No connection could be made, or it broke."""


class TimeoutError(LLMError, builtins.TimeoutError):
    """No response arrived within the timeout."""


class ServiceUnavailableError(LLMError):
    """The provider failed (a server error or an overload)."""


class GenerationError(LLMError):
    """The response is unusable: empty, malformed, or of the wrong type.

    Attributes:
        answer: The text that was not accepted, where JSON was requested. It is in no message, log or pickle; what is
            wrong with it is in ``detail``.
    """

    answer: str | None = None


class StreamInterruptedError(LLMError):
    """The stream broke after its first chunk was returned. The request was not sent again.

    Attributes:
        partial: The text so far.
        usage: Tokens used so far, if the provider reported them.
    """

    partial: str = ""

    def __init__(self, message: str, *, partial: str = "", usage: Usage | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.partial = partial
        self.usage = usage

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without the partial answer."""
        make, (kind, message, state) = super().__reduce__()
        return (make, (kind, message, {**state, "partial": ""}))


class AllTargetsFailedError(LLMError):
    """Several targets were tried, and all failed.

    Attributes:
        errors: The last error of each target that was tried, in the order of the chain.
    """

    def __init__(self, message: str, *, errors: Sequence[LLMError] = (), **fields: Any) -> None:
        super().__init__(message, **fields)
        self.errors: tuple[LLMError, ...] = tuple(errors)


def __getattr__(name: str) -> Any:
    """Say where a name is that this module does not have."""
    if name.startswith("__"):  # Python looks for some of these with every import
        raise AttributeError(name)
    from unified_llm._lib.missing_names import missing_name

    raise missing_name(__name__, name, __all__)
