"""What the exceptions of a chat model object of LangChain's say of its provider."""

from __future__ import annotations

from typing import Final

from langchain_core import exceptions as theirs

from unified_llm import exceptions as ours
from unified_llm.foreign import failures
from unified_llm.langchain.errors import REFUSAL
from unified_llm.outcome import Failure, FailureKind

# Kinds by class, most particular first: LangChain's taxonomy, ours (a chain inside a chain), and the builtins.
_CLASSES: Final[tuple[tuple[type[Exception], FailureKind], ...]] = (
    (theirs.ContextOverflowError, "context"),
    (theirs.ModelAuthenticationError, "auth"),
    (theirs.ModelPermissionDeniedError, "permission"),
    (theirs.ModelNotFoundError, "model_not_found"),
    (ours.QuotaExceededError, "quota"),
    (theirs.ModelRateLimitError, "rate_limit"),
    (ours.ContentFilterError, "filter"),
    *(((REFUSAL, "filter"),) if REFUSAL is not theirs.ModelInvalidRequestError else ()),
    (theirs.ModelTimeoutError, "timeout"),
    (theirs.ModelConnectionError, "connection"),
    (theirs.ModelAPIError, "server"),
    (ours.UnsupportedOperationError, "unsupported"),
    (theirs.ModelInvalidRequestError, "bad_request"),
    *failures.OURS,
)


def read_failure(problem: Exception) -> Failure | None:
    """What the exception of a model object says of its provider; None for a mistake in someone's code.

    LangChain's own taxonomy comes first, then what ``unified_llm.foreign.failures`` can tell of any exception.
    """
    return failures.read_failure(problem, _CLASSES)
