"""Conversion of ``LLMResponse`` and ``LLMChunk`` to LlamaIndex's ``ChatResponse``.

A tool call is written twice, as a block and in the message's ``additional_kwargs``, because LlamaIndex reads both.
Usage is in ``raw``, a plain dict, where LlamaIndex's token counters read it. Text is one block: LlamaIndex joins
several blocks with line breaks. Every response of a stream is a new object with all the content so far, as LlamaIndex's
contract requires.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any, Final

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CitationBlock,
    CompletionResponse,
    ContentBlock,
    LogProb,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

from unified_llm._adapters.fragments import check_calls
from unified_llm._adapters.serving_record import serving_record
from unified_llm._core.usage_sums import sum_tokens
from unified_llm.llama_index._constants import PROVIDER, PROVIDER_STATE, RECORD
from unified_llm.types.messages import ProviderState, ToolCall
from unified_llm.types.records import Usage
from unified_llm.types.responses import Citation, LLMChunk, LLMResponse, TokenLogprob

_COUNTS: Final = tuple(count.name for count in fields(Usage))
_MAIN_COUNTS: Final = _COUNTS[:3]


def read_response(response: LLMResponse) -> ChatResponse:
    """Convert a whole response."""
    usage = _usage(response.usage)
    blocks = _wrapped_blocks(response.raw)
    if blocks is None:
        blocks = _blocks(response.content, response.reasoning or "", map(_call_block, response.tool_calls))
        _add_final_blocks(blocks, response.citations, response.provider_state)
    return ChatResponse(
        message=_message(blocks, response.tool_calls, response.refusal or ""),
        raw=_raw(response, usage),
        logprobs=_logprobs(response.logprobs),
        additional_kwargs={name: usage[name] for name in _MAIN_COUNTS} if usage else {},
    )


class StreamReader:
    """Converter of one stream's chunks to responses, each with all the content so far."""

    def __init__(self) -> None:
        self._text = ""
        self._reasoning = ""
        self._refusal = ""
        self._calls: dict[int, _PartialCall] = {}
        self._citations: list[Citation] = []

    def feed(self, chunk: LLMChunk) -> ChatResponse:
        """Convert a chunk.

        Raises:
            GenerationError: The stream has too many tool calls.
        """
        check_calls(chunk)
        self._text += chunk.content
        self._reasoning += chunk.reasoning
        self._refusal += chunk.refusal
        self._citations += chunk.citations
        for fragment in chunk.tool_calls:
            call = self._calls.setdefault(fragment.index, _PartialCall())
            call.add(fragment.id, fragment.name, fragment.arguments)
        extras: dict[str, Any] = {"thinking_delta": chunk.reasoning} if chunk.reasoning else {}
        if chunk.finish_reason is not None:
            return self._last(chunk, extras)
        blocks = _blocks(self._text, self._reasoning, (call.block() for call in self._calls.values() if call.name))
        calls = [call.partial() for call in self._calls.values() if call.name]
        return ChatResponse(
            message=_message(blocks, calls, self._refusal),
            delta=chunk.content,
            logprobs=_logprobs(chunk.logprobs),
            additional_kwargs=extras,
        )

    def _last(self, chunk: LLMChunk, extras: dict[str, Any]) -> ChatResponse:
        usage = _usage(chunk.usage)
        calls = [call.whole() for call in self._calls.values()]
        blocks = _wrapped_blocks(chunk.raw)
        if blocks is None:
            blocks = _blocks(self._text, self._reasoning, map(_call_block, calls))
            _add_final_blocks(blocks, self._citations, chunk.provider_state)
        counts = {name: usage[name] for name in _MAIN_COUNTS} if usage else {}
        return ChatResponse(
            message=_message(blocks, calls, self._refusal),
            delta=chunk.content,
            raw=_raw(chunk, usage),
            logprobs=_logprobs(chunk.logprobs),
            additional_kwargs={**extras, **counts},
        )


class _PartialCall:
    """A tool call that is still being received."""

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self._arguments = ""
        self._block: ToolCallBlock | None = None

    def add(self, identifier: str | None, name: str | None, arguments: str) -> None:
        self.id = self.id or identifier or ""
        self.name += name or ""
        self._arguments += arguments
        self._block = None

    def block(self) -> ToolCallBlock:
        """Return the call so far as a block, with its arguments as text."""
        if self._block is None:
            self._block = ToolCallBlock(tool_call_id=self.id, tool_name=self.name, tool_kwargs=self._arguments)
        return self._block

    def partial(self) -> ToolCall:
        return ToolCall(self.id, self.name, raw_arguments=self._arguments)

    def whole(self) -> ToolCall:
        return ToolCall.parse(self.id, self.name, self._arguments)


def as_completion(response: ChatResponse) -> CompletionResponse:
    """Convert a chat response to a completion response."""
    return CompletionResponse(
        text=response.message.content or "",
        additional_kwargs={**response.message.additional_kwargs, **response.additional_kwargs},
        raw=response.raw,
        logprobs=response.logprobs,
        delta=response.delta,
    )


def _message(blocks: Sequence[ContentBlock], calls: Sequence[ToolCall], refusal: str) -> ChatMessage:
    extras: dict[str, Any] = {"refusal": refusal} if refusal else {}
    if calls:
        extras["tool_calls"] = [_plain_call(call) for call in calls]
    return ChatMessage(role=MessageRole.ASSISTANT, blocks=list(blocks), additional_kwargs=extras)


def _blocks(text: str, reasoning: str, calls: Iterable[ToolCallBlock]) -> list[ContentBlock]:
    """Return the blocks of a message, thinking first: providers that sign it require it before the calls it led to."""
    blocks: list[ContentBlock] = [ThinkingBlock(content=reasoning)] if reasoning else []
    call_blocks = list(calls)
    if text or not call_blocks:
        blocks.append(TextBlock(text=text))
    return [*blocks, *call_blocks]


def _add_final_blocks(
    blocks: list[ContentBlock], citations: Sequence[Citation], provider_state: ProviderState | None
) -> None:
    """Add citations and provider state, which are complete only at the end."""
    for citation in citations:
        span = {"start": citation.start, "end": citation.end}
        blocks.append(
            CitationBlock(
                cited_content=TextBlock(text=citation.text or ""),
                source=citation.url or "",
                title=citation.title or "",
                additional_location_info={name: index for name, index in span.items() if index is not None},
            )
        )
    if provider_state is None:
        return
    if not blocks or not isinstance(blocks[0], ThinkingBlock):
        blocks.insert(0, ThinkingBlock())
    first = blocks[0]
    blocks[0] = ThinkingBlock(
        content=first.content if isinstance(first, ThinkingBlock) else None,
        additional_information={PROVIDER_STATE: provider_state.as_dict()},
    )


def _wrapped_blocks(raw: Any) -> list[ContentBlock] | None:
    """Return the unchanged blocks of a wrapped LLM's answer; None if a provider answered."""
    return list(raw.message.blocks) if isinstance(raw, ChatResponse) else None


def _call_block(call: ToolCall) -> ToolCallBlock:
    """Convert a call; arguments that are not valid JSON stay text."""
    arguments = dict(call.arguments) if call.error is None else call.raw_arguments
    return ToolCallBlock(tool_call_id=call.id, tool_name=call.name, tool_kwargs=arguments)


def _plain_call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.raw_arguments}}


def _raw(response: LLMResponse | LLMChunk, usage: dict[str, int]) -> dict[str, Any]:
    raw: dict[str, Any] = {
        "model_name": response.model or "",
        "model_provider": PROVIDER,
        "finish_reason": response.finish_reason,
        RECORD: serving_record(response),
    }
    if response.response_id:
        raw["id"] = response.response_id
    return {**raw, "usage": usage} if usage else raw


def _usage(usage: Usage | None) -> dict[str, int]:
    if usage is None:
        return {}
    counts = {name: getattr(usage, name) for name in _COUNTS if name in _MAIN_COUNTS or getattr(usage, name)}
    return {**counts, "total_tokens": sum_tokens(usage)}


def _logprobs(tokens: Sequence[TokenLogprob]) -> list[list[LogProb]] | None:
    """Return for each token its most likely alternatives, or the token itself where there are none."""
    if not tokens:
        return None
    return [
        [
            LogProb(token=token, logprob=logprob, bytes=list(token.encode(errors="replace")))
            for token, logprob in position.top or ((position.token, position.logprob),)
        ]
        for position in tokens
    ]
