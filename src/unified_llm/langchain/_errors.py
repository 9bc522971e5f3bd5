"""Exceptions that are both ours and langchain-core's, so that code that catches either works.

To LangChain none of them is retryable: the client has retried and failed over already, and a retry middleware on top
would multiply the attempts.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, ClassVar, Final

from langchain_core import exceptions as theirs

from unified_llm import exceptions as ours

# ModelRefusalError is newer than the oldest supported langchain-core.
REFUSAL: type[theirs.ModelError] = getattr(theirs, "ModelRefusalError", theirs.ModelInvalidRequestError)


class _TraceResponse:
    """The part of an error that LangChain puts into a trace: the attempts, never the provider's own text."""

    def __init__(self, error: ours.LLMError) -> None:
        self.status_code = error.status_code
        self.headers: dict[str, str] = {}
        self._error = error

    def json(self) -> dict[str, Any]:
        """Return the body that LangChain puts into a trace."""
        error = self._error
        attempts = [attempt.as_dict() for attempt in error.attempts]
        names = ("provider", "model", "code", "param")
        return {**{name: getattr(error, name) for name in names}, "attempts": attempts}


class ChainError(ours.LLMError):
    """Base class of the exceptions that are both ours and langchain-core's."""

    is_retryable: ClassVar[bool] = False

    @property
    def response(self) -> _TraceResponse:
        """The attempts, for LangChain's traces."""
        return _TraceResponse(self)


class ChainConfigurationError(ChainError, ours.ConfigurationError, theirs.ModelInvalidRequestError):
    """A setting is wrong or missing."""


class ChainUnconfiguredError(ChainError, ours.UnconfiguredError, theirs.ModelInvalidRequestError):
    """Targets lack an API key, a URL or a package."""


class ChainValidationError(ChainError, ours.ValidationError, theirs.ModelInvalidRequestError):
    """The request is wrong."""


class ChainBadRequestError(ChainError, ours.BadRequestError, theirs.ModelInvalidRequestError):
    """The provider refused the request."""


class ChainContextOverflowError(ChainError, ours.ContextOverflowError, theirs.ContextOverflowError):
    """The prompt is longer than the model's context window."""


class ChainUnsupportedOperationError(ChainError, ours.UnsupportedOperationError, theirs.ModelInvalidRequestError):
    """No target can do what the request asks for."""


class ChainAuthenticationError(ChainError, ours.AuthenticationError, theirs.ModelAuthenticationError):
    """The API key was refused."""


class ChainPermissionDeniedError(ChainError, ours.PermissionDeniedError, theirs.ModelPermissionDeniedError):
    """The API key lacks a permission."""


class ChainQuotaExceededError(ChainError, ours.QuotaExceededError, theirs.ModelRateLimitError):
    """The account has no credit."""


class ChainRateLimitError(ChainError, ours.RateLimitError, theirs.ModelRateLimitError):
    """Too many requests."""


class ChainModelNotFoundError(ChainError, ours.ModelNotFoundError, theirs.ModelNotFoundError):
    """The provider has no such model."""


class ChainContentFilterError(ChainError, ours.ContentFilterError, REFUSAL):  # type: ignore[misc,valid-type]
    """A content filter blocked the prompt, or the model declined."""


class ChainConnectionError(ChainError, ours.ConnectionError, theirs.ModelConnectionError):
    """No connection, or it broke."""


class ChainTimeoutError(ChainError, ours.TimeoutError, theirs.ModelTimeoutError):
    """No response came in time."""


class ChainServiceUnavailableError(ChainError, ours.ServiceUnavailableError, theirs.ModelAPIError):
    """The provider failed or is overloaded."""


class ChainGenerationError(ChainError, ours.GenerationError, theirs.ModelAPIError):
    """A response could not be used."""


class ChainStreamInterruptedError(ChainError, ours.StreamInterruptedError, theirs.ModelConnectionError):
    """The stream broke after its first chunk was handed out."""


class ChainAllTargetsFailedError(ChainError, ours.AllTargetsFailedError, theirs.ModelAPIError):
    """Several targets were tried and all failed."""


class ChainUnknownError(ChainError, theirs.ModelError):
    """An error of ours that has no class above."""


# Class of ours -> the class that is langchain-core's too.
_CHAIN_CLASSES: Final[dict[type[ours.LLMError], type[ChainError]]] = {
    next(base for base in chain_class.__bases__ if base.__module__ == ours.__name__): chain_class
    for chain_class in ChainError.__subclasses__()
    if chain_class is not ChainUnknownError
}


def translate(error: ours.LLMError) -> ours.LLMError:
    """Return the error as an exception that is langchain-core's too, with the same arguments and attributes."""
    if isinstance(error, ChainError):
        return error
    bases = type(error).__mro__
    chain_class = next((_CHAIN_CLASSES[base] for base in bases if base in _CHAIN_CLASSES), ChainUnknownError)
    translated = chain_class.__new__(chain_class)
    Exception.__init__(translated, *error.args)
    translated.__dict__.update(error.__dict__)
    return translated


@contextmanager
def translate_errors() -> Generator[None, None, None]:
    """Raise our errors as exceptions that are langchain-core's too."""
    try:
        yield
    except ours.LLMError as error:
        raise translate(error).with_traceback(error.__traceback__) from error.__cause__
