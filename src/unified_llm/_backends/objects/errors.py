"""What the exceptions of a model object say of its provider: by class, by HTTP status, by the name of the class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from unified_llm import exceptions as exc
from unified_llm._core.outcome import Failure, FailureKind

# Kinds of failure by HTTP status, where nothing better is known.
_STATUS: Final[Mapping[int, FailureKind]] = {
    401: "auth",
    402: "quota",
    403: "permission",
    404: "model_not_found",
    408: "request_timeout",
    409: "conflict",
    413: "too_large",
    425: "conflict",
    429: "rate_limit",
}
# Kinds by class, most particular first: ours (a chain inside a chain), and the builtins.
OURS: Final[Sequence[tuple[type[Exception], FailureKind]]] = (
    (exc.ContextOverflowError, "context"),
    (exc.QuotaExceededError, "quota"),
    (exc.ContentFilterError, "filter"),
    (exc.UnsupportedOperationError, "unsupported"),
    (NotImplementedError, "unsupported"),
    (TimeoutError, "timeout"),
    (OSError, "connection"),
)


def read_failure(problem: Exception, classes: Sequence[tuple[type[Exception], FailureKind]] = OURS) -> Failure | None:
    """What an exception of a model object says of its provider.

    Classes that are known come first, then the HTTP status that nearly every SDK's exceptions carry, then the name of
    the class. None for a plain builtin exception (TypeError, KeyError ...): that is a mistake in someone's code, and
    asking another provider would only hide it.

    Args:
        problem: What was raised.
        classes: Kinds by class, most particular first.
    """
    status = _status(problem)
    code = getattr(problem, "code", None)
    code = code if isinstance(code, str) else None
    kind: FailureKind | None = next((kind for known, kind in classes if isinstance(problem, known)), None)
    if kind in {None, "rate_limit"} and code in {"insufficient_quota", "billing_hard_limit_reached"}:
        kind = "quota"
    if kind is None and status is not None and status >= 400:
        kind = _STATUS.get(status) or ("server" if status >= 500 else "bad_request")
    kind = kind or _kind_by_name(type(problem))
    if kind is None:
        return None
    return Failure(kind, status=status, code=code, detail=str(problem), headers=_headers(problem))


def _kind_by_name(kind: type[Exception]) -> FailureKind | None:
    """HTTP clients have exceptions of their own for what the builtins name."""
    names = " ".join(base.__name__ for base in kind.__mro__)
    if "Timeout" in names:
        return "timeout"
    if any(word in names for word in ("Connect", "Network", "Transport", "ProtocolError")):
        return "connection"
    return None if kind.__module__ == "builtins" else "server"


def _status(problem: Exception) -> int | None:
    response: Any = getattr(problem, "response", None)
    candidates: list[Any] = [getattr(problem, "status_code", None), getattr(response, "status_code", None)]
    if isinstance(response, Mapping):  # botocore
        candidates.append(response.get("ResponseMetadata", {}).get("HTTPStatusCode"))
    candidates.append(getattr(problem, "code", None))  # google.api_core
    return next((each for each in candidates if isinstance(each, int) and 100 <= each < 600), None)


def _headers(problem: Exception) -> Mapping[str, str]:
    """Hints on when to come back; the rest of the headers is nobody's business."""
    headers: Any = getattr(getattr(problem, "response", None), "headers", None)
    if not isinstance(headers, Mapping):
        return {}
    return {str(name).lower(): str(value) for name, value in headers.items() if "retry" in str(name).lower()}
