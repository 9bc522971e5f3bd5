"""Conversion of whole responses to chunks and back, for servers that send the shape that was not asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unified_llm.types.messages import ToolCall, ToolCallChunk
from unified_llm.types.responses import LLMChunk, LLMResponse

if TYPE_CHECKING:
    from collections.abc import Iterable


def as_chunks(response: LLMResponse) -> tuple[LLMChunk | None, LLMChunk]:
    """Split a response into one chunk of content (None where it has none) and the last chunk of its stream."""
    content = LLMChunk(
        content=response.content,
        reasoning=response.reasoning or "",
        tool_calls=tuple(
            ToolCallChunk(index, call.id, call.name, call.raw_arguments)
            for index, call in enumerate(response.tool_calls)
        ),
        refusal=response.refusal or "",
        citations=response.citations,
        logprobs=response.logprobs,
    )
    last = LLMChunk(
        finish_reason=response.finish_reason,
        usage=response.usage,
        response_id=response.response_id,
        model=response.model or None,
        provider=response.provider or None,
        provider_state=response.provider_state,
        raw=response.raw,
    )
    return (content if content != LLMChunk() else None), last


def as_response(chunks: Iterable[LLMChunk], last: LLMChunk) -> LLMResponse:
    """Join chunks into the whole response."""
    every = [*chunks, last]
    return LLMResponse(
        content="".join(chunk.content for chunk in every),
        model=last.model or "",
        provider=last.provider or "",
        finish_reason=last.finish_reason or "stop",
        response_id=last.response_id,
        usage=last.usage,
        tool_calls=_joined(fragment for chunk in every for fragment in chunk.tool_calls),
        reasoning="".join(chunk.reasoning for chunk in every) or None,
        refusal="".join(chunk.refusal for chunk in every) or None,
        citations=tuple(citation for chunk in every for citation in chunk.citations),
        logprobs=tuple(logprob for chunk in every for logprob in chunk.logprobs),
        provider_state=last.provider_state,
        raw=last.raw,
    )


def _joined(fragments: Iterable[ToolCallChunk]) -> tuple[ToolCall, ...]:
    calls: dict[int, tuple[list[str], list[str], list[str]]] = {}
    for fragment in fragments:
        identifiers, names, arguments = calls.setdefault(fragment.index, ([], [], []))
        if fragment.id:
            identifiers.append(fragment.id)
        if fragment.name:
            names.append(fragment.name)
        arguments.append(fragment.arguments)
    return tuple(
        ToolCall.from_text("".join(identifiers[:1]), "".join(names[:1]), "".join(arguments))
        for _, (identifiers, names, arguments) in sorted(calls.items())
    )
