"""Whole answers: what a body of this format means, Anthropic's or a local server's.

Nothing here raises for what a provider sends. What cannot be read as an answer is a ``Failure``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.anthropic.errors import read_error
from unified_llm._formats.anthropic.provider_state import keep_state
from unified_llm._formats.history import Identifiers
from unified_llm._formats.json_values import (
    count,
    is_list,
    is_object,
    json_text,
    non_negative_int,
    object_or_empty,
    text_or_none,
)
from unified_llm._formats.response_fields import finish_reason
from unified_llm.types.messages import ToolCall
from unified_llm.types.records import Usage
from unified_llm.types.requests import CountRequest, LLMRequest
from unified_llm.types.responses import Citation, FinishReason, LLMResponse

FINISH: Final[Mapping[str, FinishReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "length",  # a long turn is not over: sent back as it is, it goes on
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def read_chat(_: LLMRequest, body: object, target: Target) -> Done | Failure:
    """The answer of ``/messages``."""
    answer = answer_of(body, target)
    if isinstance(answer, Failure):
        return answer
    content = answer.get("content")
    if not is_list(content):
        return Failure("malformed")
    blocks = [block for block in content if is_object(block)]
    text, reasoning = joined(blocks, "text", "text"), joined(blocks, "thinking", "thinking")
    identifiers = Identifiers()
    calls = tuple(_call(block, identifiers) for block in _of_kind(blocks, "tool_use"))
    reason = finish_reason(answer.get("stop_reason"), FINISH, target, has_calls=bool(calls))
    if reason in {"stop", "tool_calls"} and not (text or reasoning or calls):
        return Failure("empty")
    return Done(
        LLMResponse(
            content=text,
            model=text_or_none(answer.get("model")) or target.model,
            provider=target.provider,
            finish_reason=reason,
            response_id=text_or_none(answer.get("id")),
            usage=read_usage(answer.get("usage")),
            tool_calls=calls,
            reasoning=reasoning or None,
            refusal=refusal_of(answer),
            citations=tuple(_all_citations(blocks)),
            provider_state=keep_state(blocks, target),
            raw=answer,
        )
    )


def read_count(_: CountRequest, body: object, target: Target) -> Done | Failure:
    """The answer of ``/messages/count_tokens``: a number of tokens."""
    answer = answer_of(body, target)
    if isinstance(answer, Failure):
        return answer
    tokens = non_negative_int(answer.get("input_tokens"))
    return Failure("malformed") if tokens is None else Done(tokens)


def answer_of(body: object, target: Target) -> dict[str, Any] | Failure:
    """The body if it is one, rather than an error at status 200 or no JSON object at all."""
    if not is_object(body):
        return Failure("malformed")
    if body.get("type") == "error" or body.get("error"):
        return read_error(body, target)
    return body


def _of_kind(blocks: Iterable[Mapping[str, Any]], kind: str) -> list[Mapping[str, Any]]:
    return [block for block in blocks if block.get("type") == kind]


def joined(blocks: Iterable[Mapping[str, Any]], kind: str, field: str) -> str:
    """What the blocks of one kind say, one after the other."""
    return "".join(said for block in _of_kind(blocks, kind) if isinstance(said := block.get(field), str))


def _call(block: Mapping[str, Any], identifiers: Identifiers) -> ToolCall:
    identifier = identifiers.take(block.get("id"))
    return ToolCall.from_text(identifier, text_or_none(block.get("name")) or "", json_text(block.get("input")))


def refusal_of(answer: Mapping[str, Any]) -> str | None:
    """Why the model declined, where the provider explains it, or else the category that it names."""
    details = object_or_empty(answer.get("stop_details"))
    return text_or_none(details.get("explanation")) or text_or_none(details.get("category"))


def read_usage(said: object) -> Usage | None:
    """Tokens in our one way: the prompt includes what the cache gave and took, which this format counts apart."""
    usage = object_or_empty(said)
    if not usage:
        return None
    cached, wrote = count(usage.get("cache_read_input_tokens")), count(usage.get("cache_creation_input_tokens"))
    prompt, completion = count(usage.get("input_tokens")) + cached + wrote, count(usage.get("output_tokens"))
    details = object_or_empty(usage.get("output_tokens_details"))
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        cached_tokens=cached,
        cache_write_tokens=wrote,
        reasoning_tokens=count(details.get("thinking_tokens")),
    )


def _all_citations(blocks: Sequence[Mapping[str, Any]]) -> Iterable[Citation]:
    position = 0
    for block in _of_kind(blocks, "text"):
        said = block.get("text")
        end = position + (len(said) if isinstance(said, str) else 0)
        yield from read_citations(block.get("citations"), position, end)
        position = end


def read_citations(said: object, start: int, end: int) -> Iterable[Citation]:
    """What the text from ``start`` to ``end`` rests on: pages, documents, or results of a search."""
    for each in said if is_list(said) else ():
        if is_object(each):
            yield Citation(
                url=text_or_none(each.get("url")) or text_or_none(each.get("source")),
                title=text_or_none(each.get("title")) or text_or_none(each.get("document_title")),
                text=text_or_none(each.get("cited_text")),
                start=start,
                end=end,
            )
