"""What the programs of both clients say about an error: the facts that programs read from it."""

from __future__ import annotations

from typing import Any


def described(error: BaseException) -> dict[str, Any]:
    """Return the names of its classes that are public, and its attributes; of a message, whether there is one."""
    names = {kind.__name__ for kind in type(error).__mro__}
    facts = {
        "name": type(error).__name__,
        "is an": sorted(names & {"OpenAIError", "APIError", "APIStatusError", "APIConnectionError", "APITimeoutError"}),
        "has a message": bool(str(error)) and bool(getattr(error, "message", str(error))),
        **{name: getattr(error, name, None) for name in ("code", "param", "type", "body")},
    }
    if "APIStatusError" in names:
        response = getattr(error, "response", None)
        facts |= {name: getattr(error, name, None) for name in ("status_code", "request_id")}
        facts |= {"status of its response": getattr(response, "status_code", None)}
    return facts
