"""A conversation in OpenAI's format, whoever wrote its turns.

History belongs to no provider: identifiers of tool calls are rewritten to what the target accepts, reasoning is left
out unless the target asks for it back, and what a role cannot carry is moved to one that can.

The order of turns, for providers that insist on one.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, Final, assert_never

from unified_llm._core.quirks import Quirks
from unified_llm._core.target import Target
from unified_llm._formats.history import (
    arguments_text,
    dedupe_call_ids,
    is_text,
    pair_tool_results,
    results_as_text,
    shorten_call_id,
    text_of,
    text_of_file,
)
from unified_llm._formats.json_values import is_list, is_object
from unified_llm._formats.request_fields import file_data, image_url, sanitised_name
from unified_llm.exceptions import ValidationError
from unified_llm.types.content import AudioPart, CachePoint, FilePart, ImagePart, Media, Part, TextPart
from unified_llm.types.messages import Message

# Mistral wants a word of the model's between the results of tools and the user (invalid_request_message_order).
_CLOSING: Final = "Noted."


def alternating(messages: Sequence[Message]) -> list[Message]:
    """System messages first, then the user and the model by turns; calls of tools and their results become text.

    Perplexity refuses everything else (type ``invalid_message``), and has no tools.
    """
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    ordered = [message for message in messages if message.role == "system"]
    for message in messages:
        if message.role == "system":
            continue
        turn = _without_tools(message, names)
        if ordered and ordered[-1].role == turn.role:
            ordered[-1] = replace(ordered[-1], content=_joined(ordered[-1].content, turn.content))
        else:
            ordered.append(turn)
    return ordered


def _without_tools(message: Message, names: dict[str, str]) -> Message:
    if message.role == "tool":
        name = names.get(message.tool_call_id or "", "tool")
        said = f"The function {name} {'failed' if message.is_error else 'returned'}:"
        return replace(message, role="user", content=_joined(said, message.content), tool_call_id=None, is_error=False)
    if not message.tool_calls:
        return message
    calls = "\n".join(f"(Called {call.name}({call.raw_arguments}).)" for call in message.tool_calls)
    content = _joined(message.content, calls) if message.content else calls
    return replace(message, content=content, tool_calls=())


def _joined(before: str | tuple[Part, ...], after: str | tuple[Part, ...]) -> str | tuple[Part, ...]:
    if isinstance(before, str) and isinstance(after, str):
        return f"{before}\n\n{after}"
    return (*_parts(before), *_parts(after))


def _parts(content: str | tuple[Part, ...]) -> tuple[Part, ...]:
    return (TextPart(content),) if isinstance(content, str) else content


def closed(written: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same messages, with a word of the model's wherever the user would follow upon the results of tools."""
    whole: list[dict[str, Any]] = []
    for message in written:
        if whole and whole[-1]["role"] == "tool" and message["role"] in {"user", "system"}:
            whole.append({"role": "assistant", "content": _CLOSING})
        whole.append(message)
    return whole


def write_messages(messages: Sequence[Message], target: Target) -> list[dict[str, Any]]:
    """The ``messages`` of a request.

    Raises:
        ValidationError: A system message holds something else than text, or the arguments of an earlier tool call have
            no JSON form.
    """
    quirks = target.quirks
    messages = pair_tool_results(dedupe_call_ids(messages), answer_all=True)
    if quirks.turns == "alternating":
        messages = alternating(messages)
    with_names = "messages.name" not in quirks.drop
    written: list[dict[str, Any]] = []
    for are_results, group in groupby(enumerate(messages), key=_is_result):
        if are_results:
            written.extend(_tool_results([message for _, message in group], quirks))
            continue
        for index, message in group:
            one = _turn(message, f"messages[{index}]", target)
            if message.name and with_names:
                one["name"] = sanitised_name(message.name)
            written.append(one)
    return closed(written) if quirks.turns == "closed" else written


def _is_result(numbered: tuple[int, Message]) -> bool:
    return numbered[1].role == "tool"


def _turn(message: Message, path: str, target: Target) -> dict[str, Any]:
    match message.role:
        case "assistant":
            return _assistant(message, path, target)
        case "system" if not is_text(message.content):
            raise ValidationError(f"{path} holds more than text, which a system message cannot carry.")
        case "system":
            return {"role": "system", "content": text_of(message.content)}
        case _:
            return {"role": "user", "content": _user_content(message.content)}


def _assistant(message: Message, path: str, target: Target) -> dict[str, Any]:
    """An earlier answer: its text and its calls. Nobody takes the pictures or sounds that a model made back."""
    quirks = target.quirks
    text = text_of(message.content)
    written: dict[str, Any] = {"role": "assistant", "content": text}
    if details := _reasoning_details(message, target):
        written["reasoning_details"] = details
    if not message.tool_calls:
        return written
    written["content"] = text or None
    # Who reasons between tool calls may insist on seeing its own reasoning again; nobody else wants it.
    reasoning_field = quirks.rename.get("messages.reasoning")
    reasoning = message.reasoning or quirks.reasoning_filler
    if reasoning_field and reasoning:
        written[reasoning_field] = reasoning
    written["tool_calls"] = [
        {
            "id": shorten_call_id(call.id, quirks),
            "type": "function",
            "function": {"name": call.name, "arguments": arguments_text(call, f"{path}.tool_calls[{index}]")},
        }
        for index, call in enumerate(message.tool_calls)
    ]
    return written


def _reasoning_details(message: Message, target: Target) -> list[dict[str, Any]]:
    """The parts of its own reasoning that the target wants back; none where others answered, or hands were at it."""
    if message.provider_state is None or not target.quirks.reasoning_details:
        return []
    opened = message.provider_state.restore(target.provider, target.format)
    details = opened.get("reasoning_details") if is_object(opened) else None
    return [each for each in details if is_object(each)] if is_list(details) else []


def _tool_results(results: Sequence[Message], quirks: Quirks) -> list[dict[str, Any]]:
    """The results of one turn, side by side, and then one user message with what a ``tool`` message cannot carry."""
    fitting = [replace(each, tool_call_id=shorten_call_id(each.tool_call_id or "", quirks)) for each in results]
    return [
        {"role": "tool", "tool_call_id": each.tool_call_id, "content": each.content}
        if each.role == "tool"
        else {"role": "user", "content": _user_content(each.content)}
        for each in results_as_text(fitting)
    ]


def _user_content(content: str | tuple[Part, ...]) -> str | list[dict[str, Any]]:
    if isinstance(content, str):
        return content
    # Marks for the cache are left out: these providers cache by themselves.
    said = [part for part in content if not isinstance(part, CachePoint)]
    if len(said) < 2 and is_text(content):
        return text_of(content)
    return [_part(part) for part in said]


def _part(part: TextPart | Media) -> dict[str, Any]:
    match part:
        case TextPart():
            return {"type": "text", "text": part.text}
        case ImagePart():
            return {"type": "image_url", "image_url": image_url(part)}
        case AudioPart():
            sound = b64encode(part.data).decode()
            return {"type": "input_audio", "input_audio": {"data": sound, "format": part.format}}
        case FilePart():
            return _file(part)
        case _:
            assert_never(part)


def _file(file: FilePart) -> dict[str, Any]:
    """A file; one of text as text, since no more than PDF is taken as a file."""
    if file.file_id:
        return {"type": "file", "file": {"file_id": file.file_id}}
    if (text := text_of_file(file)) is not None:
        return {"type": "text", "text": f"{file.filename}:\n\n{text}" if file.filename else text}
    # OpenAI takes no URL, but OpenRouter takes one in place of the data.
    return {"type": "file", "file": file_data(file)}
