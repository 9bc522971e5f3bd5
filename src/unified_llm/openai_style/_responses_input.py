"""Requests of the Responses API as chat requests, for targets that have another API."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeGuard, cast

from unified_llm._formats.custom_tools import arguments_of
from unified_llm.exceptions import ValidationError
from unified_llm.openai_style._kept_state import is_ours, read_state
from unified_llm.types.content import (
    AudioPart,
    FilePart,
    Part,
    TextPart,
    file_from_url,
    image_from_url,
    read_input_audio,
    read_openai_file,
)
from unified_llm.types.messages import Message, ResponseFormat, Tool, ToolCall
from unified_llm.types.requests import LLMRequest, OriginalRequest

# Fields of a body -> fields of our request.
_SAME: Final[Mapping[str, str]] = {
    "temperature": "temperature", "top_p": "top_p", "max_output_tokens": "max_tokens",
    "parallel_tool_calls": "parallel_tool_calls", "top_logprobs": "top_logprobs",
}  # fmt: skip
# Fields that say how OpenAI's own API is to answer, and that change no answer of another one; those that are read here.
_OWN: Final = frozenset({
    "model", "input", "instructions", "tools", "tool_choice", "text", "reasoning", "stream", "include",
    "previous_response_id", "conversation", "background", "prompt", "store", "truncation", "stream_options",
    "max_tool_calls", "context_management", "prompt_cache_options", "moderation",
})  # fmt: skip
# What only an API that stores responses can do, by the field that asks for it.
_STATEFUL: Final[Mapping[str, str]] = {
    "previous_response_id": "continue a stored response (previous_response_id)",
    "conversation": "continue a stored conversation",
    "background": "answer in the background",
    "prompt": "use a stored prompt",
}
# Items that record how an earlier answer was made; the answer itself is another item.
_RECORDS: Final = frozenset({"web_search_call", "file_search_call", "code_interpreter_call", "mcp_list_tools"})
_FUNCTIONS: Final = frozenset({"function", "custom"})


def read_request(body: Mapping[str, Any], model: str | None) -> LLMRequest:
    """Return the chat request that a body stands for, with the body for a target that has the Responses API.

    Args:
        body: The body, as plain JSON values.
        model: The model to name in the request.

    Raises:
        ValidationError: The input is no text and no list of items.
    """
    reader = _ItemReader()
    instructions, given = body.get("instructions"), body.get("input")
    if isinstance(instructions, str) and instructions:
        reader.messages.append(Message.system(instructions))
    if isinstance(given, str):
        reader.messages.append(Message.user(given))
    elif given is not None:
        reader.read(given)
    needs = [*(words for name, words in _STATEFUL.items() if body.get(name)), *reader.needs]
    tools, tool_choice = _tools(body, needs)
    text: Any = body.get("text") or {}
    reasoning: Any = body.get("reasoning") or {}
    include = body.get("include") or ()
    further = {name: value for name, value in body.items() if name not in _OWN | _SAME.keys()}
    if isinstance(text, Mapping) and text.get("verbosity"):
        further["verbosity"] = text["verbosity"]
    return LLMRequest(
        tuple(reader.messages),
        model,
        **{ours: body[name] for name, ours in _SAME.items() if body.get(name) is not None},
        stream=bool(body.get("stream")),
        tools=tools,
        tool_choice=tool_choice,
        response_format=_format(text.get("format")),
        reasoning_effort=reasoning.get("effort"),
        logprobs=True if "message.output_text.logprobs" in include or body.get("top_logprobs") else None,
        extra_body=further,
        original=OriginalRequest(
            "openai_responses",
            _without_ours(body),
            f"it cannot {', or '.join(dict.fromkeys(needs))}" if needs else None,
        ),
    )


def _without_ours(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a body without the items that hold state of other providers, which OpenAI would refuse."""
    items = body.get("input")
    if not _is_list(items) or not any(is_ours(item) for item in items):
        return body
    return {**body, "input": [item for item in items if not is_ours(item)]}


class _ItemReader:
    """Reads the items of an input as messages.

    Attributes:
        messages: The messages.
        needs: What only OpenAI's API can do with some items.
    """

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.needs: list[str] = []
        self._turn: dict[str, Any] = {}  # fields of a message of the assistant that further items may belong to

    def read(self, items: Any) -> None:
        """Read the items.

        Raises:
            ValidationError: They are no list of objects, or one lacks what its type needs.
        """
        if not _is_list(items) or not all(isinstance(item, Mapping) for item in items):
            raise ValidationError("input must be a text, or a list of items, each a dict or an item of a response.")
        for index, item in enumerate(items):
            try:
                self._read_item(item)
            except (KeyError, TypeError, AttributeError):
                raise ValidationError(
                    f"input[{index}] of the type {item.get('type', 'message')!r} lacks a field, or has one of a wrong "
                    "type."
                ) from None
        self._end_turn()

    def _read_item(self, item: Mapping[str, Any]) -> None:
        kind = item.get("type") or ("message" if "role" in item else "item_reference")
        if kind == "message" and item["role"] != "assistant":
            self._end_turn()
            self.messages.append(Message.from_dict({"role": item["role"], "content": self._content(item["content"])}))
        elif read := _OF_ASSISTANT.get(kind):
            read(self._turn, item)
        elif kind in ("function_call_output", "custom_tool_call_output"):
            self._end_turn()
            content = self._content(item["output"])
            self.messages.append(Message("tool", content, tool_call_id=_text(item["call_id"])))
        elif kind not in _RECORDS:
            self.needs.append(f"take items of the type {kind}")

    def _end_turn(self) -> None:
        turn, self._turn = self._turn, {}
        if not turn:
            return
        self.messages.append(
            Message(
                "assistant",
                "".join(turn.get("texts", ())),
                tool_calls=tuple(turn.get("calls", ())),
                reasoning="\n\n".join(turn.get("reasoning", ())) or None,
                provider_state=turn.get("state"),
            )
        )

    def _content(self, content: Any) -> str | tuple[Part, ...]:
        if isinstance(content, str):
            return content
        if not _is_list(content):
            raise TypeError
        parts = [part for given in content for part in self._part(given)]
        if all(isinstance(part, TextPart) for part in parts):
            return "".join(cast("TextPart", part).text for part in parts) if len(parts) == 1 else tuple(parts)
        return tuple(parts)

    def _part(self, part: Mapping[str, Any]) -> Iterator[Part]:
        kind = part["type"]
        if kind in ("input_text", "output_text", "text"):
            yield TextPart(_text(part["text"]))
        elif kind == "input_image" and part.get("image_url"):
            yield image_from_url(_text(part["image_url"]), part.get("detail"))
        elif kind == "input_file" and part.get("file_url"):
            yield file_from_url(_text(part["file_url"]), part.get("filename"))
        elif kind == "input_file" and part.get("file_data"):
            yield _file(part)
        elif kind == "input_audio":
            yield _audio(part)
        elif kind in ("input_image", "input_file"):
            self.needs.append("take files by the identifier of an upload")
        else:
            self.needs.append(f"take content of the type {kind}")


def _file(part: Mapping[str, Any]) -> FilePart:
    return read_openai_file({name: part[name] for name in ("file_data", "filename") if part.get(name)})


def _audio(part: Mapping[str, Any]) -> AudioPart:
    return read_input_audio(part["input_audio"])


def _read_text(turn: dict[str, Any], item: Mapping[str, Any]) -> None:
    content = item["content"]
    parts = [content] if isinstance(content, str) else [part.get("text") or part.get("refusal") for part in content]
    turn.setdefault("texts", []).extend(_text(part) for part in parts if part)


def _read_reasoning(turn: dict[str, Any], item: Mapping[str, Any]) -> None:
    parts = [*(item.get("summary") or ()), *(item.get("content") or ())]
    turn.setdefault("reasoning", []).extend(part["text"] for part in parts if part.get("text"))
    if (state := read_state(item)) is not None:
        turn["state"] = state


def _read_call(turn: dict[str, Any], item: Mapping[str, Any]) -> None:
    call = ToolCall.parse(_text(item["call_id"]), _text(item["name"]), _text(item["arguments"]))
    turn.setdefault("calls", []).append(call)


def _read_custom_call(turn: dict[str, Any], item: Mapping[str, Any]) -> None:
    call = ToolCall.parse(_text(item["call_id"]), _text(item["name"]), arguments_of(_text(item["input"])))
    turn.setdefault("calls", []).append(call)


# Items that belong to one turn of the assistant, where they follow each other.
_OF_ASSISTANT: Final[Mapping[str, Callable[[dict[str, Any], Mapping[str, Any]], None]]] = {
    "message": _read_text,
    "reasoning": _read_reasoning,
    "function_call": _read_call,
    "custom_tool_call": _read_custom_call,
}


def _tools(body: Mapping[str, Any], needs: list[str]) -> tuple[tuple[Tool, ...], str | None]:
    """Return the tools and the choice among them; add to ``needs`` what only OpenAI runs."""
    given = body.get("tools") or ()
    if not isinstance(given, (list, tuple)) or not all(isinstance(tool, Mapping) for tool in given):
        raise ValidationError("tools must be a list of dicts.")
    needs.extend(f"run the tool {tool.get('type')}" for tool in given if tool.get("type") not in _FUNCTIONS)
    tools = [Tool.from_dict({"parameters": None, **tool}) for tool in given if tool.get("type") in _FUNCTIONS]
    match body.get("tool_choice"):
        case None:
            return tuple(tools), None
        case str(choice):
            return tuple(tools), choice
        case {"type": "allowed_tools", "mode": str(mode), "tools": list(allowed)}:
            names = {tool.get("name") for tool in cast("list[Mapping[str, Any]]", allowed)}
            return tuple(tool for tool in tools if tool.name in names), mode
        case {"type": "function" | "custom", "name": str(name)}:
            return tuple(tools), name
        case choice:
            kind = cast("Mapping[str, Any]", choice).get("type") if isinstance(choice, Mapping) else None
            needs.append(f"choose the tool {kind}")
            return tuple(tools), None


def _format(text_format: Any) -> ResponseFormat | None:
    if not isinstance(text_format, Mapping) or text_format.get("type") == "text":
        return None
    return ResponseFormat.from_dict({"type": text_format.get("type"), "json_schema": text_format, "validate": False})


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _is_list(value: Any) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, (list, tuple))
