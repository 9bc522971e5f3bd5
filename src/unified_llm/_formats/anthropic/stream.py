"""Streamed answers: events in, chunks out, and the end only when the provider has said so.

An answer comes as blocks, each begun, continued and ended by events that carry its index. Their data names the event
too, so a server that forgets the ``event:`` line is understood as well; so is one that forgets to say that a message
or a block begins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.anthropic.errors import read_error
from unified_llm._formats.anthropic.provider_state import keep_state
from unified_llm._formats.anthropic.response import FINISH, read_citations, read_usage, refusal_of
from unified_llm._formats.history import Identifiers
from unified_llm._formats.json_values import is_list, is_object, json_text, object_or_empty, text_or_none
from unified_llm._formats.response_fields import finish_reason
from unified_llm._lib.bounded_json import JSONError, parse
from unified_llm._lib.sse import ServerSentEvent
from unified_llm.types.messages import ToolCallChunk
from unified_llm.types.responses import LLMChunk

_Data: TypeAlias = dict[str, Any]
_Out: TypeAlias = Sequence[LLMChunk | Done | Failure]


class MessageStream:
    """The decoder of one stream. What belongs to the last chunk is held until ``message_stop``."""

    __slots__ = (
        "_blocks",
        "_calls",
        "_ended",
        "_identifiers",
        "_message",
        "_position",
        "_spoke",
        "_starts",
        "_stop",
        "_target",
        "_usage",
        "_written",
    )

    def __init__(self, target: Target) -> None:
        """Nothing has been read yet."""
        self._target = target
        self._message: _Data = {}
        self._stop: _Data | None = None
        self._usage: _Data = {}
        # The server's index → the block as far as it has come, the number of the call, the arguments of a call that the
        # provider makes itself, and where the block's text begins in the whole.
        self._blocks: dict[int, _Data] = {}
        self._calls: dict[int, int] = {}
        self._written: dict[int, str] = {}
        self._starts: dict[int, int] = {}
        self._identifiers = Identifiers()
        self._position = 0
        self._spoke = False
        self._ended = False

    def feed(self, event: ServerSentEvent) -> _Out:
        """Chunks of this event; ``Done`` at ``message_stop``; nothing after that or after a failure."""
        if self._ended or event.event == "ping" or not event.data.strip() or event.data.strip() == "[DONE]":
            return ()
        try:
            data = parse(event.data)
        except JSONError:
            return self._fail(Failure("malformed"))
        if not is_object(data):
            return self._fail(Failure("malformed"))
        if event.event == "error" or data.get("type") == "error" or data.get("error"):
            return self._fail(read_error(data, self._target))
        read = self._readers().get(str(data.get("type") or event.event))
        return () if read is None else read(data)

    def finish(self) -> Done | Failure:
        """The last event may be lost where the one before said why the answer ended."""
        return Failure("truncated") if self._stop is None else self._end()

    def _readers(self) -> Mapping[str, Callable[[_Data], _Out]]:
        return {
            "message_start": self._begin,
            "content_block_start": self._begin_block,
            "content_block_delta": self._continue_block,
            "content_block_stop": self._end_block,
            "message_delta": self._learn,
            "message_stop": lambda _: (self._end(),),
        }

    def _begin(self, data: _Data) -> _Out:
        self._message = object_or_empty(data.get("message"))
        self._count(self._message.get("usage"))
        return ()

    def _learn(self, data: _Data) -> _Out:
        """Why the answer ended, and counts that replace the earlier ones."""
        self._count(data.get("usage"))
        delta = object_or_empty(data.get("delta"))
        if text_or_none(delta.get("stop_reason")):
            self._stop = delta
        return ()

    def _count(self, usage: object) -> None:
        self._usage |= {name: value for name, value in object_or_empty(usage).items() if value is not None}

    def _begin_block(self, data: _Data) -> _Out:
        index, block = _index(data), dict(object_or_empty(data.get("content_block")))
        self._blocks[index] = block
        self._starts[index] = self._position
        match block.get("type"):
            case "tool_use":
                number = self._calls[index] = len(self._identifiers)
                identifier, name = self._identifiers.take(block.get("id")), text_or_none(block.get("name")) or ""
                given = json_text(block.get("input") or None)  # an empty object stands for what is still to come
                return self._say(LLMChunk(tool_calls=(ToolCallChunk(number, identifier, name, given),)))
            case "text" | "thinking" as kind:
                begun, block[kind] = block.get(kind), ""
                return self._add(index, kind, begun)
            case _:
                return ()

    def _continue_block(self, data: _Data) -> _Out:
        index, delta = _index(data), object_or_empty(data.get("delta"))
        match delta.get("type"):
            case "text_delta":
                return self._add(index, "text", delta.get("text"))
            case "thinking_delta":
                return self._add(index, "thinking", delta.get("thinking"))
            case "signature_delta":
                self._block(index, "thinking")["signature"] = delta.get("signature")
            case "citations_delta":
                block = self._block(index, "text")
                before = block.get("citations")
                block["citations"] = [*(before if is_list(before) else ()), delta.get("citation")]
            case "input_json_delta":
                return self._add_arguments(index, delta.get("partial_json"))
            case _:
                pass
        return ()

    def _block(self, index: int, kind: str) -> _Data:
        if index not in self._blocks:
            self._starts[index] = self._position
        return self._blocks.setdefault(index, {"type": kind})

    def _add(self, index: int, kind: str, said: object) -> _Out:
        if not isinstance(said, str) or not said:
            return ()
        block = self._block(index, kind)
        block[kind] = (text_or_none(block.get(kind)) or "") + said
        if kind == "thinking":
            return self._say(LLMChunk(reasoning=said))
        self._position += len(said)
        return self._say(LLMChunk(content=said))

    def _add_arguments(self, index: int, said: object) -> _Out:
        number = self._calls.get(index)
        if not isinstance(said, str) or not said:
            return ()
        if number is None:  # the provider's own tool, which it calls itself
            self._written[index] = self._written.get(index, "") + said
            return ()
        return self._say(LLMChunk(tool_calls=(ToolCallChunk(number, arguments=said),)))

    def _end_block(self, data: _Data) -> _Out:
        """Now it is known how far the text goes that citations belong to."""
        index = _index(data)
        block = self._blocks.get(index, {})
        if index in self._written:
            self._close_own_call(index)
        start = self._starts.get(index, 0)
        end = start + len(text_or_none(block.get("text")) or "")
        cited = tuple(read_citations(block.get("citations"), start, end))
        return (LLMChunk(citations=cited),) if cited else ()

    def _close_own_call(self, index: int) -> None:
        block = self._block(index, "server_tool_use")
        try:
            block["input"] = parse(self._written.pop(index))
        except JSONError:  # it can be read by its author alone, and goes nowhere else
            block["input"] = {}

    def _say(self, chunk: LLMChunk) -> _Out:
        self._spoke = True
        return (chunk,)

    def _fail(self, failure: Failure) -> _Out:
        self._ended = True
        return (failure,)

    def _end(self) -> Done | Failure:
        self._ended = True
        stop = self._stop or {}
        reason = finish_reason(stop.get("stop_reason"), FINISH, self._target, has_calls=bool(self._calls))
        if not self._spoke and reason in {"stop", "tool_calls"}:
            return Failure("empty")
        last = LLMChunk(
            refusal=refusal_of(stop) or "",
            finish_reason=reason,
            usage=read_usage(self._usage),
            response_id=text_or_none(self._message.get("id")),
            provider_state=keep_state(list(self._blocks.values()), self._target),
            model=text_or_none(self._message.get("model")) or self._target.model,
            provider=self._target.provider,
        )
        return Done(last)


def _index(data: _Data) -> int:
    """The block that an event is about; those of a server that does not say so are all one."""
    index = data.get("index")
    return index if isinstance(index, int) else -1
