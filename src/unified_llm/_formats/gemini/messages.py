"""Conversations in Gemini's format: ``contents`` of the user and the model, and instructions in a field of their own.

Gemini insists on order: a model's calls follow a user's turn, and all their results come next, in one turn of their
own, with as many results as calls. Histories from other providers are brought into that order here.

Media are sent as bytes inline or by URL: Gemini fetches public https URLs itself, and accepts those of its Files API
and of YouTube videos (https://ai.google.dev/gemini-api/docs/file-input-methods).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Final, assert_never

from unified_llm._core.target import Target
from unified_llm._formats.gemini.provider_state import SKIP_VALIDATION, write_answer
from unified_llm._formats.gemini.thinking import demands_signatures
from unified_llm._formats.history import (
    NO_CONTENT,
    is_media,
    is_text,
    pair_tool_results,
    text_of,
    with_last_question,
)
from unified_llm._formats.request_fields import registered_type
from unified_llm._lib.file_types import path_of_url, type_of_name
from unified_llm.exceptions import ValidationError
from unified_llm.types.content import AudioPart, CachePoint, FilePart, ImagePart, Media, Part, TextPart
from unified_llm.types.messages import Message, ToolCall

_DEFAULT_MEDIA_TYPE: Final = FilePart().media_type
# Media that a function's result may contain beside its JSON, for models of the third generation and later.
_RESULT_MEDIA_TYPES: Final = frozenset({"image/png", "image/jpeg", "image/webp", "application/pdf", "text/plain"})


def write_parts(content: str | tuple[Part, ...], target: Target) -> list[dict[str, Any]]:
    """Write the parts of a user's message, without blank texts, which Gemini refuses.

    Cache points are left out: Gemini caches by itself.
    """
    parts = (TextPart(content),) if isinstance(content, str) else content
    return [
        {"text": part.text} if isinstance(part, TextPart) else write_media(part, target)
        for part in parts
        if not isinstance(part, CachePoint) and (not isinstance(part, TextPart) or part.text.strip())
    ]


def write_media(part: Media, target: Target) -> dict[str, Any]:
    """Write one part with media.

    Raises:
        ValidationError: The part has neither data nor a URL.
    """
    match part:
        case ImagePart(data=bytes() as data):
            return inline_data(data, registered_type(part.media_type))
        case ImagePart():
            return _file_data(part.url, _guess_media_type(part.url))
        case AudioPart():
            return inline_data(part.data, f"audio/{part.format}")
        case FilePart(data=bytes() as data):
            return inline_data(data, registered_type(part.media_type))
        case FilePart():
            media_type: str | None = part.media_type
            if media_type == _DEFAULT_MEDIA_TYPE:
                media_type = _guess_media_type(part.filename) or _guess_media_type(part.url)
            return _file_data(part.url or _uploaded_file_url(part.file_id, target), media_type)
        case _:
            assert_never(part)


def fits_result(part: dict[str, Any]) -> bool:
    """Return whether a written part may be inside a function's result."""
    return part.get("inlineData", {}).get("mimeType") in _RESULT_MEDIA_TYPES


def inline_data(data: bytes, media_type: str) -> dict[str, Any]:
    """Write media as a part with their bytes."""
    return {"inlineData": {"mimeType": media_type, "data": b64encode(data).decode()}}


def _file_data(url: str | None, media_type: str | None) -> dict[str, Any]:
    if not url:
        raise ValidationError("A content part has neither data nor a URL.")
    file = {"fileUri": url}
    return {"fileData": {**file, "mimeType": media_type} if media_type else file}


def _uploaded_file_url(identifier: str | None, target: Target) -> str | None:
    """Return the URL of an uploaded file: Gemini names it ``files/abc``, but requires the whole URL."""
    if not identifier or "://" in identifier:
        return identifier
    return f"{target.base_url}/files/{identifier.removeprefix('files/')}"


def _guess_media_type(name: str | None) -> str | None:
    """Guess the media type by the file extension; without one, Gemini detects it."""
    return type_of_name(path_of_url(name)) if name else None


_OPENING_TEXT: Final = "(Earlier messages are not part of this conversation.)"


def write_contents(messages: Sequence[Message], target: Target) -> dict[str, Any]:
    """Write ``contents``, and ``systemInstruction`` if there are instructions.

    Raises:
        ValidationError: A system message has a part other than text, a part has neither data nor a URL, or no message
            has any content.
    """
    instructions: list[dict[str, Any]] = []
    for index, message in enumerate(messages):
        if message.role == "system":
            if not is_text(message.content):
                raise ValidationError(f"messages[{index}] holds more than text, which a system message cannot carry.")
            instructions += [{"text": message.text}] if message.text.strip() else []
    contents = _write_turns([message for message in messages if message.role != "system"], target)
    if not contents and not instructions:
        raise ValidationError(NO_CONTENT)
    if not contents:  # instructions alone are refused, so they are sent as the user's turn
        return {"contents": [{"role": "user", "parts": instructions}]}
    return {"contents": contents, **({"systemInstruction": {"parts": instructions}} if instructions else {})}


def _write_turns(messages: Sequence[Message], target: Target) -> list[dict[str, Any]]:
    contents: list[dict[str, Any]] = []
    ordered = pair_tool_results(with_last_question(messages), answer_all=True)
    for index, message in enumerate(ordered):
        if message.role == "user":
            _add_parts(contents, "user", write_parts(message.content, target))
        elif message.role == "assistant":
            _add_parts(contents, "model", write_answer(message, target))
            results = {result.tool_call_id or "": result for result in _results_from(ordered, index + 1)}
            _add_results(contents, message.tool_calls, results, target)
    if contents and _has_part(contents[0], "functionCall"):
        contents.insert(0, {"role": "user", "parts": [{"text": _OPENING_TEXT}]})
    if demands_signatures(target.model):
        _skip_missing_signatures(contents)
    return contents


def _results_from(messages: Sequence[Message], start: int) -> Sequence[Message]:
    end = start
    while end < len(messages) and messages[end].role == "tool":
        end += 1
    return messages[start:end]


def _add_parts(contents: list[dict[str, Any]], role: str, parts: list[dict[str, Any]]) -> None:
    """Add parts for one role, merging consecutive turns of one role; results need a turn of their own."""
    last = contents[-1] if contents else None
    if last is not None and last["role"] == role and not _has_part(last, "functionResponse"):
        last["parts"] += parts
    elif parts:
        contents.append({"role": role, "parts": parts})


def _add_results(
    contents: list[dict[str, Any]], calls: Sequence[ToolCall], results: Mapping[str, Message], target: Target
) -> None:
    """Add the results of one turn's calls, in a turn of their own, and after it media that they cannot contain."""
    responses: list[dict[str, Any]] = []
    attached: list[dict[str, Any]] = []
    for call in calls:
        response, beside = _write_response(call, results[call.id], target)
        responses.append(response)
        attached += beside
    if responses:
        contents.append({"role": "user", "parts": responses})
    if attached:
        contents.append({"role": "user", "parts": attached})


def _write_response(call: ToolCall, result: Message, target: Target) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Write the result of one call, and the media that go beside it.

    Models that demand signatures are of the generation that accepts images and documents inside a result.
    """
    fields = {"id": call.id, "name": call.name} if call.id else {"name": call.name}
    content = () if isinstance(result.content, str) else result.content
    media = [write_media(part, target) for part in content if is_media(part)]
    inside = [part for part in media if demands_signatures(target.model) and fits_result(part)]
    beside = [part for part in media if part not in inside]
    response: dict[str, Any] = {
        **fields,
        "response": {"error" if result.is_error else "output": text_of(result.content)},
    }
    if inside:
        response["parts"] = inside
    label = [{"text": f"Returned by the function {call.name}:"}] if beside else []
    return {"functionResponse": response}, [*label, *beside]


def _skip_missing_signatures(contents: Sequence[dict[str, Any]]) -> None:
    """Mark calls of the current turn that have no signature, since another model made them or it was lost.

    Gemini checks the first call of each step since the user's last message.
    """
    for content in reversed(contents):
        if content["role"] == "user" and not _has_part(content, "functionResponse"):
            return
        calls = [part for part in content["parts"] if "functionCall" in part]
        if calls and "thoughtSignature" not in calls[0]:
            calls[0]["thoughtSignature"] = SKIP_VALIDATION


def _has_part(content: Mapping[str, Any], kind: str) -> bool:
    return any(kind in part for part in content["parts"])
