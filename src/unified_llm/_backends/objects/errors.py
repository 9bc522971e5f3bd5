"""Exceptions of model objects as kinds of failure: by class, by HTTP status, by the name of the class."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from unified_llm import exceptions as exc
from unified_llm._core.outcome import Failure, FailureKind, kind_of_status

# Kinds by class, most specific first: our exceptions (a chain inside a chain), and the builtins.
KINDS_BY_CLASS: Final[Sequence[tuple[type[Exception], FailureKind]]] = (
    (exc.ContextOverflowError, "context"),
    (exc.QuotaExceededError, "quota"),
    (exc.ContentFilterError, "filter"),
    (exc.UnsupportedOperationError, "unsupported"),
    (NotImplementedError, "unsupported"),
    (TimeoutError, "timeout"),
    # The target is not configured, or a file or a package is missing on this machine.
    (exc.ConfigurationError, "setup"),
    (FileNotFoundError, "setup"),
    (NotADirectoryError, "setup"),
    (IsADirectoryError, "setup"),
    (PermissionError, "setup"),
    (ImportError, "setup"),
    (OSError, "connection"),
)


# What a class says no more of than an HTTP status does: the code and the message of the response may be more precise.
_BY_STATUS_ALONE: Final = frozenset({None, "rate_limit", "bad_request", "permission", "server"})


# Python's message for a method of a class: ``Responses.create() got an unexpected keyword argument 'seed'``.
_UNKNOWN_ARGUMENT: Final = re.compile(r"\w+\.\w+\(\) got an unexpected keyword argument '\w+'")


def read_failure(
    error: Exception, classes: Sequence[tuple[type[Exception], FailureKind]] = KINDS_BY_CLASS
) -> Failure | None:
    """Map an exception of a model object to a failure of its provider.

    Known classes come first, then the code and the message of the response and its HTTP status, which the exceptions of
    nearly every SDK carry, then the name of the class.
    None for a plain builtin exception (TypeError, KeyError ...): that is a bug in someone's code, and a fallback would
    only hide it.

    Args:
        error: The exception.
        classes: Kinds by class, most specific first.
    """
    status, body = _status(error), _body(error)
    words: dict[str, Any] = {**_read_words(error, body), "detail": str(error), "headers": _retry_headers(error)}
    kind: FailureKind | None = next((kind for known, kind in classes if isinstance(error, known)), None)
    if kind in _BY_STATUS_ALONE and status is not None and status >= 400:
        from unified_llm._formats.openai_errors import read_exception

        code = _first_text(error, "code")
        if read := read_exception(status, body, code, str(error)):
            return replace(read, **words)
        kind = kind or kind_of_status(status)
    kind = kind or _kind_by_name(type(error))
    return None if kind is None else Failure(kind, status=status, **words)


def read_unknown_argument(error: Exception) -> Failure | None:
    """Return the failure of a framework's model that handed an argument to an SDK that does not know it; else None."""
    if type(error) is TypeError and _UNKNOWN_ARGUMENT.match(str(error)):
        return Failure("unsupported", detail=str(error))
    return None


def _kind_by_name(error_class: type[Exception]) -> FailureKind | None:
    """Guess the kind from the names of an exception's classes: HTTP clients define their own timeouts and the like."""
    names = " ".join(base.__name__ for base in error_class.__mro__)
    if "Timeout" in names:
        return "timeout"
    if any(word in names for word in ("Connect", "Network", "Transport", "ProtocolError")):
        return "connection"
    return None if error_class.__module__ == "builtins" else "server"


def _body(error: Exception) -> object:
    """Return the parsed body of the response that an exception keeps; None where it keeps none."""
    body, details = getattr(error, "body", None), getattr(error, "details", None)  # the latter: Google's SDK
    return body if isinstance(body, (dict, list)) else details if isinstance(details, dict) else None


def _read_words(error: Exception, body: object) -> dict[str, Any]:
    """Read the provider's codes and the field that it names: from the exception, else from the body that it keeps."""
    from unified_llm._formats.error_body import read_body

    error_body = read_body(body)
    return {
        "code": _first_text(error, "code", "status") or _aws_code(error) or error_body.code,
        "subcode": error_body.subcode,
        "param": _first_text(error, "param") or error_body.field_path,
    }


def _first_text(error: Exception, *names: str) -> str | None:
    return next((value for name in names if isinstance(value := getattr(error, name, None), str) and value), None)


def _aws_code(error: Exception) -> str | None:
    """Return the code that botocore keeps in the response: ``ValidationException``."""
    response: Any = getattr(error, "response", None)
    fields = response.get("Error") if isinstance(response, Mapping) else None
    code = fields.get("Code") if isinstance(fields, Mapping) else None
    return code if isinstance(code, str) else None


def _status(error: Exception) -> int | None:
    response: Any = getattr(error, "response", None)
    candidates: list[Any] = [getattr(error, "status_code", None), getattr(response, "status_code", None)]
    if isinstance(response, Mapping):  # botocore
        candidates.append(response.get("ResponseMetadata", {}).get("HTTPStatusCode"))
    candidates.append(getattr(error, "code", None))  # google.api_core
    return next((status for status in candidates if isinstance(status, int) and 100 <= status < 600), None)


def _retry_headers(error: Exception) -> Mapping[str, str]:
    """Read the response headers about retrying, names in lower case; the others are dropped."""
    headers: Any = getattr(getattr(error, "response", None), "headers", None)
    if not isinstance(headers, Mapping):
        return {}
    return {str(name).lower(): str(value) for name, value in headers.items() if "retry" in str(name).lower()}
