"""Answers, handed to LlamaIndex as its responses.

A tool call is told twice, as a block and among the message's extras, because LlamaIndex looks in both places. Usage is
told in ``raw``, which is a plain dict: there the token counters look. Text is one block: LlamaIndex joins several with
line breaks. Every response of a stream is a new object that holds everything so far, as LlamaIndex's contract wants it.
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

from unified_llm.llama_index._constants import PROVIDER, PROVIDER_STATE, RECORD
from unified_llm.types.messages import ProviderState, ToolCall
from unified_llm.types.records import Usage
from unified_llm.types.responses import Citation, LLMChunk, LLMResponse, TokenLogprob

_COUNTS: Final = tuple(each.name for each in fields(Usage))
_ALWAYS: Final = _COUNTS[:3]


def read_response(response: LLMResponse) -> ChatResponse:
    """A whole answer."""
    usage = _usage(response.usage)
    blocks = _own_blocks(response.raw)
    if blocks is None:
        blocks = _blocks(response.content, response.reasoning or "", map(_call_block, response.tool_calls))
        _finish(blocks, response.citations, response.provider_state)
    return ChatResponse(
        message=_message(blocks, response.tool_calls, response.refusal or ""),
        raw=_raw(response, usage),
        logprobs=_logprobs(response.logprobs),
        additional_kwargs={name: usage[name] for name in _ALWAYS} if usage else {},
    )


class StreamReader:
    """Turns the chunks of one stream into responses, each with everything so far."""

    def __init__(self) -> None:
        """Nothing has come yet."""
        self._text = ""
        self._reasoning = ""
        self._refusal = ""
        self._calls: dict[int, _OpenCall] = {}
        self._citations: list[Citation] = []

    def feed(self, chunk: LLMChunk) -> ChatResponse:
        """One chunk."""
        self._text += chunk.content
        self._reasoning += chunk.reasoning
        self._refusal += chunk.refusal
        self._citations += chunk.citations
        for piece in chunk.tool_calls:
            self._calls.setdefault(piece.index, _OpenCall()).add(piece.id, piece.name, piece.arguments)
        extras: dict[str, Any] = {"thinking_delta": chunk.reasoning} if chunk.reasoning else {}
        if chunk.finish_reason is not None:
            return self._last(chunk, extras)
        blocks = _blocks(self._text, self._reasoning, (call.block() for call in self._calls.values() if call.name))
        told = [call.told() for call in self._calls.values() if call.name]
        return ChatResponse(
            message=_message(blocks, told, self._refusal),
            delta=chunk.content,
            logprobs=_logprobs(chunk.logprobs),
            additional_kwargs=extras,
        )

    def _last(self, chunk: LLMChunk, extras: dict[str, Any]) -> ChatResponse:
        usage = _usage(chunk.usage)
        calls = [call.whole() for call in self._calls.values()]
        blocks = _own_blocks(chunk.raw)
        if blocks is None:
            blocks = _blocks(self._text, self._reasoning, map(_call_block, calls))
            _finish(blocks, self._citations, chunk.provider_state)
        counts = {name: usage[name] for name in _ALWAYS} if usage else {}
        return ChatResponse(
            message=_message(blocks, calls, self._refusal),
            delta=chunk.content,
            raw=_raw(chunk, usage),
            logprobs=_logprobs(chunk.logprobs),
            additional_kwargs={**extras, **counts},
        )


class _OpenCall:
    """A tool call of which fragments are still to come."""

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
        """As it is so far: unfinished arguments are text."""
        if self._block is None:
            self._block = ToolCallBlock(tool_call_id=self.id, tool_name=self.name, tool_kwargs=self._arguments)
        return self._block

    def told(self) -> ToolCall:
        return ToolCall(self.id, self.name, raw_arguments=self._arguments)

    def whole(self) -> ToolCall:
        return ToolCall.from_text(self.id, self.name, self._arguments)


def as_completion(response: ChatResponse) -> CompletionResponse:
    """The same answer, for those who asked with a prompt."""
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
    """Thinking comes first: providers that sign it want it back before the calls that it led to."""
    blocks: list[ContentBlock] = [ThinkingBlock(content=reasoning)] if reasoning else []
    called = list(calls)
    if text or not called:
        blocks.append(TextBlock(text=text))
    return [*blocks, *called]


def _finish(blocks: list[ContentBlock], citations: Sequence[Citation], provider_state: ProviderState | None) -> None:
    """Add what is known only at the end."""
    for each in citations:
        place = {"start": each.start, "end": each.end}
        blocks.append(
            CitationBlock(
                cited_content=TextBlock(text=each.text or ""),
                source=each.url or "",
                title=each.title or "",
                additional_location_info={name: where for name, where in place.items() if where is not None},
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


def _own_blocks(raw: Any) -> list[ContentBlock] | None:
    """The blocks of a model object of LlamaIndex, as it wrote them, if one of these answered."""
    return list(raw.message.blocks) if isinstance(raw, ChatResponse) else None


def _call_block(call: ToolCall) -> ToolCallBlock:
    """Arguments that are no JSON stay the text that the model wrote."""
    arguments = dict(call.arguments) if call.error is None else call.raw_arguments
    return ToolCallBlock(tool_call_id=call.id, tool_name=call.name, tool_kwargs=arguments)


def _plain_call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.raw_arguments}}


def _raw(answer: LLMResponse | LLMChunk, usage: dict[str, int]) -> dict[str, Any]:
    named = [attempt.target for attempt in answer.attempts if attempt.outcome == "ok"]
    raw: dict[str, Any] = {
        "model_name": answer.model or "",
        "model_provider": PROVIDER,
        "finish_reason": answer.finish_reason,
        RECORD: {
            "served_by": named[-1] if named else f"{answer.provider}/{answer.model}",
            "fell_back": answer.used_fallback,
            "attempts": [attempt.as_dict() for attempt in answer.attempts],
        },
    }
    if answer.response_id:
        raw["id"] = answer.response_id
    return {**raw, "usage": usage} if usage else raw


def _usage(usage: Usage | None) -> dict[str, int]:
    if usage is None:
        return {}
    counts = {name: getattr(usage, name) for name in _COUNTS if name in _ALWAYS or getattr(usage, name)}
    return {**counts, "total_tokens": usage.total_tokens or usage.prompt_tokens + usage.completion_tokens}


def _logprobs(tokens: Sequence[TokenLogprob]) -> list[list[LogProb]] | None:
    """For each token those that could have stood in its place, or itself alone."""
    if not tokens:
        return None
    return [
        [
            LogProb(token=token, logprob=logprob, bytes=list(token.encode(errors="replace")))
            for token, logprob in each.top or ((each.token, each.logprob),)
        ]
        for each in tokens
    ]
