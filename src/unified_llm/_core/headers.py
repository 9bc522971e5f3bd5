"""Headers of requests: names and values that HTTP can carry, and those that no user may set.

Checked wherever a user gives headers (a configuration, a row of the provider table, a call), when a target is made, and
again by the HTTP backend before anything is sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from unified_llm.exceptions import LLMError

# Headers of framing, encoding and routing: any other value than the connection's own would break it.
OF_THE_CONNECTION: Final = frozenset({
    "accept-encoding", "connection", "content-encoding", "content-length", "expect", "host", "http2-settings",
    "keep-alive", "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
})  # fmt: skip
# And the one that a format sets.
NOT_FOR_USERS: Final = OF_THE_CONNECTION | {"content-type"}

# Headers that differ from one request to the next and say nothing about the response: identifiers of requests, of
# traces (W3C Trace Context and Baggage, B3, Jaeger, AWS X-Ray, Google Cloud, Datadog, Sentry, New Relic), and of
# attempts. With them in its key, a cache would never find anything.
_PER_REQUEST: Final = frozenset({
    "baggage", "b3", "date", "newrelic", "traceparent", "tracestate", "sentry-trace", "uber-trace-id",
    "grpc-trace-bin", "x-amzn-trace-id", "x-cloud-trace-context",
})  # fmt: skip
_PER_REQUEST_PREFIXES: Final = ("x-b3-", "x-datadog-", "uberctx-")
_PER_REQUEST_SUFFIXES: Final = ("request-id", "correlation-id", "idempotency-key", "trace-id", "span-id", "requestid")

# With these an application names itself to a gateway. X-Title is the older name of X-OpenRouter-Title.
_OF_APPLICATIONS: Final = frozenset({"http-referer", "referer", "x-openrouter-title", "x-title"})
_SAME: Final[Mapping[str, str]] = {"x-title": "x-openrouter-title", "referer": "http-referer"}

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # a token of RFC 9110, section 5.6.2
_VALUE: Final = re.compile(r"([!-~]([ -~]*[!-~])?)?")  # ASCII without control characters, and without spaces around it


def is_name(name: object) -> bool:
    """Return whether HTTP can carry a header of this name."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def is_value(value: object) -> bool:
    """Return whether HTTP can carry a header with this value."""
    return isinstance(value, str) and _VALUE.fullmatch(value) is not None


def check(given: Mapping[str, str], source: str, error: type[LLMError], *, key_header: str = "") -> None:
    """Refuse headers that HTTP cannot carry, that frame or authorise a message, or that hold the key.

    Args:
        given: The headers.
        source: The argument that they were given as, for messages, which repeat no value.
        error: The class of the exception.
        key_header: The header in which the target's format sends the key, where that is not ``Authorization``.

    Raises:
        LLMError: Of the class ``error``.
    """
    for name, value in given.items():
        if not is_name(name):
            raise error(f"{source} has a name that is no header name.")
        read_as = _as_servers_read(name)
        if read_as == "authorization":
            raise error(f"{source} must not set Authorization: pass the key as api_key=.")
        if key_header and read_as == key_header.lower():
            raise error(f"{source} must not set {name}: that header carries the key, so pass the key as api_key=.")
        if read_as in NOT_FOR_USERS:
            raise error(f"{source} must not set {name}: the connection sets it.")
        if not is_value(value):
            raise error(f"The value of the header {name} in {source} is no plain ASCII text.")


def _as_servers_read(name: str) -> str:
    """Return the name in lower case, with the hyphens that some servers make of underscores."""
    return name.lower().replace("_", "-")


def names_an_application(given: Mapping[str, str]) -> bool:
    """Return whether one of these headers says which application sends the request."""
    return any(_as_servers_read(name) in _OF_APPLICATIONS for name in given)


def overlay(base: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """Return headers of a target with those of a call, which replace any of the same meaning, however it is spelled."""
    replaced = {_meaning(name) for name in extra}
    return {name: value for name, value in base.items() if _meaning(name) not in replaced} | dict(extra)


def _meaning(name: str) -> str:
    read_as = _as_servers_read(name)
    return _SAME.get(read_as, read_as)


def is_per_request(header: str) -> bool:
    """Return whether a header, by its name, identifies one request rather than who makes it."""
    name = header.lower()
    return name in _PER_REQUEST or name.startswith(_PER_REQUEST_PREFIXES) or name.endswith(_PER_REQUEST_SUFFIXES)
