"""Outcomes of an attempt, as values.

Nothing below the client raises for what a network or a provider does: an exchange returns chunks, then ``Done`` or a
``Failure``. Codecs and the transport name the kind of a failure; the policy decides what follows from the kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

from unified_llm._core.provider_words import read_name

FailureKind: TypeAlias = Literal[
    # Nothing reached the provider.
    "connect",  # name not found, refused, or no connection in time
    "tls",  # the certificate or the handshake was refused
    "pool",  # every connection of ours was busy
    "setup",  # this process cannot connect at all: certificates, a package or its proxy; nothing about the provider
    "unsendable",  # the target's format cannot carry this request
    # Something was sent; the provider may have begun to work.
    "connection",  # the connection broke
    "stale",  # a kept connection was closed before any byte of a response; the request is sent again over a new one
    "timeout",  # a look-up, a connection, a response took too long; ``unsent`` where no request was sent yet
    # The provider answered that it will not.
    "auth",  # 401
    "permission",  # 403
    "quota",  # 402, or a billing code
    "rate_limit",  # 429
    "model_not_found",  # 404 for a model
    "not_found",  # 404 for a path, 405: a wrong base URL
    "redirect",  # 3xx, never followed
    "bad_request",  # 400, 415, 422 ...
    "unsupported",  # 400 for a parameter or feature that this target does not know
    "context",  # the prompt is too long
    "too_large",  # 413
    "filter",  # a content filter blocked the prompt
    # The provider failed.
    "conflict",  # 409, 425
    "request_timeout",  # 408
    "server",  # 5xx, 529
    "loading",  # 503 of a server that is still loading the model: it will answer
    # It answered, but that is no answer.
    "malformed",  # HTML, not JSON, or JSON of the wrong shape
    "empty",  # it ended by itself without text or tool call; reasoning alone is no answer
    "truncated",  # it ended before the terminal event
    "invalid",  # JSON was asked for, and what came is none, or does not fit its schema
    "oversized",  # a body or an event beyond the bound
]

FailureScope: TypeAlias = Literal[
    "shared",  # the target, so other processes are told
    "process",  # this machine or process: its look-ups, proxy, routes and certificates; counted here only
    "caller",  # the configuration of this caller, such as its own bundle of certificates; counted nowhere
]
"""Whom a failure concerns."""

# What a status means where a response says nothing better; formats refine it.
KIND_BY_STATUS: Final[Mapping[int, FailureKind]] = MappingProxyType(
    {
        401: "auth",
        402: "quota",
        403: "permission",
        404: "model_not_found",
        405: "not_found",  # the address of something else: a page, or an API one level up
        407: "connect",  # a proxy of the user's own answered; nothing reached the provider
        408: "request_timeout",
        409: "conflict",
        413: "too_large",
        425: "conflict",
        429: "rate_limit",
        451: "permission",
        499: "server",
    }
)

_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


def kind_of_status(status: int) -> FailureKind:
    """Return the kind of failure that a status of 300 or more means by itself."""
    if status in KIND_BY_STATUS:
        return KIND_BY_STATUS[status]
    if status >= 500:
        return "server"
    return "bad_request" if status >= 400 else "redirect"


@dataclass(frozen=True, slots=True)
class ErrorMeaning:
    """Meaning of an error code or a sentence of a provider: these fields of a ``Failure``."""

    kind: FailureKind
    reason: str | None = None
    advice: str | None = None
    about_key: bool = True
    try_again: bool | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Reason why an attempt failed.

    Attributes:
        kind: What happened.
        status: The HTTP status, if one came.
        code: The provider's own code, if it gave one. This and the next two are identifiers: anything else that a
            server sends there is dropped.
        subcode: A more specific code beside it: Azure's inner error, Google's reason, that of a gateway's upstream.
        param: The field of the request that the provider names.
        detail: The provider's message; never logged, since it may quote the prompt.
        request_id: The provider's identifier of this exchange.
        headers: The response headers that carry hints (Retry-After, rate limits), names in lower case.
        retry_after: Seconds, where the body has it rather than a header.
        try_again: Whether the same target may be asked again at once, in another form; None: the kind decides.
        scope: Whom it concerns: the target, this process, or this caller.
        unsent: No byte of the request was sent, although the kind allows for that.
        reason: What happened, in words of this package for messages and logs, where the kind alone says too little. It
            names hosts and settings, and contains no key, prompt or answer.
        advice: What to do next, in the same way.
        answer: The answer that was not accepted, where structured output was asked for; never logged.
        about_key: For a kind that starts a cooldown: whether the refusal concerns the API key or its limit. False
            where it concerns this model or this request (one model is not free, the request costs more than is left,
            or it is larger than the limit), where an upstream provider of a gateway refused, and where a page came
            back instead of an error.
        context_window: The context window in tokens, where the refusal of a long prompt names it.
        about_input: A response to a list of texts shows that the target cannot do with one of them (it left out a
            vector): nothing about the target's health, and no reason to send the same list again.
        body: The error as it came: the body of the response, or the error inside one; never logged.
    """

    kind: FailureKind
    status: int | None = None
    code: str | None = None
    detail: str | None = field(default=None, repr=False)
    request_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: _NO_HEADERS, repr=False)
    retry_after: float | None = None
    try_again: bool | None = None
    scope: FailureScope = "shared"
    unsent: bool = False
    reason: str | None = None
    advice: str | None = None
    answer: str | None = field(default=None, repr=False)
    about_key: bool = True
    context_window: int | None = None
    about_input: bool = field(default=False, compare=False)
    subcode: str | None = None
    param: str | None = None
    body: str | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Keep codes and the field only where they are identifiers, whoever made the failure."""
        for name in ("code", "subcode", "param"):
            value = getattr(self, name)
            if value is not None and (kept := read_name(value)) != value:
                object.__setattr__(self, name, kept)


@dataclass(frozen=True, slots=True)
class Done:
    """The terminal event was seen.

    Attributes:
        value: The whole answer, or the last chunk of a stream.
        request_id: The provider's identifier of this exchange.
        headers: As those of a ``Failure``: an answer may be the last that a rate limit allows.
        text_tool_calls: The tool calls of the answer were read from its text.
    """

    value: Any
    request_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: _NO_HEADERS, repr=False)
    text_tool_calls: bool = False
