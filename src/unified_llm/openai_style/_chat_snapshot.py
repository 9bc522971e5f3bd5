"""The chat completion that the chunks of a stream amount to so far, and the events that each chunk causes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic_core import from_json

from unified_llm.openai_style import _chat_event_types as types
from unified_llm.openai_style._parse import Wanted, check_whole, parse_arguments, parse_completion, parse_content
from unified_llm.openai_style.types.chat.chat_completion import ChatCompletion
from unified_llm.openai_style.types.chat.chat_completion_chunk import ChatCompletionChunk
from unified_llm.openai_style.types.chat.chat_completion_message_tool_call import Function
from unified_llm.openai_style.types.chat.parsed_chat_completion import ParsedChatCompletion

# Fields of a delta that say what it is: they are the same in every chunk that has them.
_FIXED: Final = frozenset({"index", "type", "role"})


def add_delta(whole: dict[str, Any], delta: Mapping[str, Any]) -> dict[str, Any]:
    """Add what is new to what has come: texts and numbers are added up, entries of lists by their ``index``."""
    known: Any
    for name, value in delta.items():
        known = whole.get(name)
        if isinstance(value, list) and any(isinstance(entry, Mapping) and "index" in entry for entry in value):
            entries = whole[name] = known or []
            for entry in value:
                _add_entry(entries, entry)
        elif known is None or name in _FIXED:
            whole[name] = value
        elif isinstance(value, Mapping):
            add_delta(known, value)
        elif value is not None:
            whole[name] = known + value
    return whole


def _add_entry(entries: list[Any], entry: Mapping[str, Any]) -> None:
    position = next((at for at, known in enumerate(entries) if known.get("index") == entry.get("index")), None)
    if position is None:
        entries.append(add_delta({}, entry))
        entries.sort(key=lambda known: known.get("index", 0))  # wherever it came in the stream
    else:
        add_delta(entries[position], entry)


@dataclass(slots=True)
class _Choice:
    """One answer of a stream.

    Attributes:
        body: The choice, as in a completion.
        done: Kinds of events of an end that were sent.
        current_call: The index of the call whose arguments come.
    """

    body: dict[str, Any]
    done: set[Any] = field(default_factory=set[Any])
    current_call: int | None = None

    @property
    def message(self) -> dict[str, Any]:
        """The message so far."""
        message: dict[str, Any] = self.body["message"]
        return message

    def call(self, index: int) -> dict[str, Any]:
        """Return a call by its index."""
        return next(call for call in self.message["tool_calls"] if call.get("index") == index)


class Snapshot:
    """The completion so far.

    Args:
        wanted: What the content and the arguments of calls are parsed to.
    """

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._body: dict[str, Any] = {}
        self._choices: dict[int, _Choice] = {}

    @property
    def current(self) -> ParsedChatCompletion[Any]:
        """The completion so far; it is not checked, and its fields grow with the stream until they are read."""
        return ParsedChatCompletion[Any].from_json(self._body)

    def final(self) -> ParsedChatCompletion[Any]:
        """Return the whole completion, parsed, when the stream has ended."""
        return parse_completion(ChatCompletion.from_json(self._body), self._wanted)

    def add(self, chunk: ChatCompletionChunk) -> Iterator[types.ChatCompletionStreamEvent]:
        """Add a chunk, and return the events that it causes."""
        body = chunk.to_dict()
        choices: list[dict[str, Any]] = body.pop("choices", None) or []
        body.pop("obfuscation", None)
        if not self._body:
            self._body = {"system_fingerprint": None, **body, "object": "chat.completion", "choices": []}
        else:
            self._body |= {name: body.get(name) for name in ("usage", "system_fingerprint")}
            if body.get("moderation") is not None:
                self._body["moderation"] = body["moderation"]
        for choice in choices:
            self._add_choice(choice)
        yield types.ChunkEvent.from_json({"type": "chunk", "chunk": chunk, "snapshot": self.current})
        for choice in choices:
            yield from self._events(choice, self._choices[choice.get("index", 0)])

    def _add_choice(self, choice: dict[str, Any]) -> None:
        delta = choice.get("delta") or {}
        index = choice.get("index", 0)
        known = self._choices.get(index)
        if known is None:
            others = {name: value for name, value in choice.items() if name != "delta"}
            known = self._choices[index] = _Choice({**others, "message": add_delta({}, delta)})
            self._body["choices"] = [self._choices[number].body for number in sorted(self._choices)]
        else:
            add_delta(known.message, delta)
            _add_logprobs(known.body, choice.get("logprobs"))
        if reason := choice.get("finish_reason"):
            known.body["finish_reason"] = reason
            if self._wanted.parses:
                check_whole(ChatCompletion.from_json(self._body))
        self._parse_partly(known, delta)

    def _parse_partly(self, choice: _Choice, delta: Mapping[str, Any]) -> None:
        """Parse what has come of a text and of arguments, which may be cut anywhere."""
        content = choice.message.get("content")
        if self._wanted.kind is not None and content and content.strip() and not choice.message.get("refusal"):
            choice.message["parsed"] = _read_partly(content)
        for fragment in delta.get("tool_calls") or ():
            function = choice.call(fragment.get("index")).get("function") or {}
            known = self._wanted.functions.get(function.get("name", ""))
            if known is not None and known.get("strict") and function.get("arguments"):
                function["parsed_arguments"] = _read_partly(function["arguments"])

    def _events(self, new: Mapping[str, Any], choice: _Choice) -> Iterator[types.ChatCompletionStreamEvent]:
        delta, message = new.get("delta") or {}, choice.message
        if delta.get("content") is not None:
            yield types.ContentDeltaEvent.from_json({
                "type": "content.delta", "delta": delta["content"], "snapshot": message["content"],
                "parsed": message.get("parsed"),
            })  # fmt: skip
        if delta.get("refusal") is not None:
            yield types.RefusalDeltaEvent.from_json({
                "type": "refusal.delta", "delta": delta["refusal"], "snapshot": message["refusal"],
            })  # fmt: skip
        for fragment in delta.get("tool_calls") or ():
            call = choice.call(fragment.get("index"))
            if call.get("type", "function") == "function":
                yield _arguments_delta(call, fragment)
        if new.get("logprobs"):
            yield from _logprob_deltas(new["logprobs"], choice.body["logprobs"])
        yield from self._done_events(delta, choice)

    def _done_events(self, delta: Mapping[str, Any], choice: _Choice) -> Iterator[types.ChatCompletionStreamEvent]:
        if choice.body.get("finish_reason"):
            yield from self._content_done(choice)
            yield from self._call_done(choice)
        for fragment in delta.get("tool_calls") or ():
            if choice.current_call != fragment.get("index"):
                yield from self._content_done(choice)
                yield from self._call_done(choice)
            choice.current_call = fragment.get("index")

    def _content_done(self, choice: _Choice) -> Iterator[types.ChatCompletionStreamEvent]:
        message, logprobs = choice.message, choice.body.get("logprobs") or {}
        if message.get("content") and _is_first(choice, "content"):
            has_object = not message.get("refusal")
            message["parsed"] = parsed = parse_content(message["content"], self._wanted) if has_object else None
            yield types.ContentDoneEvent.from_json({
                "type": "content.done", "content": message["content"], "parsed": parsed,
            })  # fmt: skip
        if message.get("refusal") is not None and _is_first(choice, "refusal"):
            yield types.RefusalDoneEvent.from_json({"type": "refusal.done", "refusal": message["refusal"]})
        if logprobs.get("content") is not None and _is_first(choice, "logprobs.content"):
            yield types.LogprobsContentDoneEvent.from_json({
                "type": "logprobs.content.done", "content": logprobs["content"],
            })  # fmt: skip
        if logprobs.get("refusal") is not None and _is_first(choice, "logprobs.refusal"):
            yield types.LogprobsRefusalDoneEvent.from_json({
                "type": "logprobs.refusal.done", "refusal": logprobs["refusal"],
            })  # fmt: skip

    def _call_done(self, choice: _Choice) -> Iterator[types.ChatCompletionStreamEvent]:
        index = choice.current_call
        if index is None or not _is_first(choice, index):
            return
        call = choice.call(index)
        if call.get("type", "function") == "function":
            function = call["function"]
            parsed = function["parsed_arguments"] = parse_arguments(Function.from_json(function), self._wanted)
            yield types.FunctionToolCallArgumentsDoneEvent.from_json({
                "type": "tool_calls.function.arguments.done", "index": index, "name": function["name"],
                "arguments": function["arguments"], "parsed_arguments": parsed,
            })  # fmt: skip


def _read_partly(text: str) -> Any:
    """Return what has come of a value; None where it is no JSON, which is an error once the text is whole."""
    try:
        return from_json(text.encode(), allow_partial=True)
    except ValueError:
        return None


def _is_first(choice: _Choice, event: Any) -> bool:
    """Return whether this event of the end was not sent before, and note that it is now."""
    is_first = event not in choice.done
    choice.done.add(event)
    return is_first


def _add_logprobs(choice: dict[str, Any], new: Mapping[str, Any] | None) -> None:
    if new is None:
        return
    known = choice.get("logprobs")
    if known is None:
        choice["logprobs"] = {"content": new.get("content"), "refusal": new.get("refusal")}
        return
    for name in ("content", "refusal"):
        if new.get(name):
            known[name] = (known.get(name) or []) + new[name]


def _logprob_deltas(
    new: Mapping[str, Any], whole: Mapping[str, Any]
) -> Iterator[types.LogprobsContentDeltaEvent | types.LogprobsRefusalDeltaEvent]:
    if new.get("content") and whole.get("content"):
        yield types.LogprobsContentDeltaEvent.from_json({
            "type": "logprobs.content.delta", "content": new["content"], "snapshot": whole["content"],
        })  # fmt: skip
    if new.get("refusal") and whole.get("refusal"):
        yield types.LogprobsRefusalDeltaEvent.from_json({
            "type": "logprobs.refusal.delta", "refusal": new["refusal"], "snapshot": whole["refusal"],
        })  # fmt: skip


def _arguments_delta(call: Mapping[str, Any], fragment: Mapping[str, Any]) -> types.FunctionToolCallArgumentsDeltaEvent:
    function = call.get("function") or {}
    return types.FunctionToolCallArgumentsDeltaEvent.from_json({
        "type": "tool_calls.function.arguments.delta", "name": function.get("name"), "index": fragment.get("index"),
        "arguments": function.get("arguments"), "parsed_arguments": function.get("parsed_arguments"),
        "arguments_delta": (fragment.get("function") or {}).get("arguments") or "",
    })  # fmt: skip
