"""Rules for servers that hold any model, besides their wire format (quirk ``any_model``).

Which model is loaded decides which orders of messages its chat template accepts, and whether the server splits its
reasoning and its tool calls off the text. So messages are sent in an order that every template accepts (see
``history.merge_turns``), and responses are read once more here: ``read_whole`` and ``TextDecoder`` move reasoning at
the beginning of a text to ``reasoning``, and make calls of a text that consists of calls of offered tools.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, cast

from unified_llm._core.codec import AnyRequest, Decoder
from unified_llm._core.exchange import Event
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.call_scanner import MAX_TEXT, CallScanner
from unified_llm._formats.history import merge_turns, without_empty_answers
from unified_llm._formats.request_fields import effective
from unified_llm._formats.text_reasoning import ReasoningSplitter, split_reasoning
from unified_llm._formats.text_tool_calls import offered_name, read_calls
from unified_llm._lib.sse import ServerSentEvent
from unified_llm.types.messages import Tool, ToolCall, ToolCallChunk
from unified_llm.types.requests import CountRequest, LLMRequest
from unified_llm.types.responses import LLMChunk, LLMResponse

# Characters of a held text for which an empty chunk is passed on, so that no limit for a gap passes meanwhile.
_HELD_PER_CHUNK: Final = 256


def with_accepted_order(request: AnyRequest, target: Target, *, keep_empty: bool = False) -> AnyRequest:
    """Return the request to such a server with its messages in an order that every chat template accepts.

    Args:
        request: The request.
        target: The target.
        keep_empty: Keep turns of the assistant without text and calls, since they had calls.
    """
    if isinstance(request, CountRequest):
        return replace(request, chat=cast("LLMRequest", with_accepted_order(request.chat, target)))
    if not isinstance(request, LLMRequest) or request.as_text:
        return request
    if effective(request, "merge_messages", target) is False:
        return request
    # Empty answers go first, since a turn that says nothing separates the turns around it.
    messages = request.messages if keep_empty else without_empty_answers(request.messages, target)
    return replace(request, messages=tuple(merge_turns(messages)))


@dataclass(frozen=True, slots=True)
class ReadingRules:
    """How the text of one response is read.

    Attributes:
        request: The request.
        splits_reasoning: Whether reasoning is split off, which it is not with ``reasoning_format="raw"``.
        parsed_tools: The tools whose calls may be written as text.
        names: The names of all offered tools.
    """

    request: LLMRequest
    splits_reasoning: bool
    parsed_tools: tuple[Tool, ...]
    names: frozenset[str]

    def mentions(self, tag: str) -> bool:
        """Return whether a tag stands in the messages of the request."""
        return any(tag in message.text for message in self.request.messages)


def reading_rules(request: LLMRequest, target: Target) -> ReadingRules | None:
    """Return how to read the response to a request; None if it is taken as the format has it."""
    if not target.quirks.any_model or request.as_text:
        return None
    splits_reasoning = effective(request, "reasoning_format", target) != "raw"
    tools = tuple(tool for tool in request.tools if tool.builtin is None)
    is_off = request.response_format is not None or effective(request, "text_tool_calls", target) is False
    parsed = () if is_off or request.tool_choice == "none" else tools
    names = frozenset(tool.name for tool in tools)
    return ReadingRules(request, splits_reasoning, parsed, names) if splits_reasoning or names else None


# Whole responses


def read_whole(done: Done, rules: ReadingRules | None, *, opened: str | None = None) -> Done | Failure:
    """Read a whole response once more. One whose text is all reasoning is empty if the model ended it by itself.

    Args:
        done: The outcome that the format has decoded.
        rules: How to read it; None leaves it as it is.
        opened: The opening tag with which the prompt ended, where that is known.
    """
    answer = done.value
    if rules is None or not isinstance(answer, LLMResponse):
        return done
    read = _read_answer(answer, rules, opened)
    if answer.content and read.finish_reason == "stop" and not (read.content or read.tool_calls or read.refusal):
        return Failure("empty")
    alternatives = tuple(_read_answer(other, rules, opened) for other in answer.alternatives)
    from_text = any(call.from_text for one in (read, *alternatives) for call in one.tool_calls)
    return replace(done, value=replace(read, alternatives=alternatives), text_tool_calls=from_text)


def _read_answer(answer: LLMResponse, rules: ReadingRules, opened: str | None) -> LLMResponse:
    if rules.splits_reasoning and answer.content:
        answer = _with_reasoning(answer, rules, opened)
    if answer.tool_calls:
        return replace(answer, tool_calls=tuple(_with_offered_name(call, rules) for call in answer.tool_calls))
    if not rules.parsed_tools or answer.refusal or answer.finish_reason not in {"stop", "tool_calls"}:
        return answer
    scanner = CallScanner()
    if len(answer.content) > MAX_TEXT or not scanner.feed(answer.content):
        return answer
    calls = read_calls(answer.content, scanner.finish(), rules.parsed_tools, rules.request)
    return replace(answer, content="", tool_calls=tuple(calls), finish_reason="tool_calls") if calls else answer


def _with_reasoning(answer: LLMResponse, rules: ReadingRules, opened: str | None) -> LLMResponse:
    if opened is not None:
        splitter = ReasoningSplitter(opened, is_mentioned=rules.mentions)
        parts = (splitter.feed(answer.content), splitter.finish())
        reasoning, text = "".join(part[0] for part in parts), "".join(part[1] for part in parts)
    else:
        # A server that has split reasoning off knows the model: a closing tag in the text is then part of it.
        alone = not answer.reasoning
        reasoning, text = split_reasoning(answer.content, is_mentioned=rules.mentions, closing_alone=alone)
    return replace(answer, content=text, reasoning=(answer.reasoning or "") + reasoning or None)


def _with_offered_name(call: ToolCall, rules: ReadingRules) -> ToolCall:
    name = offered_name(call.name, rules.names)
    return call if name == call.name else replace(call, name=name)


# Streams


class TextReader:
    """Reads the chunks of one stream once more.

    Args:
        rules: How to read them.
        opened: The opening tag with which the prompt ended, where that is known.

    Attributes:
        decided: All further text is text; only names of calls may still change.
    """

    __slots__ = ("_had_text", "_held", "_held_size", "_passed_on", "_rules", "_scanner", "_splitter", "decided")

    def __init__(self, rules: ReadingRules, opened: str | None = None) -> None:
        self._rules = rules
        self._splitter = ReasoningSplitter(opened, is_mentioned=rules.mentions) if rules.splits_reasoning else None
        self._scanner = CallScanner() if rules.parsed_tools else None
        self._held: list[str] = []  # text that may be calls
        self._held_size = self._passed_on = 0
        self._had_text = False  # before it was split
        self.decided = self._splitter is None and self._scanner is None

    @property
    def kept(self) -> int:
        """Return the characters of text that are held back."""
        return self._held_size

    def read(self, chunk: LLMChunk) -> LLMChunk | None:
        """Return the chunk to pass on in place of this one; None if there is none yet."""
        if chunk.tool_calls and self._rules.names:
            chunk = replace(chunk, tool_calls=tuple(self._rename(call) for call in chunk.tool_calls))
        if self.decided or not (chunk.content or chunk.tool_calls):
            return chunk
        reasoning, text = "", chunk.content
        self._had_text = self._had_text or bool(text)
        if self._splitter is not None:
            reasoning, text = self._splitter.feed(text)
            if chunk.tool_calls:
                held = self._splitter.finish()
                reasoning, text = reasoning + held[0], text + held[1]
            if self._splitter.decided:
                self._splitter = None
        if self._scanner is not None and text:
            text = self._hold(text, self._scanner)
        if chunk.tool_calls:  # real calls, so the text beside them is none
            text = "".join((text, *self._release()))
        self.decided = self._splitter is None and self._scanner is None
        return self._passed(replace(chunk, content=text, reasoning=chunk.reasoning + reasoning))

    def end(self, done: Done) -> tuple[LLMChunk | None, Done | Failure]:
        """Return a chunk of what was held back, and the end of the stream: a failure if all of the text was reasoning.

        While it is not decided, no text was passed on.
        """
        last = done.value
        if self.decided or not isinstance(last, LLMChunk):
            return None, done
        reasoning, text = self._splitter.finish() if self._splitter is not None else ("", "")
        held = "".join((*self._held, text))
        calls: list[ToolCall] = []
        if self._scanner is not None and last.finish_reason in {"stop", "tool_calls"}:
            self._scanner.feed(text)
            calls = read_calls(held, self._scanner.finish(), self._rules.parsed_tools, self._rules.request)
        self.decided = True
        if calls:
            chunks = tuple(
                ToolCallChunk(index, call.id, call.name, call.raw_arguments, from_text=True)
                for index, call in enumerate(calls)
            )
            chunk = LLMChunk(reasoning=reasoning, tool_calls=chunks)
            return chunk, replace(done, value=replace(last, finish_reason="tool_calls"), text_tool_calls=True)
        is_empty = self._had_text and not held and last.finish_reason == "stop"
        return LLMChunk(held, reasoning) if held or reasoning else None, Failure("empty") if is_empty else done

    def join_end(self, done: Done) -> Done | Failure:
        """Return the end of the stream, with what was held back in its last chunk."""
        chunk, end = self.end(done)
        if chunk is None or isinstance(end, Failure):
            return end
        added = {"content": chunk.content, "reasoning": chunk.reasoning, "tool_calls": chunk.tool_calls}
        return replace(end, value=replace(end.value, **added))

    def _hold(self, text: str, scanner: CallScanner) -> str:
        """Hold the text while it may be calls; return all of it once it cannot be any."""
        self._held.append(text)
        self._held_size += len(text)
        return "" if scanner.feed(text) else "".join(self._release())

    def _release(self) -> Sequence[str]:
        held, self._held, self._held_size, self._scanner = self._held, [], 0, None
        return held

    def _passed(self, chunk: LLMChunk) -> LLMChunk | None:
        if chunk != _EMPTY:
            return chunk
        if self._held_size - self._passed_on < _HELD_PER_CHUNK:
            return None
        self._passed_on = self._held_size
        return chunk

    def _rename(self, call: ToolCallChunk) -> ToolCallChunk:
        name = call.name and offered_name(call.name, self._rules.names)
        return call if name == call.name else replace(call, name=name)


_EMPTY: Final = LLMChunk()


class TextDecoder:
    """Decoder of a stream whose text is read once more. After the text is decided, it costs nothing per chunk."""

    def __init__(self, inner: Decoder, rules: ReadingRules) -> None:
        self._inner, self._reader = inner, TextReader(rules)
        self._has_names = bool(rules.names)

    @property
    def kept(self) -> int:
        """Bytes that are kept until the end of the stream, and text that is held back."""
        return self._inner.kept + self._reader.kept

    def feed(self, event: ServerSentEvent) -> Sequence[LLMChunk | Done | Failure]:
        """Decode one event."""
        events: list[Event] = []
        for decoded in self._inner.feed(event):
            if isinstance(decoded, Done):
                chunk, done = self._reader.end(decoded)
                events += [done] if chunk is None else [chunk, done]
            elif isinstance(decoded, Failure):
                events.append(decoded)
            elif (read := self._reader.read(decoded)) is not None:
                events.append(read)
        if self._reader.decided and not self._has_names:
            self.feed = self._inner.feed  # type: ignore[method-assign] # nothing is left to do
        return events

    def finish(self) -> Done | Failure:
        """Judge a stream that ended without a terminal event."""
        end = self._inner.finish()
        return self._reader.join_end(end) if isinstance(end, Done) else end
