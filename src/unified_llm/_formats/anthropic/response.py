"""Whole responses of this format, from Anthropic or a local server.

Nothing here raises for what a provider sends. A body that is not a valid answer becomes a ``Failure``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.anthropic.provider_state import keep_state
from unified_llm._formats.finish_reasons import is_answer, read_finish_reason
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
from unified_llm._formats.openai_errors import read_error
from unified_llm.types.messages import ToolCall
from unified_llm.types.records import Usage
from unified_llm.types.requests import CountRequest, LLMRequest
from unified_llm.types.responses import Citation, LLMResponse


def read_chat(_: LLMRequest, body: object, target: Target) -> Done | Failure:
    """Read the response of ``/messages``."""
    answer = read_body(body, target)
    if isinstance(answer, Failure):
        return answer
    content = answer.get("content")
    if not is_list(content):
        return Failure("malformed")
    blocks = [block for block in content if is_object(block)]
    text, reasoning = join_field(blocks, "text", "text"), join_field(blocks, "thinking", "thinking")
    identifiers = Identifiers()
    calls = tuple(_read_call(block, identifiers) for block in _blocks_of_type(blocks, "tool_use"))
    has_content = is_answer(text, reasoning) or bool(calls)
    reason = read_finish_reason(answer.get("stop_reason"), target, has_content=has_content, has_calls=bool(calls))
    if isinstance(reason, Failure):
        return reason
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
            refusal=read_refusal(answer),
            citations=tuple(_read_all_citations(blocks)),
            provider_state=keep_state(blocks, target),
            raw=answer,
        )
    )


def read_count(_: CountRequest, body: object, target: Target) -> Done | Failure:
    """Read the response of ``/messages/count_tokens``: a number of tokens."""
    answer = read_body(body, target)
    if isinstance(answer, Failure):
        return answer
    tokens = non_negative_int(answer.get("input_tokens"))
    return Failure("malformed") if tokens is None else Done(tokens)


def read_body(body: object, target: Target) -> dict[str, Any] | Failure:
    """Return the body, or the failure if it is an error at status 200 or not a JSON object."""
    if not is_object(body):
        return Failure("malformed")
    if body.get("type") == "error" or body.get("error"):
        return read_error(body, target)
    return body


def _blocks_of_type(blocks: Iterable[Mapping[str, Any]], block_type: str) -> list[Mapping[str, Any]]:
    return [block for block in blocks if block.get("type") == block_type]


def join_field(blocks: Iterable[Mapping[str, Any]], block_type: str, field: str) -> str:
    """Join the texts of one field, from all blocks of one type."""
    return "".join(text for block in _blocks_of_type(blocks, block_type) if isinstance(text := block.get(field), str))


def _read_call(block: Mapping[str, Any], identifiers: Identifiers) -> ToolCall:
    identifier = identifiers.take(block.get("id"))
    return ToolCall.parse(identifier, text_or_none(block.get("name")) or "", json_text(block.get("input")))


def read_refusal(data: Mapping[str, Any]) -> str | None:
    """Read why the model declined: the provider's explanation, or else the category that it names."""
    details = object_or_empty(data.get("stop_details"))
    return text_or_none(details.get("explanation")) or text_or_none(details.get("category"))


USAGE_FIELDS: Final = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "output_tokens_details",
)
"""The fields of a usage that ``read_usage`` reads."""


def read_usage(usage: object) -> Usage | None:
    """Read the token counts; tokens that the cache gave or took, which this format counts apart, join the prompt's."""
    counts = object_or_empty(usage)
    if not counts:
        return None
    cached, wrote = count(counts.get("cache_read_input_tokens")), count(counts.get("cache_creation_input_tokens"))
    prompt, completion = count(counts.get("input_tokens")) + cached + wrote, count(counts.get("output_tokens"))
    details = object_or_empty(counts.get("output_tokens_details"))
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        cached_tokens=cached,
        cache_write_tokens=wrote,
        reasoning_tokens=count(details.get("thinking_tokens")),
    )


def _read_all_citations(blocks: Sequence[Mapping[str, Any]]) -> Iterable[Citation]:
    position = 0
    for block in _blocks_of_type(blocks, "text"):
        text = block.get("text")
        end = position + (len(text) if isinstance(text, str) else 0)
        yield from read_citations(block.get("citations"), position, end)
        position = end


def read_citations(citations: object, start: int, end: int) -> Iterable[Citation]:
    """Read the sources of the text from ``start`` to ``end``: pages, documents, or search results."""
    for citation in citations if is_list(citations) else ():
        if is_object(citation):
            yield Citation(
                url=text_or_none(citation.get("url")) or text_or_none(citation.get("source")),
                title=text_or_none(citation.get("title")) or text_or_none(citation.get("document_title")),
                text=text_or_none(citation.get("cited_text")),
                start=start,
                end=end,
            )
