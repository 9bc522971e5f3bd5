"""What a server says of itself, in logs and errors: it forges no line, and what it repeats of a key is masked."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from integration_tests.attacks.catalogue import Figure, attack, none_of
from integration_tests.attacks.concurrency import target
from integration_tests.attacks.servers import Answering, ok, reply
from unified_llm import LLMClient, LLMConfig, reset_health
from unified_llm.exceptions import AllTargetsFailedError, LLMError

_STATUSES: Final = ("400 Bad", "401 No", "403 No", "429 Many", "500 Oops")
_FORGED: Final = "x\nERROR root: forged \x1b[31mline\r\n"
_SHAPES: Final[tuple[Any, ...]] = (
    {"error": {"code": _FORGED, "type": _FORGED, "message": _FORGED}},
    {"error": _FORGED, "code": _FORGED},
    {"type": "error", "error": {"type": _FORGED, "message": _FORGED}},
    {"error": {"status": _FORGED, "message": _FORGED, "details": [{"reason": _FORGED}]}},
    {"detail": _FORGED, "object": "error", "message": _FORGED, "code": "x" * 20_000},
    [{"error": {"code": _FORGED}}],
)


class _Lines(logging.Handler):
    """Keeps every line that the package logs."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage() + str(vars(record)))


def _listen(name: str = "unified_llm") -> _Lines:
    handler, logger = _Lines(), logging.getLogger(name)
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    return handler


@attack("codes with line breaks, escapes, 20 kB: 6 shapes, 5 statuses", parallel=True)
def forged_lines() -> Iterator[Figure]:
    """Nothing that a server calls an error forges a line of a log, or a message."""
    lines, forged, cases = _listen(), 0, 0
    with Answering() as server:
        for provider in ("openai-compatible", "anthropic", "gemini", "ollama", "cohere"):
            for status in _STATUSES:
                for shape in _SHAPES:
                    cases += 1
                    server.answer = reply(shape, f"x-request-id: {'a' * 300}", status=status)
                    reset_health()
                    try:
                        LLMClient(f"{provider}/m", base_url=server.url, api_key="k", max_retries=0).generate("x")
                    except LLMError as error:
                        text = f"{error}{error!r}{error.code}{[f'{a}{a!r}' for a in error.attempts]}"
                        forged += "\n" in text or "\x1b" in text or len(text) > 5000
    forged += sum("\n" in line or "\x1b" in line or len(line) > 20_000 for line in lines.lines)
    yield Figure("cases", cases, 30, least=True)
    yield none_of("forged", forged)


_KEY: Final = "sk-CANARYabcdef0123456789"


def _echoes(key: str) -> Iterator[tuple[bytes, bool]]:
    """Yield responses that repeat the key; and whether they are streams."""
    for status in ("400 Bad", "401 No", "403 No", "404 No", "429 Many", "500 Oops", "302 Moved"):
        error = {"message": f"bad key {key}.", "code": key, "type": key, "param": key, "status": key}
        body: dict[str, Any] = {"error": error}
        yield reply(body, f"x-request-id: {key}", f"x-ratelimit-limit-requests: {key}", status=status), False
        yield reply({"detail": f"'{key}'", "request_id": key, "error_code": key}, status=status), False
        yield reply({"error": f"Bearer {key}"}, f"request-id: req_{key}", f"Retry-After: {key}", status=status), False
        yield ok(f"<html>{key}</html>".encode(), status=status), False
    yield ok(f"<html>{key}</html>".encode()), False
    yield ok(f"{{{key}".encode()), False
    body = {"id": key, "model": key, "choices": [{"message": {"content": ""}, "finish_reason": key}]}
    yield reply(body, f"x-request-id: {key}"), False
    event = f'data: {{"error": {{"message": "{key}", "code": "{key}", "type": "{key}"}}}}\n\n'.encode()
    yield ok(event, f"x-request-id: {key}", content_type="text/event-stream"), True


@attack("servers that repeat the key: codes, types, request ids, messages, headers", parallel=True)
def masked_echoes() -> Iterator[Figure]:
    """What a server repeats of a key is masked before it is stored in an error, an attempt, a log or a pickle."""
    lines, shown, cases = _listen(), set[str](), 0
    with Answering() as server:
        for where in ("api_key", "header"):
            fields: dict[str, Any] = {"api_key": _KEY}
            if where == "header":
                fields = {"default_headers": {"X-Api-Key": _KEY}}
            config = LLMConfig(model="openai-compatible/m", base_url=server.url, max_retries=0, **fields)
            for answer, streams in _echoes(_KEY):
                cases += 1
                server.answer = answer
                reset_health()
                shown |= {f"{where}: {place}" for place in _places_that_show(config, streaming=streams)}
    shown |= {"log" for line in lines.lines if _KEY in line}
    print(sorted(shown))  # noqa: T201
    yield Figure("cases", cases, 30, least=True)
    yield none_of("places that show it", len(shown))


def _places_that_show(config: LLMConfig, *, streaming: bool) -> set[str]:
    attempts: list[Any] = []
    client = LLMClient(config, on_attempt=attempts.append)
    shown = set[str]()
    try:
        answer: Any = list(client.stream("x")) if streaming else client.generate("x")
        shown |= {"repr of an answer"} if _KEY in repr(answer) else set()
    except LLMError as error:
        errors = [error, *(error.errors if isinstance(error, AllTargetsFailedError) else [])]
        for one in errors:
            for name in ("__str__", "__repr__"):
                shown |= {name} if _KEY in getattr(one, name)() else set()
            for name, value in vars(one).items():
                shown |= {name} if _KEY in repr(value) else set()
            with suppress(Exception):
                shown |= {"pickle"} if _KEY.encode() in pickle.dumps(one) else set()
    for attempt in attempts:
        shown |= {"attempts"} if _KEY in f"{attempt!r}{attempt}" else set()
    return shown


@attack("keys at DEBUG level of all loggers", parallel=True)
def debug_logs() -> Iterator[Figure]:
    """No logger, httpcore's included, prints a key of ours while calls succeed and fail."""
    lines = _listen("")
    with Answering() as server:
        for answer in (None, reply({}, status="500 Oops"), ok(b"<html>")):
            if answer:
                server.answer = answer
            for provider in ("openai-compatible", "anthropic", "gemini"):
                config = LLMConfig(model=f"{provider}/m", base_url=server.url, api_key=_KEY, max_retries=0)
                with suppress(LLMError):
                    LLMClient(config).generate("CANARY-prompt")
    yield Figure("lines", len(lines.lines), 5, least=True)
    yield none_of("with a key", sum(_KEY in line for line in lines.lines))
    yield none_of("with a prompt", sum("CANARY-prompt" in line for line in lines.lines))


@attack("calls interrupted by a server that repeats the prompt", parallel=True)
def prompts_in_errors() -> Iterator[Figure]:
    """A server's message that quotes the prompt is in ``detail`` alone."""
    shown = 0
    with Answering() as server:
        for status in _STATUSES:
            server.answer = reply({"error": {"message": "you asked CANARY-prompt", "code": "CANARY"}}, status=status)
            reset_health()
            try:
                LLMClient(target("m", server.url, max_retries=0)).generate("CANARY-prompt")
            except LLMError as error:
                shown += "CANARY-prompt" in f"{error}{error!r}{error.attempts}"
    yield none_of("shown", shown)
