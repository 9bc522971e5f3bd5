"""Every error twice at once: ours, and LangChain's of the same kind. Code that catches either works.

None is retryable to LangChain: retries and failover have been tried already, and a retry middleware on top would
multiply them.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, ClassVar, Final

from langchain_core import exceptions as theirs

from unified_llm import exceptions as ours

# Newer than the oldest langchain-core that we run with.
REFUSAL: type[theirs.ModelError] = getattr(theirs, "ModelRefusalError", theirs.ModelInvalidRequestError)


class _Record:
    """What of an error goes into a trace: how far the call got, never the provider's words."""

    def __init__(self, error: ours.LLMError) -> None:
        self.status_code = error.status_code
        self.headers: dict[str, str] = {}
        self._error = error

    def json(self) -> dict[str, Any]:
        """The body that LangChain puts into a trace."""
        error = self._error
        attempts = [attempt.as_dict() for attempt in error.attempts]
        return {"provider": error.provider, "model": error.model, "code": error.code, "attempts": attempts}


class ChainError(ours.LLMError):
    """What all errors raised by ``ChatUnified`` have in common."""

    is_retryable: ClassVar[bool] = False

    @property
    def response(self) -> _Record:
        """The attempts, for LangChain's traces."""
        return _Record(self)


class ChainConfigurationError(ChainError, ours.ConfigurationError, theirs.ModelInvalidRequestError):
    """A setting is wrong or missing."""


class ChainValidationError(ChainError, ours.ValidationError, theirs.ModelInvalidRequestError):
    """The request is wrong."""


class ChainContextOverflowError(ChainError, ours.ContextOverflowError, theirs.ContextOverflowError):
    """The prompt is longer than the model's context window."""


class ChainUnsupportedOperationError(ChainError, ours.UnsupportedOperationError, theirs.ModelInvalidRequestError):
    """No target can do what the request asks for."""


class ChainAuthenticationError(ChainError, ours.AuthenticationError, theirs.ModelAuthenticationError):
    """The key was refused."""


class ChainPermissionDeniedError(ChainError, ours.PermissionDeniedError, theirs.ModelPermissionDeniedError):
    """The key may not do this."""


class ChainQuotaExceededError(ChainError, ours.QuotaExceededError, theirs.ModelRateLimitError):
    """The account has no credit."""


class ChainRateLimitError(ChainError, ours.RateLimitError, theirs.ModelRateLimitError):
    """Too many requests."""


class ChainModelNotFoundError(ChainError, ours.ModelNotFoundError, theirs.ModelNotFoundError):
    """No such model."""


class ChainContentFilterError(ChainError, ours.ContentFilterError, REFUSAL):  # type: ignore[misc,valid-type]
    """A content filter blocked the prompt, or the model declined."""


class ChainConnectionError(ChainError, ours.ConnectionError, theirs.ModelConnectionError):
    """No connection, or it broke."""


class ChainTimeoutError(ChainError, ours.TimeoutError, theirs.ModelTimeoutError):
    """No answer in time."""


class ChainServiceUnavailableError(ChainError, ours.ServiceUnavailableError, theirs.ModelAPIError):
    """The provider failed."""


class ChainGenerationError(ChainError, ours.GenerationError, theirs.ModelAPIError):
    """An answer came that is no answer."""


class ChainStreamInterruptedError(ChainError, ours.StreamInterruptedError, theirs.ModelConnectionError):
    """The stream broke after its first chunk was handed out."""


class ChainAllTargetsFailedError(ChainError, ours.AllTargetsFailedError, theirs.ModelAPIError):
    """Several targets were tried and none answered."""


class ChainUnknownError(ChainError, theirs.ModelError):
    """An error of a kind that is newer than this table."""


# Each of our kinds, and the class that is also LangChain's.
_TWINS: Final[dict[type[ours.LLMError], type[ChainError]]] = {
    next(base for base in twin.__bases__ if base.__module__ == ours.__name__): twin
    for twin in ChainError.__subclasses__()
    if twin is not ChainUnknownError
}


def translate(error: ours.LLMError) -> ours.LLMError:
    """The same error, of a class that LangChain knows too."""
    if isinstance(error, ChainError):
        return error
    kind = next((_TWINS[base] for base in type(error).__mro__ if base in _TWINS), ChainUnknownError)
    twin = kind.__new__(kind)
    Exception.__init__(twin, *error.args)
    twin.__dict__.update(error.__dict__)
    return twin


@contextmanager
def translated() -> Generator[None, None, None]:
    """Raise our errors so that LangChain knows them too."""
    try:
        yield
    except ours.LLMError as error:
        twin = translate(error)
        raise twin.with_traceback(error.__traceback__) from error.__cause__
