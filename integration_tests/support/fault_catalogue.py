"""The numbered fault cases with their titles, and the reasons for which some do not apply to some kinds of call.

Missing numbers were never assigned. A test declares the cases that it proves with ``@pytest.mark.case(29)``;
``fault_table.py`` makes a table of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

WAYS: Final = ("sync call", "sync stream", "async call", "async stream")

TITLES: Final[Mapping[int, str]] = {
    # No connection, or the wrong kind
    1: "a name that does not exist",
    2: "a name of two addresses, the first a black hole",
    3: "a refused connection",
    4: "a connection that hangs",
    5: "a certificate that is self-signed, expired, or for another name",
    6: "plain HTTP on an https port",
    7: "closed after it was accepted",
    8: "reset in the middle of an upload",
    9: "a kept connection that the server closed",
    10: "an HTTP/2 server, GOAWAY",
    11: "every connection of the pool is busy",
    12: "a proxy that answers 407 or HTML",
    13: "redirects: other host, same host, https to http, in a circle",
    14: "base URLs: IPv6, slashes, paths, query, fragment, userinfo",
    # HTTP
    15: "every status, with JSON, HTML, nothing, 10 MB",
    16: "Retry-After of every kind",
    17: "no credit left, and the same message for too many calls",
    18: "429 without Retry-After; resets of rate limits",
    19: "x-should-retry against the status",
    20: "200 with an error, HTML, nothing; 204",
    21: "JSON under another type or charset, with a BOM",
    22: "JSON that is none, strange, or deep",
    23: "choices, messages, content, usage of the wrong shape",
    26: "bombs, damaged and doubled compression",
    27: "bodies, lines and headers without end",
    # Streams
    28: "cut before the first event",
    29: "cut after some text",
    30: "a clean end without the terminal event, and the reverse",
    32: "comments without end",
    33: "a slow drip",
    34: "an error event before and after the first text",
    35: "malformed JSON in the middle",
    36: "cut into pieces at every byte",
    37: "events in every notation",
    38: "events of 1 MB, and very many of them",
    39: "fragments of tool calls in every order",
    41: "a stream instead of a whole answer, and the reverse",
    42: "a consumer that breaks out, raises, or is abandoned",
    43: "a consumer that is slower than the server",
    44: "cancelled at every await, twice, by a timeout",
    # Policy
    45: "all are down; the model on this machine answers",
    46: "an old call ends after the breaker has opened",
    47: "a hundred callers at a half-open breaker; a probe is cancelled",
    48: "many callers with the same Retry-After",
    50: "deadlines of 0, below 0, a millisecond, none",
    51: "a Retry-After beyond the deadline",
    52: "a fallback that cannot do what is asked",
    53: "options of one provider are not sent to another",
    54: "identifiers of tool calls of one provider, at another",
    55: "broken, huge and endless model lists",
    56: "no retries, the same target twice, no fallbacks, a ring",
    # Processes
    57: "one client in several event loops and threads",
    59: "the interpreter ends with an open stream",
    # Input and secrets
    61: "keys that are none",
    62: "model names that are none, or look like paths",
    63: "prompts and bodies that JSON cannot hold; NUL; 10 MB",
    64: "base URLs that lead elsewhere",
    65: "a key of the environment and an explicit base URL",
    66: "headers that would break the message",
    67: "canary keys in everything that is visible",
    68: "errors that repeat the key and the prompt",
    69: "huge and circular tool schemas; 10,000 tool calls",
    70: "MLX: folders, code, damage, threads, limits",
    72: "without the optional extras",
    # Local servers
    73: "a server that cannot do what is asked: tools, images, schemas, templates; with 400, 500 or in a stream",
    74: "no model loaded, or one that cannot be loaded",
    75: "a prompt beyond the window, in the words of each server",
    76: "a 400 in unknown words",
    77: "503 while the model loads",
    78: "nothing but reasoning, or nothing at all",
    79: "thoughts in the text",
    80: "tool calls written as text",
    81: "promised JSON that is none",
    82: "a base URL one level off: 405",
    83: "one text of a list that cannot be embedded",
}

_NO_SYNC: Final = "sync calls cannot be cancelled"
_NO_CONSUMER: Final = "a whole answer has no consumer that could stop or be slow"
_NO_EVENTS: Final = "a whole answer has no events"
_BEFORE: Final = "raised when the client is made, before any call"
_NO_LIST: Final = "a model list is no stream"
_STEPWISE: Final = "tested step by step; a stream shows the same through the client"
_TEXTS: Final = "about texts to embed, which are no chat"
_ANYWHERE: Final = "does not depend on the kind of call"

NOT_APPLICABLE: Final[Mapping[int, Mapping[str, str]]] = {
    37: {"call": _NO_EVENTS},
    42: {"call": _NO_CONSUMER},
    43: {"call": _NO_CONSUMER},
    44: {"sync": _NO_SYNC},
    46: {"call": _STEPWISE},
    55: {"stream": _NO_LIST},
    61: {"": _BEFORE},
    64: {"": _BEFORE},
    65: {"": _BEFORE},
    66: {"": _BEFORE},
    70: {"": _ANYWHERE},
    72: {"": _ANYWHERE},
    83: {"": _TEXTS},
}


def reason(number: int, way: str) -> str | None:
    """Return the reason for which a case does not apply to this kind of call; None if it applies."""
    for part, text in NOT_APPLICABLE.get(number, {}).items():
        if part in way:
            return text
    return None
