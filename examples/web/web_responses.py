"""What all web applications of this folder do alike: read a prompt, and write errors and server-sent events (SSE)."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from unified_llm import LLMChunk
from unified_llm.exceptions import (
    AllTargetsFailedError,
    ConnectionError,
    ContentFilterError,
    ContextOverflowError,
    GenerationError,
    LLMError,
    QuotaExceededError,
    RateLimitError,
    ServiceUnavailableError,
    StreamInterruptedError,
    TimeoutError,
    UnsupportedOperationError,
    ValidationError,
)

EVENT_STREAM = "text/event-stream"
STREAM_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}  # nginx must not collect the events

# The first row with the class of the error counts.
PROBLEMS: list[tuple[type[LLMError], int, str]] = [
    (ContextOverflowError, 413, "The text is too long."),
    (ContentFilterError, 422, "A content filter refused the text."),
    (UnsupportedOperationError, 422, "No model can do what was asked for."),
    (ValidationError, 400, "The request is not valid."),
    (RateLimitError, 429, "Too many requests. Try again later."),
    (TimeoutError, 504, "No answer arrived in time."),
    (GenerationError, 502, "The answer was not usable."),
    (StreamInterruptedError, 502, "The answer broke off."),
    (ConnectionError, 503, "The service is not available. Try again later."),
    (ServiceUnavailableError, 503, "The service is not available. Try again later."),
    (QuotaExceededError, 503, "The service is not available. Try again later."),
    (AllTargetsFailedError, 503, "The service is not available. Try again later."),
    (LLMError, 500, "The service is not set up correctly."),  # a key, a model, a setting: the log says which
]


@dataclass(frozen=True)
class Problem:
    """Response to the visitor for an error: it names no provider, no address and no key."""

    status: int
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)


def problem_of(error: LLMError) -> Problem:
    """Return the status, the message and a ``Retry-After`` header where a provider asked for a pause."""
    causes = error.errors if isinstance(error, AllTargetsFailedError) else ()
    alike = {problem_of(cause).status for cause in causes}
    shown = causes[0] if len(alike) == 1 else error  # each target has a rate limit, each was too slow
    status, message = next((status, message) for kind, status, message in PROBLEMS if isinstance(shown, kind))
    pauses = [attempt.retry_after for attempt in error.attempts if attempt.retry_after]
    headers = {"Retry-After": str(math.ceil(min(pauses)))} if pauses and status in {429, 503} else {}
    return Problem(status, message, headers)


def event(data: Mapping[str, Any], name: str = "message") -> str:
    """Return one server-sent event with this data as JSON."""
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


def events(stream: Any, first: LLMChunk, log: logging.Logger) -> Iterator[str]:
    """Yield the events of a stream whose first chunk was read; the last one is ``done`` or ``error``."""
    with stream:  # where the client has disconnected, the next write fails, and the server closes this generator
        yield event({"text": first.content})
        try:
            for chunk in stream:
                yield event({"text": chunk.content})
        except LLMError as error:  # status and headers have been sent: an event of our own must say it
            log.warning("%s", error)
            yield event({"error": problem_of(error).message}, "error")
        else:
            yield event({}, "done")


async def aevents(stream: Any, first: LLMChunk, log: logging.Logger) -> AsyncIterator[str]:
    """Do the same in an event loop, where a client that has disconnected cancels the task."""
    async with stream:  # the cancellation closes the connection to the provider
        yield event({"text": first.content})
        try:
            async for chunk in stream:
                yield event({"text": chunk.content})
        except LLMError as error:
            log.warning("%s", error)
            yield event({"error": problem_of(error).message}, "error")
        else:
            yield event({}, "done")


def prompt_of(body: str | bytes) -> str:
    """Return the prompt of a JSON body. A list is refused: it could bring a system message along.

    Raises:
        ValidationError: The body has no prompt.
    """
    try:
        match json.loads(body):
            case {"prompt": str(prompt)}:
                return prompt
    except ValueError:
        pass
    raise ValidationError('The body must be JSON with a text: {"prompt": "..."}.')
