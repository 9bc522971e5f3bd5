"""Convert the results and chunks of a wrapped LangChain chat model into ours.

The original message is kept as ``raw``, so that its content blocks reach the caller as the model wrote them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata, add_usage
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from unified_llm._core.outcome import Done, Failure
from unified_llm._formats.finish_reasons import finish_reason_of, is_answer
from unified_llm._lib.bounded_json import dump
from unified_llm.types.messages import ToolCall, ToolCallChunk
from unified_llm.types.records import Usage
from unified_llm.types.responses import FinishReason, LLMChunk, LLMResponse

if TYPE_CHECKING:
    from unified_llm._core.exchange import WrappedModel

# Types of content blocks that are an answer without any text, as LangChain and the providers spell them.
_MEDIA: Final = frozenset({"image", "image_url", "image_generation_call", "audio", "video", "file", "media"})


def read_result(wrapped: WrappedModel, answer_tool: str | None, result: ChatResult) -> Done | Failure:
    """Convert a whole result.

    Args:
        wrapped: The model that returned it.
        answer_tool: The tool whose arguments are the response; see ``NativeArguments``.
        result: LangChain's result.

    Returns:
        The response, or a failure if the result is empty: reasoning alone is no answer.
    """
    generation = result.generations[0] if result.generations else None
    if generation is None or not isinstance(generation.message, AIMessage):
        return Failure("empty")
    message = generation.message
    metadata = {**(result.llm_output or {}), **(generation.generation_info or {}), **message.response_metadata}
    calls = _read_tool_calls(message)
    content, by_tool = str(message.text), False
    if answer_tool:
        answer = next((call for call in calls if call.name == answer_tool), None)
        if answer:
            content, calls, by_tool = answer.raw_arguments, [], True
    reasoning, refusal = _read_reasoning(message), message.additional_kwargs.get("refusal")
    reason = "stop" if by_tool else _read_finish_reason(metadata, has_calls=bool(calls))
    if reason == "stop" and not (is_answer(content, reasoning) or refusal or _has_media(message)):
        return Failure("empty")
    return Done(
        LLMResponse(
            content=content,
            model=str(metadata.get("model_name") or metadata.get("model") or wrapped.model),
            provider=wrapped.provider,
            finish_reason=reason,
            response_id=metadata.get("id"),
            usage=_read_usage(message.usage_metadata),
            tool_calls=tuple(calls),
            reasoning=reasoning or None,
            refusal=refusal,
            raw=None if by_tool else message,
        )
    )


def _has_media(message: AIMessage) -> bool:
    blocks = message.content if isinstance(message.content, list) else ()
    has_blocks = any(isinstance(block, dict) and block.get("type") in _MEDIA for block in blocks)
    return has_blocks or bool(message.additional_kwargs.get("audio"))  # OpenAI's, in langchain-openai


class ChunkReader:
    """Reader of one stream of a wrapped model.

    Args:
        wrapped: The model that streams.
        answer_tool: The tool whose arguments are the response; see ``NativeArguments``.
    """

    def __init__(self, wrapped: WrappedModel, answer_tool: str | None) -> None:
        self._wrapped = wrapped
        self._answer_tool = answer_tool
        self._answer_index: int | None = None
        self._indices: dict[Any, int] = {}
        self._usage: UsageMetadata | None = None
        self._metadata: dict[str, Any] = {}
        self._has_answer = False
        self._has_calls = False

    def feed(self, chunk: ChatGenerationChunk) -> LLMChunk | None:
        """Convert one chunk; return None if it has nothing for the caller."""
        message = chunk.message
        self._metadata.update({**(chunk.generation_info or {}), **message.response_metadata})
        if not isinstance(message, AIMessageChunk):
            return None
        if message.usage_metadata:
            self._usage = add_usage(self._usage, message.usage_metadata)
        fragments, answer = self._read_fragments(message)
        reasoning = _read_reasoning(message)
        content = str(message.text) + answer
        refusal = message.additional_kwargs.get("refusal") or ""
        extras = bool(message.additional_kwargs) or (isinstance(message.content, list) and bool(message.content))
        if not (content or reasoning or fragments or refusal or extras):
            return None
        self._has_answer = self._has_answer or bool(content or fragments or refusal) or _has_media(message)
        self._has_calls = self._has_calls or bool(fragments)
        raw = None if self._answer_tool and message.tool_call_chunks else message
        return LLMChunk(content=content, reasoning=reasoning, tool_calls=fragments, refusal=refusal, raw=raw)

    def feed_result(self, result: ChatResult) -> LLMChunk | None:
        """Convert a whole result into one chunk; return None if it has nothing for the caller."""
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
        """Return the last chunk, with finish reason, usage and names; a failure if the stream had no answer."""
        reason = _read_finish_reason(self._metadata, has_calls=self._has_calls)
        if reason == "stop" and not self._has_answer:
            return Failure("empty")
        return Done(
            LLMChunk(
                finish_reason=reason,
                usage=_read_usage(self._usage),
                response_id=self._metadata.get("id"),
                model=str(self._metadata.get("model_name") or self._metadata.get("model") or self._wrapped.model),
                provider=self._wrapped.provider,
            )
        )

    def _read_fragments(self, message: AIMessageChunk) -> tuple[tuple[ToolCallChunk, ...], str]:
        """Return the fragments of tool calls, and the text of the answer tool's arguments."""
        fragments: list[ToolCallChunk] = []
        answer = ""
        for position, fragment in enumerate(message.tool_call_chunks):
            index = self._assign_index(fragment.get("index"), fragment["id"], position)
            if fragment["name"] and fragment["name"] == self._answer_tool:
                self._answer_index = index
            if index == self._answer_index:
                answer += fragment["args"] or ""
            else:
                fragments.append(ToolCallChunk(index, fragment["id"], fragment["name"], fragment["args"] or ""))
        return tuple(fragments), answer

    def _assign_index(self, index: Any, identifier: str | None, position: int) -> int:
        """Number the calls from 0: models count from 0 or 1, with text blocks or without, or not at all."""
        if index is None:
            index = identifier or (list(self._indices)[-1] if self._indices else position)
        return self._indices.setdefault(index, len(self._indices))


def _read_tool_calls(message: AIMessage) -> list[ToolCall]:
    calls = [ToolCall(call["id"] or "", call["name"], call["args"], dump(call["args"])) for call in message.tool_calls]
    invalid = [
        ToolCall(call["id"] or "", call["name"] or "", {}, call["args"] or "", error=call["error"] or "not valid JSON")
        for call in message.invalid_tool_calls
    ]
    return calls + invalid


def _read_reasoning(message: BaseMessage) -> str:
    return "".join(str(block.get("reasoning", "")) for block in message.content_blocks if block["type"] == "reasoning")


def _read_finish_reason(metadata: Mapping[str, Any], *, has_calls: bool) -> FinishReason:
    names = ("finish_reason", "stop_reason", "done_reason")
    reason = next((metadata[name] for name in names if metadata.get(name)), "")
    return finish_reason_of(reason, has_calls=has_calls)


def _read_usage(usage: UsageMetadata | None) -> Usage | None:
    if usage is None:
        return None
    input_details: Mapping[str, Any] = usage.get("input_token_details") or {}
    output_details: Mapping[str, Any] = usage.get("output_token_details") or {}
    return Usage(
        prompt_tokens=usage["input_tokens"],
        completion_tokens=usage["output_tokens"],
        total_tokens=usage["total_tokens"],
        cached_tokens=input_details.get("cache_read") or 0,
        cache_write_tokens=input_details.get("cache_creation") or 0,
        reasoning_tokens=output_details.get("reasoning") or 0,
        audio_tokens=input_details.get("audio") or 0,
        audio_output_tokens=output_details.get("audio") or 0,
    )
