"""A conversation in OpenAI's format, whoever wrote its turns.

History belongs to no provider: identifiers of tool calls are rewritten to what the target accepts, reasoning is left
out unless the target asks for it back, and what a role cannot carry is moved to one that can.
"""

from __future__ import annotations

import mimetypes
from base64 import b64encode
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, TypeGuard, assert_never

from unified_llm.content import AudioPart, CachePoint, FilePart, ImagePart, Media, Part, TextPart, data_url
from unified_llm.exceptions import ValidationError
from unified_llm.messages import Message
from unified_llm.providers.history import arguments_text, fitting_id
from unified_llm.providers.writing import sanitised_name
from unified_llm.target import Quirks


def write_messages(messages: Sequence[Message], quirks: Quirks) -> list[dict[str, Any]]:
    """The ``messages`` of a request.

    Raises:
        ValidationError: A system message holds something else than text, or the arguments of an earlier tool call have
            no JSON form.
    """
    with_names = "messages.name" not in quirks.get("drop", ())
    written: list[dict[str, Any]] = []
    for are_results, group in groupby(enumerate(messages), key=_is_result):
        if are_results:
            written.extend(_tool_results([message for _, message in group], quirks))
            continue
        for index, message in group:
            one = _turn(message, f"messages[{index}]", quirks)
            if message.name and with_names:
                one["name"] = sanitised_name(message.name)
            written.append(one)
    return written


def _is_result(numbered: tuple[int, Message]) -> bool:
    return numbered[1].role == "tool"


def _turn(message: Message, path: str, quirks: Quirks) -> dict[str, Any]:
    match message.role:
        case "assistant":
            return _assistant(message, path, quirks)
        case "system" if not _is_text(message.content):
            raise ValidationError(f"{path} holds more than text, which a system message cannot carry.")
        case "system":
            return {"role": "system", "content": _text(message.content)}
        case _:
            return {"role": "user", "content": _user_content(message.content)}


def _assistant(message: Message, path: str, quirks: Quirks) -> dict[str, Any]:
    """An earlier answer: its text and its calls. Nobody takes the pictures or sounds that a model made back."""
    text = _text(message.content)
    if not message.tool_calls:
        return {"role": "assistant", "content": text}
    written: dict[str, Any] = {"role": "assistant", "content": text or None}
    # Who reasons between tool calls may insist on seeing its own reasoning again; nobody else wants it.
    reasoning_field = quirks.get("rename", {}).get("messages.reasoning")
    if reasoning_field and message.reasoning is not None:
        written[reasoning_field] = message.reasoning
    written["tool_calls"] = [
        {
            "id": fitting_id(call.id, quirks),
            "type": "function",
            "function": {"name": call.name, "arguments": arguments_text(call, f"{path}.tool_calls[{index}]")},
        }
        for index, call in enumerate(message.tool_calls)
    ]
    return written


def _tool_results(results: Sequence[Message], quirks: Quirks) -> list[dict[str, Any]]:
    """The results of one turn, side by side, and then one user message with what a ``tool`` message cannot carry."""
    written: list[dict[str, Any]] = []
    attached: list[dict[str, Any]] = []
    for result in results:
        identifier = fitting_id(result.tool_call_id or "", quirks)
        text = _text(result.content)
        media = [] if isinstance(result.content, str) else [_part(p) for p in result.content if _is_media(p)]
        if media:
            text = f"{text}\n(What this tool returned besides text follows below.)".lstrip()
            attached += [{"type": "text", "text": f"Returned by the tool call {identifier}:"}, *media]
        if result.is_error and not text.lower().startswith("error"):
            text = f"Error: {text}"
        written.append({"role": "tool", "tool_call_id": identifier, "content": text})
    return [*written, {"role": "user", "content": attached}] if attached else written


def _is_media(part: Part) -> TypeGuard[Media]:
    return not isinstance(part, (TextPart, CachePoint))


def _is_text(content: str | tuple[Part, ...]) -> bool:
    return isinstance(content, str) or not any(map(_is_media, content))


def _text(content: str | tuple[Part, ...]) -> str:
    """One string: many servers take a list of parts from the user alone."""
    if isinstance(content, str):
        return content
    return "\n".join(part.text for part in content if isinstance(part, TextPart))


def _user_content(content: str | tuple[Part, ...]) -> str | list[dict[str, Any]]:
    if isinstance(content, str):
        return content
    # Marks for the cache are left out: these providers cache by themselves.
    said = [part for part in content if not isinstance(part, CachePoint)]
    if len(said) < 2 and _is_text(content):
        return _text(content)
    return [_part(part) for part in said]


def _part(part: TextPart | Media) -> dict[str, Any]:
    match part:
        case TextPart():
            return {"type": "text", "text": part.text}
        case ImagePart():
            return {"type": "image_url", "image_url": _image(part)}
        case AudioPart():
            sound = b64encode(part.data).decode()
            return {"type": "input_audio", "input_audio": {"data": sound, "format": part.format}}
        case FilePart():
            return {"type": "file", "file": _file(part)}
        case _:
            assert_never(part)


def _image(image: ImagePart) -> Mapping[str, Any]:
    url = image.url if image.data is None else data_url(image.data, image.media_type)
    return {"url": url} if image.detail is None else {"url": url, "detail": image.detail}


def _file(file: FilePart) -> Mapping[str, Any]:
    if file.file_id:
        return {"file_id": file.file_id}
    # OpenAI refuses file_data without a name; it takes no URL, but OpenRouter takes one in the same field.
    extension = mimetypes.guess_extension(file.media_type) or ""
    data = file.url if file.data is None else data_url(file.data, file.media_type)
    return {"filename": file.filename or f"document{extension}", "file_data": data}
