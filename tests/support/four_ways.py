"""The four ways to ask a client for an answer, and what they come to, in one shape."""

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
SAID = "CANARY-said-0123456789"
"""What a provider says, and only those who ask may hear; no key of ours."""
PROMPT = "CANARY prompt: what is failover?"


@dataclass(frozen=True)
class Told:
    """What a caller learns, however they asked."""

    content: str = ""
    reasoning: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    facts: tuple[Any, ...] = ()
    attempts: tuple[tuple[Any, ...], ...] = ()
    error: type[LLMError] | None = None
    message: str = ""


def told(way: Way, client: LLMClient, prompt: Any = PROMPT, **overrides: Any) -> Told:
    """Ask in one of the four ways; errors are part of what is told."""
    try:
        match way:
            case "generate":
                return _whole(client.generate(prompt, **overrides))
            case "agenerate":
                return _whole(asyncio.run(client.agenerate(prompt, **overrides)))
            case "stream":
                return _pieces(list(client.stream(prompt, **overrides)))
            case "astream":
                return _pieces(asyncio.run(_acollect(client, prompt, overrides)))
    except LLMError as error:
        facts = (error.provider, error.model, error.status_code, error.request_id, error.code)
        return Told(facts=facts, attempts=compare(error.attempts), error=type(error), message=str(error))


async def _acollect(client: LLMClient, prompt: Any, overrides: dict[str, Any]) -> list[LLMChunk]:
    return [chunk async for chunk in client.astream(prompt, **overrides)]


def compare(attempts: Sequence[Attempt]) -> tuple[tuple[Any, ...], ...]:
    """What calls and streams have in common: not how long they took, since their limits differ."""
    return tuple(
        (each.target, each.outcome, each.status, each.waited, each.request_id, each.reason, each.maybe_billed)
        for each in attempts
    )


def _whole(answer: LLMResponse) -> Told:
    return Told(
        answer.content,
        answer.reasoning or "",
        tuple((call.name, call.raw_arguments) for call in answer.tool_calls),
        (answer.finish_reason, answer.usage, answer.response_id, answer.model, answer.provider),
        compare(answer.attempts),
    )


def _pieces(chunks: list[LLMChunk]) -> Told:
    calls: dict[int, tuple[str, str]] = {}
    for piece in (piece for chunk in chunks for piece in chunk.tool_calls):
        name, arguments = calls.get(piece.index, ("", ""))
        calls[piece.index] = (name + (piece.name or ""), arguments + piece.arguments)
    last = chunks[-1]
    assert not any(chunk.attempts or chunk.finish_reason for chunk in chunks[:-1])
    return Told(
        "".join(chunk.content for chunk in chunks),
        "".join(chunk.reasoning for chunk in chunks),
        tuple(calls.values()),
        (last.finish_reason, last.usage, last.response_id, last.model, last.provider),
        compare(last.attempts),
    )
