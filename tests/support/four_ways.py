"""The four ways to call a client, and the outcome of a call in a form in which the four can be compared."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from unified_llm import LLMClient
from unified_llm.exceptions import LLMError
from unified_llm.types import Attempt, LLMChunk, LLMResponse

Way: TypeAlias = Literal["generate", "agenerate", "stream", "astream"]
WAYS: tuple[Way, ...] = ("generate", "agenerate", "stream", "astream")

GPT, HAIKU, GROQ, SONAR = "openai/gpt-4o", "anthropic/claude-haiku-4-5", "groq/llama-3", "perplexity/sonar"
CANARY = "sk-CANARY-0123456789"
PROVIDER_TEXT = "CANARY-provider-0123456789"
"""Text that a provider sends: it may be in an answer or in ``detail`` of an error, never in a log or a message."""
PROMPT = "CANARY prompt: what is failover?"


@dataclass(frozen=True)
class CallOutcome:
    """What a caller gets from one call.

    Attributes:
        metadata: Of an answer its finish reason, usage, response id, model and provider; of an error its provider,
            model, status, request id and code.
    """

    content: str = ""
    reasoning: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    metadata: tuple[Any, ...] = ()
    attempts: tuple[tuple[Any, ...], ...] = ()
    error: type[LLMError] | None = None
    message: str = ""


def outcome_of(way: Way, client: LLMClient, prompt: Any = PROMPT, **overrides: Any) -> CallOutcome:
    """Call a client in one of the four ways and return the outcome, also of a call that fails."""
    try:
        match way:
            case "generate":
                return _from_response(client.generate(prompt, **overrides))
            case "agenerate":
                return _from_response(asyncio.run(client.agenerate(prompt, **overrides)))
            case "stream":
                return _from_chunks(list(client.stream(prompt, **overrides)))
            case "astream":
                return _from_chunks(asyncio.run(_collect(client, prompt, overrides)))
    except LLMError as error:
        metadata = (error.provider, error.model, error.status_code, error.request_id, error.code)
        return CallOutcome(
            metadata=metadata, attempts=comparable_attempts(error.attempts), error=type(error), message=str(error)
        )


async def _collect(client: LLMClient, prompt: Any, overrides: dict[str, Any]) -> list[LLMChunk]:
    return [chunk async for chunk in client.astream(prompt, **overrides)]


def comparable_attempts(attempts: Sequence[Attempt]) -> tuple[tuple[Any, ...], ...]:
    """Return what calls and streams have in common: not their duration, since their timeouts differ."""
    names = ("target", "outcome", "status", "waited", "request_id", "reason", "maybe_billed")
    return tuple(tuple(getattr(attempt, name) for name in names) for attempt in attempts)


def _from_response(answer: LLMResponse) -> CallOutcome:
    return CallOutcome(
        answer.content,
        answer.reasoning or "",
        tuple((call.name, call.raw_arguments) for call in answer.tool_calls),
        (answer.finish_reason, answer.usage, answer.response_id, answer.model, answer.provider),
        comparable_attempts(answer.attempts),
    )


def _from_chunks(chunks: list[LLMChunk]) -> CallOutcome:
    calls: dict[int, tuple[str, str]] = {}
    for fragment in (fragment for chunk in chunks for fragment in chunk.tool_calls):
        name, arguments = calls.get(fragment.index, ("", ""))
        calls[fragment.index] = (name + (fragment.name or ""), arguments + fragment.arguments)
    last = chunks[-1]
    assert not any(chunk.attempts or chunk.finish_reason for chunk in chunks[:-1])
    return CallOutcome(
        "".join(chunk.content for chunk in chunks),
        "".join(chunk.reasoning for chunk in chunks),
        tuple(calls.values()),
        (last.finish_reason, last.usage, last.response_id, last.model, last.provider),
        comparable_attempts(last.attempts),
    )
