"""Records of a call: its attempts and its token usage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final

from unified_llm._lib.show_seconds import show_seconds


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens used, counted in the same way with all providers.

    ``prompt_tokens`` includes cached tokens, ``completion_tokens`` includes reasoning tokens.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    audio_tokens: int = 0
    audio_output_tokens: int = 0


# kind of failure: what happened, for people. A status, where one came, is added to it.
_SENTENCES: Final[Mapping[str, str]] = {
    "connect": "could not connect",
    "tls": "its TLS certificate was refused",
    "pool": "no connection was free",
    "setup": "this process cannot connect",
    "unsendable": "the request cannot be written",
    "connection": "the connection broke",
    "stale": "a kept connection was closed before any response",
    "auth": "authentication failed",
    "permission": "the API key lacks the permission",
    "quota": "the quota is used up",
    "rate_limit": "rate limited",
    "model_not_found": "it has no such model",
    "not_found": "there is no such path",
    "redirect": "it redirects elsewhere",
    "bad_request": "it refused the request",
    "unsupported": "it does not support a parameter",
    "context": "the prompt exceeds its context window",
    "too_large": "the request is too large for it",
    "filter": "its content filter blocked the prompt",
    "conflict": "it was busy with another request",
    "request_timeout": "it timed out waiting for the request",
    "loading": "it is still loading the model",
    "malformed": "the response was malformed",
    "empty": "the response was empty",
    "truncated": "the response ended early",
    "invalid": "the JSON in the response is not as requested",
    "oversized": "the response was too large",
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a call at one target, and its outcome. ``str(attempt)`` says what happened, as a sentence.

    Attributes:
        target: ``provider/model``, with the host where two targets of the chain have the same name
            (``openai/gpt-5-mini@eu.example``); or the ``name=`` of the target.
        outcome: ``ok``, the kind of failure, ``skipped`` or ``cancelled``.
        status: The HTTP status, if one came.
        seconds: Seconds from its start to its outcome.
        waited: Seconds slept before it (backoff, Retry-After), or waited for its model to be loaded.
        first_token: Seconds until the first chunk of a stream, or None.
        request_id: The provider's identifier of this exchange.
        reason: The reason for skipping it, the provider's error code, what is wrong with the connection, or ``hedged``:
            another attempt was faster.
        maybe_billed: Whether the provider may charge for it although it failed.
        retry: Whether the same target had an earlier attempt in the same call.
        retry_after: Seconds for which the server asked not to be called again, or None.
        adjusted: Request fields that this target got otherwise than the caller set them: the name, then the value set
            and the value sent (``{"temperature": [1.3, 1.0]}``; None: not sent). ``stop`` has the number of texts in
            place of the texts. Of values other than numbers and booleans, ``...`` is shown.
        text_tool_calls: The tool calls of its response were read from its text.
        demo: The target is the package's demo model, which answers a short list of questions and nothing else.
    """

    target: str
    outcome: str
    status: int | None = None
    seconds: float = 0.0
    waited: float = 0.0
    first_token: float | None = None
    request_id: str | None = None
    reason: str | None = None
    maybe_billed: bool = False
    retry: bool = False
    retry_after: float | None = None
    adjusted: Mapping[str, Sequence[Any]] = field(default_factory=dict[str, Sequence[Any]], hash=False)
    text_tool_calls: bool = False
    demo: bool = False

    def __str__(self) -> str:
        """Say what happened: ``could not connect``, ``HTTP 503``, ``timed out after 20 s`` ..."""
        match self.outcome:
            case "ok":
                return "answered, with tool calls written as text" if self.text_tool_calls else "answered"
            case "skipped":
                return f"skipped: {self.reason}" if self.reason else "skipped"
            case "cancelled":
                return "cancelled: another attempt answered first" if self.reason == "hedged" else "cancelled"
            case "timeout":
                after = f"timed out after {show_seconds(self.seconds)}"
                return f"{after}: {self.reason}" if self.reason else after
            case "connect" | "tls" | "setup" | "pool" if self.reason:
                return f"{_SENTENCES['connect']}: {self.reason}"
            case "unsupported" if self.reason and self.status is None:  # of a model in this process
                return self.reason
            case "server":
                return "server error" if self.status is None else f"HTTP {self.status}"
            case "rate_limit" if self.retry_after:
                sentence = f"{_SENTENCES[self.outcome]} for {show_seconds(self.retry_after)}"
            case _:
                sentence = _SENTENCES.get(self.outcome, self.outcome)
        return sentence if self.status is None else f"{sentence}, HTTP {self.status}"

    def as_row(self) -> dict[str, Any]:
        """Return every field, and the sentence as ``sentence``, for tables."""
        return {**_as_plain(self), "sentence": str(self)}

    def as_dict(self) -> dict[str, Any]:
        """Return a plain dict for metadata and JSON; omit empty fields, except the first three and ``seconds``."""
        always = ("target", "outcome", "status", "seconds")
        return {name: value for name, value in _as_plain(self).items() if name in always or value}


_FIELDS: Final = tuple(each.name for each in fields(Attempt))


def _as_plain(attempt: Attempt) -> dict[str, Any]:
    plain = {name: getattr(attempt, name) for name in _FIELDS}
    plain["adjusted"] = {name: list(values) for name, values in attempt.adjusted.items()}
    return plain
