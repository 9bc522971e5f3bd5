"""What commands show of a response: as JSON, and in notes about who served it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from unified_llm._lib.show_seconds import show_seconds
from unified_llm.types.responses import LLMChunk, LLMResponse, ModelInfo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unified_llm.cli._terminal import Terminal
    from unified_llm.types.records import Attempt


def as_json_line(value: object) -> str:
    """Return a value as one line of JSON, in ASCII where standard output cannot have every character."""
    encoding = getattr(sys.stdout, "encoding", None) or ""
    return json.dumps(value, ensure_ascii=encoding.lower().replace("-", "") != "utf8", default=str) + "\n"


def response_as_dict(response: LLMResponse) -> dict[str, Any]:
    """Return what is known of a response, for JSON: always the same names."""
    return {
        "content": response.content,
        **_ending(response),
        "reasoning": response.reasoning,
        "refusal": response.refusal,
        "tool_calls": [{"id": call.id, "name": call.name, "arguments": call.arguments} for call in response.tool_calls],
        "latency_ms": round(response.latency_ms, 1),
        "retry_count": response.retry_count,
        "fallback_provider": response.fallback_provider,
    }


def chunk_as_dict(chunk: LLMChunk) -> dict[str, Any]:
    """Return what is new in a chunk, for JSON; of the last one also how the response ended."""
    new = {"content": chunk.content, "reasoning": chunk.reasoning, "refusal": chunk.refusal}
    shown = {name: text for name, text in new.items() if text or name == "content"}
    return shown if chunk.finish_reason is None else {**shown, **_ending(chunk)}


def _ending(response: LLMResponse | LLMChunk) -> dict[str, Any]:
    return {
        "model": response.model,
        "provider": response.provider,
        "finish_reason": response.finish_reason,
        "usage": None if response.usage is None else asdict(response.usage),
        "used_fallback": response.used_fallback,
        "response_id": response.response_id,
        "request_id": response.request_id,
        "attempts": [attempt.as_dict() for attempt in response.attempts],
    }


def model_as_dict(model: ModelInfo) -> dict[str, Any]:
    """Return what is known of a model, for JSON."""
    known = {field.name: getattr(model, field.name) for field in fields(model)}
    sets = {name: sorted(value) for name, value in known.items() if isinstance(value, frozenset)}
    return {"model": model.model_string, **known, **sets}


def note_response(response: LLMResponse | LLMChunk, terminal: Terminal, *, always: bool = False) -> None:
    """Note what a user should know of a response: that it was cut, and who served it where that was a fallback.

    Args:
        response: A response, or the last chunk of a stream.
        terminal: Where to note it.
        always: Note who served it in any case.
    """
    if response.used_fallback or terminal.verbosity or always:
        terminal.note(describe_serving(response))
    if response.finish_reason == "length":
        terminal.note("the response was cut: it reached the limit of tokens (--max-tokens)")
    elif response.finish_reason == "content_filter":
        terminal.note("the response was cut by the provider's content filter")


def note_fallback(attempts: Sequence[Attempt], terminal: Terminal) -> None:
    """Note which target served a call of any kind, and after which failures, where there were any."""
    served = next((attempt.target for attempt in reversed(attempts) if attempt.outcome == "ok"), None)
    if served is not None and (failures := _failures(attempts, served)):
        terminal.note(f"served by {served} after {' and '.join(failures)}")


def describe_serving(response: LLMResponse | LLMChunk) -> str:
    """Say which target served a response, after which failures, in what time, with how many tokens."""
    served = served_by(response)
    failures = _failures(response.attempts, served)
    text = f"served by {served}"
    if failures:
        text += f" after {' and '.join(failures)}"
    seconds = sum(attempt.seconds + attempt.waited for attempt in response.attempts)
    text += f", in {show_seconds(seconds)}"
    if response.usage is not None:
        text += f", {response.usage.prompt_tokens} tokens in and {response.usage.completion_tokens} out"
    return text


def served_by(response: LLMResponse | LLMChunk) -> str:
    """Return the name of the target that served a response."""
    names = [attempt.target for attempt in response.attempts if attempt.outcome == "ok"]
    return names[-1] if names else f"{response.provider}/{response.model}"


def _failures(attempts: Sequence[Attempt], served: str) -> list[str]:
    last = {attempt.target: attempt for attempt in attempts if attempt.target != served}
    return [
        f"{target} was {attempt}" if attempt.outcome in {"skipped", "cancelled"} else f"{target} failed ({attempt})"
        for target, attempt in last.items()
    ]
