"""What the programs of both clients say about an error: the facts that programs read from it."""

from __future__ import annotations

from typing import Any


def described(error: BaseException) -> dict[str, Any]:
    """Return the names of its classes that are public, and its attributes; of a message, whether there is one."""
    names = {kind.__name__ for kind in type(error).__mro__}
    facts = {name: getattr(error, name, None) for name in ("status_code", "code", "param", "type")}
    response = getattr(error, "response", None)
    return {
        "name": type(error).__name__,
        "is an": sorted(names & {"OpenAIError", "APIError", "APIStatusError", "APIConnectionError", "APITimeoutError"}),
        **facts,
        "has a message": bool(str(error)) and bool(getattr(error, "message", str(error))),
        "request_id": getattr(error, "request_id", None),
        "status of its response": getattr(response, "status_code", None),
        "body": getattr(error, "body", None),
    }
