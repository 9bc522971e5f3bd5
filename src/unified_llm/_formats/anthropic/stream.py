"""Streamed answers: events in, chunks out; a stream is complete only after the provider's terminal event.

An answer comes as blocks, each started, continued and stopped by events that carry its index. The data names the event
type too, so the ``event:`` line may be missing, and so may the events that start a message or a block.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.anthropic.provider_state import keep_state
from unified_llm._formats.anthropic.response import USAGE_FIELDS, read_citations, read_refusal, read_usage
from unified_llm._formats.finish_reasons import is_answer, read_finish_reason
from unified_llm._formats.history import Identifiers
from unified_llm._formats.json_values import is_list, is_object, json_text, object_or_empty, small_int, text_or_none
from unified_llm._formats.openai_errors import read_error
from unified_llm._lib.bounded_json import JSONError, parse_lenient, size_of_value
from unified_llm._lib.sse import ServerSentEvent
from unified_llm.types.messages import ToolCallChunk
from unified_llm.types.responses import LLMChunk

_Data: TypeAlias = dict[str, Any]
_BLOCK_SIZE: Final = 512  # bytes that a block takes besides its fields, roughly
_Outputs: TypeAlias = Sequence[LLMChunk | Done | Failure]


class MessageStream:
    """Decoder of one stream. Fields of the last chunk are collected until ``message_stop``."""

    __slots__ = (
        "_blocks", "_calls", "_ended", "_has_content", "_has_reasoning", "_identifiers", "_message", "_position",
        "_stop_delta", "_target", "_usage", "kept",
    )  # fmt: skip

    def __init__(self, target: Target) -> None:
        self._target = target
        self._message: _Data = {}
        self._stop_delta: _Data | None = None
        self._usage: _Data = {}
        # By the server's block index: the block so far, and the number of its call.
        self._blocks: dict[int, _Block] = {}
        self._calls: dict[int, int] = {}
        self.kept = 0  # bytes of blocks besides their text and thoughts, which are emitted
        self._identifiers = Identifiers()
        self._position = 0
        self._has_content = self._has_reasoning = False
        self._ended = False

    def feed(self, event: ServerSentEvent) -> _Outputs:
        """Return the chunks of this event; ``Done`` at ``message_stop``; nothing after that or after a failure."""
        if self._ended or event.event == "ping" or not event.data.strip() or event.data.strip() == "[DONE]":
            return ()
        try:
            data = parse_lenient(event.data, keep_halves=True)
        except JSONError:
            return self._fail(Failure("malformed"))
        if not is_object(data):
            return self._fail(Failure("malformed"))
        if event.event == "error" or data.get("type") == "error" or data.get("error"):
            return self._fail(read_error(data, self._target))
        handler = self._handlers().get(str(data.get("type") or event.event))
        return () if handler is None else handler(data)

    def finish(self) -> Done | Failure:
        """Return the result at the end of the bytes: a success without ``message_stop`` if the stop reason was read."""
        return Failure("truncated") if self._stop_delta is None else self._end_message()

    def _handlers(self) -> Mapping[str, Callable[[_Data], _Outputs]]:
        return {
            "message_start": self._begin_message,
            "content_block_start": self._begin_block,
            "content_block_delta": self._continue_block,
            "content_block_stop": self._end_block,
            "message_delta": self._read_message_delta,
            "message_stop": lambda _: (self._end_message(),),
        }

    def _begin_message(self, data: _Data) -> _Outputs:
        self._message = object_or_empty(data.get("message"))
        self._update_usage(self._message.get("usage"))
        return ()

    def _read_message_delta(self, data: _Data) -> _Outputs:
        """Read why the answer ended, and token counts that replace earlier ones."""
        self._update_usage(data.get("usage"))
        delta = object_or_empty(data.get("delta"))
        if text_or_none(delta.get("stop_reason")):
            self._stop_delta = delta
        return ()

    def _update_usage(self, usage: object) -> None:
        counts = object_or_empty(usage)
        self._usage |= {name: counts[name] for name in USAGE_FIELDS if counts.get(name) is not None}

    def _begin_block(self, data: _Data) -> _Outputs:
        index, block = _block_index(data), dict(object_or_empty(data.get("content_block")))
        self._keep_block(index, block)
        match block.get("type"):
            case "tool_use":
                number = self._calls[index] = len(self._identifiers)
                identifier, name = self._identifiers.take(block.get("id")), text_or_none(block.get("name")) or ""
                arguments = json_text(block.get("input") or None)  # an empty object is a placeholder
                return self._emit(LLMChunk(tool_calls=(ToolCallChunk(number, identifier, name, arguments),)))
            case "text" | "thinking" as kind:
                initial, block[kind] = block.get(kind), ""
                return self._append_text(index, kind, initial)
            case _:
                return ()

    def _continue_block(self, data: _Data) -> _Outputs:
        index, delta = _block_index(data), object_or_empty(data.get("delta"))
        match delta.get("type"):
            case "text_delta":
                return self._append_text(index, "text", delta.get("text"))
            case "thinking_delta":
                return self._append_text(index, "thinking", delta.get("thinking"))
            case "signature_delta":
                self._block(index, "thinking").fields["signature"] = delta.get("signature")
                self.kept += size_of_value(delta)
            case "citations_delta":
                self._block(index, "text").citations.append(delta.get("citation"))
                self.kept += size_of_value(delta)
            case "input_json_delta":
                return self._append_arguments(index, delta.get("partial_json"))
            case _:
                pass
        return ()

    def _block(self, index: int, kind: str) -> _Block:
        return self._blocks.get(index) or self._keep_block(index, {"type": kind})

    def _keep_block(self, index: int, fields: _Data) -> _Block:
        block = self._blocks[index] = _Block(fields, self._position)
        self.kept += _BLOCK_SIZE + size_of_value(fields)
        return block

    def _append_text(self, index: int, kind: str, fragment: object) -> _Outputs:
        if not isinstance(fragment, str) or not fragment:
            return ()
        self._block(index, kind).texts.setdefault(kind, []).append(fragment)
        if kind == "thinking":
            return self._emit(LLMChunk(reasoning=fragment))
        self._position += len(fragment)
        return self._emit(LLMChunk(content=fragment))

    def _append_arguments(self, index: int, fragment: object) -> _Outputs:
        number = self._calls.get(index)
        if not isinstance(fragment, str) or not fragment:
            return ()
        if number is None:  # a built-in tool, which the provider calls itself
            self._block(index, "server_tool_use").arguments.append(fragment)
            self.kept += size_of_value(fragment)
            return ()
        return self._emit(LLMChunk(tool_calls=(ToolCallChunk(number, arguments=fragment),)))

    def _end_block(self, data: _Data) -> _Outputs:
        """Return the block's citations, whose end in the text is known only now."""
        block = self._blocks.get(_block_index(data))
        if block is None or block.ended:
            return ()
        block.ended = True
        fields = block.whole()
        end = block.start + len(text_or_none(fields.get("text")) or "")
        citations = tuple(read_citations(fields.get("citations"), block.start, end))
        return (LLMChunk(citations=citations),) if citations else ()

    def _emit(self, chunk: LLMChunk) -> _Outputs:
        if not self._has_content:
            self._has_content = bool(chunk.tool_calls) or is_answer(chunk.content, self._has_reasoning)
            self._has_reasoning = self._has_reasoning or bool(chunk.reasoning)
        return (chunk,)

    def _fail(self, failure: Failure) -> _Outputs:
        if self._stop_delta is not None:  # the end was announced: what follows takes nothing back
            return ()
        self._ended = True
        return (failure,)

    def _end_message(self) -> Done | Failure:
        self._ended = True
        stop = self._stop_delta or {}
        reason = read_finish_reason(
            stop.get("stop_reason"), self._target, has_content=self._has_content, has_calls=bool(self._calls)
        )
        if isinstance(reason, Failure):
            return reason
        last = LLMChunk(
            refusal=read_refusal(stop) or "",
            finish_reason=reason,
            usage=read_usage(self._usage),
            response_id=text_or_none(self._message.get("id")),
            provider_state=keep_state([block.whole() for block in self._blocks.values()], self._target),
            model=text_or_none(self._message.get("model")) or self._target.model,
            provider=self._target.provider,
        )
        return Done(last)


@dataclass(slots=True)
class _Block:
    """One block as far as it has arrived.

    Attributes:
        fields: The fields that came whole.
        start: Where its text begins in the whole text.
        texts: Fragments of its text and its thoughts.
        citations: Its citations that came one by one.
        arguments: Fragments of the arguments of a call to a built-in tool.
        ended: The event that stops it has come.
    """

    fields: _Data
    start: int
    texts: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    citations: list[object] = field(default_factory=list[object])
    arguments: list[str] = field(default_factory=list[str])
    ended: bool = False

    def whole(self) -> _Data:
        """Return all fields."""
        whole = dict(self.fields)
        for kind, fragments in self.texts.items():
            whole[kind] = "".join([text_or_none(whole.get(kind)) or "", *fragments])
        if self.citations:
            earlier = whole.get("citations")
            whole["citations"] = [*(earlier if is_list(earlier) else ()), *self.citations]
        if self.arguments and self.ended:
            try:
                whole["input"] = parse_lenient("".join(self.arguments))
            except JSONError:  # only the provider that issued it reads it
                whole["input"] = {}
        return whole


def _block_index(data: _Data) -> int:
    """Return the index of the event's block; events without one all belong to one block."""
    index = small_int(data.get("index"))
    return -1 if index is None else index
