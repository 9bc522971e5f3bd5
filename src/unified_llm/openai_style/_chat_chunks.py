"""Chunks of a streamed chat completion: the provider's own where it has that shape, else made of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from unified_llm._adapters.serving_record import serving_record
from unified_llm._core import runtime
from unified_llm._formats.custom_tools import input_of
from unified_llm.openai_style._chat_objects import (
    AnswerForm,
    new_id,
    write_citations,
    write_logprobs,
    write_usage,
)
from unified_llm.openai_style._streams import event_bodies
from unified_llm.openai_style.types.chat.chat_completion_chunk import ChatCompletionChunk
from unified_llm.types.messages import ToolCall, ToolCallChunk
from unified_llm.types.responses import LLMChunk


class ChunkWriter:
    """Makes the chunks of one stream, as OpenAI sends them.

    Args:
        model: Returns the model that answers, which is known from the first chunk on.
        wants_usage: Whether the last chunk has the tokens used.
        form: The form of calls.
    """

    def __init__(self, model: Callable[[], str | None], *, wants_usage: bool, form: AnswerForm) -> None:
        self._model, self._wants_usage, self._form = model, wants_usage, form
        self._head: dict[str, Any] | None = None  # the fields that all chunks share
        self._custom: dict[int, _CustomCall] = {}  # calls of tools that take text, by their position

    def write(self, chunk: LLMChunk) -> list[ChatCompletionChunk]:
        """Return the chunks of the response for one of ours."""
        bodies = event_bodies(chunk.raw) if isinstance(chunk.raw, tuple) else self._make(chunk)
        written = [ChatCompletionChunk.from_json(body) for body in bodies]
        if chunk.finish_reason is not None:
            for last in written:
                last.unified_llm = serving_record(chunk)
        return written

    def _make(self, chunk: LLMChunk) -> Iterator[dict[str, Any]]:
        if self._head is None:
            created = int(runtime.current().wall())
            self._head = {
                "id": new_id(), "object": "chat.completion.chunk", "created": created,
                "model": self._model() or chunk.model or "",
            }  # fmt: skip
            yield self._chunk({"role": "assistant", "content": "", "refusal": None})
        if delta := self._delta(chunk):
            yield self._chunk(delta, logprobs=write_logprobs(chunk.logprobs) if chunk.logprobs else None)
        if chunk.finish_reason is not None:
            if self._custom:
                yield self._chunk({"tool_calls": [*map(_write_input, self._custom.values())]})
            delta = {} if chunk.provider_state is None else {"provider_state": chunk.provider_state.as_dict()}
            yield self._chunk(delta, self._form.finish_reason(chunk.finish_reason))
            if self._wants_usage:
                usage = chunk.usage and write_usage(chunk.usage)
                yield {**self._head, "choices": [], "usage": usage}

    def _chunk(
        self, delta: dict[str, Any], reason: str | None = None, logprobs: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        usage = {"usage": None} if self._wants_usage else {}
        return {**(self._head or {}), "choices": [choice], **usage}

    def _delta(self, chunk: LLMChunk) -> dict[str, Any]:
        delta: dict[str, Any] = {}
        if chunk.content or (chunk.logprobs and not chunk.reasoning):
            delta["content"] = chunk.content
        if chunk.reasoning:
            delta["reasoning_content"] = chunk.reasoning
        if chunk.refusal:
            delta["refusal"] = chunk.refusal
        if chunk.citations and (annotations := write_citations(chunk.citations)):
            delta["annotations"] = annotations
        if not chunk.tool_calls:
            return delta
        if self._form.uses_functions:
            first = chunk.tool_calls[0]
            if first.index == 0:
                name = {"name": first.name} if first.name else {}
                delta["function_call"] = {**name, "arguments": first.arguments}
        elif calls := [fragment for call in chunk.tool_calls if (fragment := self._fragment(call))]:
            delta["tool_calls"] = calls
        return delta

    def _fragment(self, call: ToolCallChunk) -> dict[str, Any] | None:
        """Return a fragment of a call; None for one of a text, which is escaped, so that it is known at the end."""
        if call.name is not None and call.name in self._form.custom:
            self._custom[call.index] = _CustomCall(call.index, call.name)
        custom = self._custom.get(call.index)
        if custom is None:
            return _write_fragment(call)
        custom.arguments.append(call.arguments)
        if call.name is None:
            return None
        head = {"index": call.index, "id": call.id or f"call_{call.index}", "type": "custom"}
        return {**head, "custom": {"name": call.name, "input": ""}}


@dataclass(slots=True)
class _CustomCall:
    """A call of a tool that takes text, as far as it has come."""

    index: int
    name: str
    arguments: list[str] = field(default_factory=list[str])


def _write_input(call: _CustomCall) -> dict[str, Any]:
    text = input_of(ToolCall.parse("", call.name, "".join(call.arguments)))
    return {"index": call.index, "custom": {"input": text}}


def _write_fragment(call: ToolCallChunk) -> dict[str, Any]:
    if call.name is None:
        return {"index": call.index, "function": {"arguments": call.arguments}}
    function = {"name": call.name, "arguments": call.arguments}
    return {"index": call.index, "id": call.id or f"call_{call.index}", "type": "function", "function": function}
