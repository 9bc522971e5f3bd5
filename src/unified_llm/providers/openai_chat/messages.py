"""A conversation in OpenAI's format, whoever wrote its turns.

History belongs to no provider: identifiers of tool calls are rewritten to what the target accepts, reasoning is left
out unless the target asks for it back, and what a role cannot carry is moved to one that can.
"""

from __future__ import annotations

import hashlib
import mimetypes
import re
import string
from base64 import b64encode
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Final, assert_never

from unified_llm.content import AudioPart, FilePart, ImagePart, Part, TextPart, data_url
from unified_llm.exceptions import ValidationError
from unified_llm.jsonx import JSONError, dump
from unified_llm.messages import Message, ToolCall
from unified_llm.target import Quirks

# OpenAI refuses longer identifiers of tool calls (code string_above_max_length, github.com/vercel/ai/issues/5171).
_LONGEST_ID: Final = 40
_ALPHABET: Final = string.digits + string.ascii_letters


def sanitised_name(name: str) -> str:
    """A name as OpenAI allows it for speakers and schemas: at most 64 letters, digits, ``_`` and ``-``."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", name)[:64]


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
            "id": _tool_id(call.id, quirks),
            "type": "function",
            "function": {"name": call.name, "arguments": _arguments(call, f"{path}.tool_calls[{index}]")},
        }
        for index, call in enumerate(message.tool_calls)
    ]
    return written


def _tool_results(results: Sequence[Message], quirks: Quirks) -> list[dict[str, Any]]:
    """The results of one turn, side by side, and then one user message with what a ``tool`` message cannot carry."""
    written: list[dict[str, Any]] = []
    attached: list[dict[str, Any]] = []
    for result in results:
        identifier = _tool_id(result.tool_call_id or "", quirks)
        text = _text(result.content)
        media = (
            [] if isinstance(result.content, str) else [_part(p) for p in result.content if not isinstance(p, TextPart)]
        )
        if media:
            text = f"{text}\n(What this tool returned besides text follows below.)".lstrip()
            attached += [{"type": "text", "text": f"Returned by the tool call {identifier}:"}, *media]
        if result.is_error and not text.lower().startswith("error"):
            text = f"Error: {text}"
        written.append({"role": "tool", "tool_call_id": identifier, "content": text})
    return [*written, {"role": "user", "content": attached}] if attached else written


def _tool_id(identifier: str, quirks: Quirks) -> str:
    """The identifier as the target accepts it, the same for a call and for its result."""
    length = quirks.get("tool_id_length")
    if length is None:
        fits, length = len(identifier) <= _LONGEST_ID, _LONGEST_ID
    else:
        fits = length == 0 or (len(identifier) == length and identifier.isascii() and identifier.isalnum())
    if fits:
        return identifier
    number = int.from_bytes(hashlib.sha256(identifier.encode(errors="replace")).digest(), "big")
    letters: list[str] = []
    while len(letters) < length:
        number, remainder = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[remainder])
    return "".join(letters)


def _arguments(call: ToolCall, path: str) -> str:
    if call.raw_arguments:
        return call.raw_arguments
    try:
        return dump(call.arguments)
    except JSONError as problem:
        raise ValidationError(f"{path}.arguments cannot be sent: {problem}.") from None


def _is_text(content: str | tuple[Part, ...]) -> bool:
    return isinstance(content, str) or all(isinstance(part, TextPart) for part in content)


def _text(content: str | tuple[Part, ...]) -> str:
    """One string: many servers take a list of parts from the user alone."""
    if isinstance(content, str):
        return content
    return "\n".join(part.text for part in content if isinstance(part, TextPart))


def _user_content(content: str | tuple[Part, ...]) -> str | list[dict[str, Any]]:
    if isinstance(content, str) or (len(content) < 2 and _is_text(content)):
        return _text(content)
    return [_part(part) for part in content]


def _part(part: Part) -> dict[str, Any]:
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
