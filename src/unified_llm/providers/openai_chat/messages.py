"""A conversation in OpenAI's format, whoever wrote its turns.

History belongs to no provider: identifiers of tool calls are rewritten to what the target accepts, reasoning is left
out unless the target asks for it back, and what a role cannot carry is moved to one that can.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, assert_never

from unified_llm.content import AudioPart, CachePoint, FilePart, ImagePart, Media, Part, TextPart
from unified_llm.exceptions import ValidationError
from unified_llm.messages import Message
from unified_llm.providers.history import (
    arguments_text,
    distinct,
    fitting_id,
    is_text,
    paired,
    results_as_text,
    text_of,
    text_of_file,
)
from unified_llm.providers.openai_chat.turns import alternating, closed
from unified_llm.providers.shapes import is_list, is_object
from unified_llm.providers.writing import file_data, image_url, sanitised_name
from unified_llm.target import Quirks, Target


def write_messages(messages: Sequence[Message], target: Target) -> list[dict[str, Any]]:
    """The ``messages`` of a request.

    Raises:
        ValidationError: A system message holds something else than text, or the arguments of an earlier tool call have
            no JSON form.
    """
    quirks = target.quirks
    messages = paired(distinct(messages), answer_all=True)
    if quirks.get("turns") == "alternating":
        messages = alternating(messages)
    with_names = "messages.name" not in quirks.get("drop", ())
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
    return closed(written) if quirks.get("turns") == "closed" else written


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
    reasoning_field = quirks.get("rename", {}).get("messages.reasoning")
    reasoning = message.reasoning or quirks.get("reasoning_filler")
    if reasoning_field and reasoning:
        written[reasoning_field] = reasoning
    written["tool_calls"] = [
        {
            "id": fitting_id(call.id, quirks),
            "type": "function",
            "function": {"name": call.name, "arguments": arguments_text(call, f"{path}.tool_calls[{index}]")},
        }
        for index, call in enumerate(message.tool_calls)
    ]
    return written


def _reasoning_details(message: Message, target: Target) -> list[dict[str, Any]]:
    """The parts of its own reasoning that the target wants back; none where others answered, or hands were at it."""
    if message.sealed is None or not target.quirks.get("reasoning_details"):
        return []
    opened = message.sealed.opened(target.provider, target.wire)
    details = opened.get("reasoning_details") if is_object(opened) else None
    return [each for each in details if is_object(each)] if is_list(details) else []


def _tool_results(results: Sequence[Message], quirks: Quirks) -> list[dict[str, Any]]:
    """The results of one turn, side by side, and then one user message with what a ``tool`` message cannot carry."""
    fitting = [replace(each, tool_call_id=fitting_id(each.tool_call_id or "", quirks)) for each in results]
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
