"""Headers of requests: names and values that HTTP can carry, and those that no user may set.

Checked in a configuration, and again by the HTTP backend before anything is sent.
"""

from __future__ import annotations

import re
from typing import Final

# Headers of framing, encoding and routing: any other value than the connection's own would break it.
OF_THE_CONNECTION: Final = frozenset({
    "accept-encoding", "connection", "content-encoding", "content-length", "expect", "host", "keep-alive",
    "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
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

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # a token of RFC 9110, section 5.6.2
_VALUE: Final = re.compile(r"([!-~]([ -~]*[!-~])?)?")  # ASCII without control characters, and without spaces around it


def is_name(name: object) -> bool:
    """Return whether HTTP can carry a header of this name."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def is_value(value: object) -> bool:
    """Return whether HTTP can carry a header with this value."""
    return isinstance(value, str) and _VALUE.fullmatch(value) is not None


def is_per_request(header: str) -> bool:
    """Return whether a header, by its name, identifies one request rather than who makes it."""
    name = header.lower()
    return name in _PER_REQUEST or name.startswith(_PER_REQUEST_PREFIXES) or name.endswith(_PER_REQUEST_SUFFIXES)
