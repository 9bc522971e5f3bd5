"""What a chat model object of LangChain's answered, read as an answer of ours.

The message itself goes along as ``raw``, so that its content blocks reach the caller as the model wrote them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata, add_usage
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from unified_llm._core.outcome import Done, Failure
from unified_llm._lib.bounded_json import dump
from unified_llm.types.messages import ToolCall, ToolCallChunk
from unified_llm.types.records import Usage
from unified_llm.types.responses import FinishReason, LLMChunk, LLMResponse

if TYPE_CHECKING:
    from unified_llm.langchain._wrapped_model import NativeArguments, WrappedChatModel

_REASONS: Final[Mapping[str, FinishReason]] = {
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "refusal": "content_filter",
}


def read_result(foreign: WrappedChatModel, phrased: NativeArguments, result: ChatResult) -> Done | Failure:
    """A whole answer."""
    generation = result.generations[0] if result.generations else None
    if generation is None or not isinstance(generation.message, AIMessage):
        return Failure("empty")
    message = generation.message
    metadata = {**(result.llm_output or {}), **(generation.generation_info or {}), **message.response_metadata}
    calls = _calls(message)
    content, answered = str(message.text), False
    if phrased.answer_tool:
        answer = next((call for call in calls if call.name == phrased.answer_tool), None)
        if answer:
            content, calls, answered = answer.raw_arguments, [], True
    reasoning, refusal = _reasoning(message), message.additional_kwargs.get("refusal")
    if not (content or calls or reasoning or refusal):
        return Failure("empty")
    return Done(
        LLMResponse(
            content=content,
            model=str(metadata.get("model_name") or metadata.get("model") or foreign.model),
            provider=foreign.provider,
            finish_reason="stop" if answered else _finish_reason(metadata, calls=bool(calls)),
            response_id=metadata.get("id"),
            usage=_usage(message.usage_metadata),
            tool_calls=tuple(calls),
            reasoning=reasoning or None,
            refusal=refusal,
            raw=None if answered else message,
        )
    )


class ChunkReader:
    """Reads one stream of chunks."""

    def __init__(self, foreign: WrappedChatModel, phrased: NativeArguments) -> None:
        """Nothing has been seen yet."""
        self._foreign = foreign
        self._answer_tool = phrased.answer_tool
        self._answer_index: int | None = None
        self._indices: dict[Any, int] = {}
        self._usage: UsageMetadata | None = None
        self._metadata: dict[str, Any] = {}
        self._seen = False
        self._called = False

    def feed(self, chunk: ChatGenerationChunk) -> LLMChunk | None:
        """One chunk; None if there is nothing in it to hand out."""
        message = chunk.message
        self._metadata.update({**(chunk.generation_info or {}), **message.response_metadata})
        if not isinstance(message, AIMessageChunk):
            return None
        if message.usage_metadata:
            self._usage = add_usage(self._usage, message.usage_metadata)
        fragments, answer = self._fragments(message)
        reasoning = _reasoning(message)
        content = str(message.text) + answer
        refusal = message.additional_kwargs.get("refusal") or ""
        extras = bool(message.additional_kwargs) or (isinstance(message.content, list) and bool(message.content))
        if not (content or reasoning or fragments or refusal or extras):
            return None
        self._seen = self._seen or bool(content or fragments or refusal or reasoning)
        self._called = self._called or bool(fragments)
        raw = None if self._answer_tool and message.tool_call_chunks else message
        return LLMChunk(content=content, reasoning=reasoning, tool_calls=fragments, refusal=refusal, raw=raw)

    def feed_whole(self, result: ChatResult) -> LLMChunk | None:
        """A whole answer as a chunk; None if there is none."""
        if not result.generations:
            return None
        generation = result.generations[0]
        message = generation.message
        chunk = AIMessageChunk(
            content=message.content,
            additional_kwargs=message.additional_kwargs,
            response_metadata={**(result.llm_output or {}), **message.response_metadata},
            tool_calls=getattr(message, "tool_calls", []),
            invalid_tool_calls=getattr(message, "invalid_tool_calls", []),
            usage_metadata=getattr(message, "usage_metadata", None),
        )
        return self.feed(ChatGenerationChunk(message=chunk, generation_info=generation.generation_info))

    def finish(self) -> Done | Failure:
        """The last chunk, with everything that is known only now."""
        if not self._seen:
            return Failure("empty")
        return Done(
            LLMChunk(
                finish_reason=_finish_reason(self._metadata, calls=self._called),
                usage=_usage(self._usage),
                response_id=self._metadata.get("id"),
                model=str(self._metadata.get("model_name") or self._metadata.get("model") or self._foreign.model),
                provider=self._foreign.provider,
            )
        )

    def _fragments(self, message: AIMessageChunk) -> tuple[tuple[ToolCallChunk, ...], str]:
        """Fragments of tool calls, and what was written into the tool that stands for the answer."""
        fragments: list[ToolCallChunk] = []
        answer = ""
        for position, piece in enumerate(message.tool_call_chunks):
            index = self._number(piece.get("index"), piece["id"], position)
            if piece["name"] and piece["name"] == self._answer_tool:
                self._answer_index = index
            if index == self._answer_index:
                answer += piece["args"] or ""
            else:
                fragments.append(ToolCallChunk(index, piece["id"], piece["name"], piece["args"] or ""))
        return tuple(fragments), answer

    def _number(self, index: Any, identifier: str | None, position: int) -> int:
        """Calls are counted here: models count from 0 or 1, with text blocks or without, or not at all."""
        if index is None:
            index = identifier or (list(self._indices)[-1] if self._indices else position)
        return self._indices.setdefault(index, len(self._indices))


def _calls(message: AIMessage) -> list[ToolCall]:
    calls = [ToolCall(call["id"] or "", call["name"], call["args"], dump(call["args"])) for call in message.tool_calls]
    broken = [
        ToolCall(call["id"] or "", call["name"] or "", {}, call["args"] or "", error=call["error"] or "not valid JSON")
        for call in message.invalid_tool_calls
    ]
    return calls + broken


def _reasoning(message: BaseMessage) -> str:
    return "".join(str(block.get("reasoning", "")) for block in message.content_blocks if block["type"] == "reasoning")


def _finish_reason(metadata: Mapping[str, Any], *, calls: bool) -> FinishReason:
    said = next((metadata[name] for name in ("finish_reason", "stop_reason", "done_reason") if metadata.get(name)), "")
    return _REASONS.get(str(said).lower()) or ("tool_calls" if calls else "stop")


def _usage(usage: UsageMetadata | None) -> Usage | None:
    if usage is None:
        return None
    read: Mapping[str, Any] = usage.get("input_token_details") or {}
    written: Mapping[str, Any] = usage.get("output_token_details") or {}
    return Usage(
        prompt_tokens=usage["input_tokens"],
        completion_tokens=usage["output_tokens"],
        total_tokens=usage["total_tokens"],
        cached_tokens=read.get("cache_read") or 0,
        cache_write_tokens=read.get("cache_creation") or 0,
        reasoning_tokens=written.get("reasoning") or 0,
        audio_tokens=read.get("audio") or 0,
        audio_output_tokens=written.get("audio") or 0,
    )
