"""A conversation as Gemini wants it: ``contents`` of the user and of the model, and the instructions apart from them.

Gemini insists on order: a model's calls follow a user's turn, all their results come next, in one turn of their own,
and as many as there were calls. Histories from elsewhere are brought into that order here.

What is no text, in Gemini's parts: bytes inline, everything else by its address.

Gemini fetches public https addresses itself, and knows those of its Files API and of videos on YouTube
(https://ai.google.dev/gemini-api/docs/file-input-methods).
"""

from __future__ import annotations

import mimetypes
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Final, assert_never
from urllib.parse import urlsplit

from unified_llm._core.target import Target
from unified_llm._formats.gemini.provider_state import SKIP_VALIDATION, write_answer
from unified_llm._formats.gemini.thinking import demands_signatures
from unified_llm._formats.history import is_media, is_text, pair_tool_results, text_of
from unified_llm.exceptions import ValidationError
from unified_llm.types.content import AudioPart, CachePoint, FilePart, ImagePart, Media, Part, TextPart
from unified_llm.types.messages import Message, ToolCall

_UNSAID: Final = FilePart().media_type
# What a function's result may hold beside its JSON, in models of the third generation and later.
_IN_RESULTS: Final = frozenset({"image/png", "image/jpeg", "image/webp", "application/pdf", "text/plain"})


def write_parts(content: str | tuple[Part, ...], target: Target) -> list[dict[str, Any]]:
    """The parts of what a user said. Marks for the cache are left out: Gemini caches by itself."""
    if isinstance(content, str):
        return [{"text": content}]
    parts = [part for part in content if not isinstance(part, CachePoint)]
    written = [
        {"text": part.text} if isinstance(part, TextPart) else write_media(part, target)
        for part in parts
        if not isinstance(part, TextPart) or part.text
    ]
    return written or [{"text": ""}]


def write_media(part: Media, target: Target) -> dict[str, Any]:
    """One part that is no text.

    Raises:
        ValidationError: It holds neither bytes nor an address.
    """
    match part:
        case ImagePart(data=bytes() as data):
            return _inline(data, part.media_type)
        case ImagePart():
            return _linked(part.url, _guess(part.url))
        case AudioPart():
            return _inline(part.data, f"audio/{part.format}")
        case FilePart(data=bytes() as data):
            return _inline(data, part.media_type)
        case FilePart():
            said = part.media_type if part.media_type != _UNSAID else _guess(part.filename) or _guess(part.url)
            return _linked(part.url or _uploaded(part.file_id, target), said)
        case _:
            assert_never(part)


def fits_result(part: dict[str, Any]) -> bool:
    """Whether a written part may stand inside a function's result."""
    return part.get("inlineData", {}).get("mimeType") in _IN_RESULTS


def _inline(data: bytes, media_type: str) -> dict[str, Any]:
    return {"inlineData": {"mimeType": media_type, "data": b64encode(data).decode()}}


def _linked(address: str | None, media_type: str | None) -> dict[str, Any]:
    if not address:
        raise ValidationError("A content part holds neither data nor a URL.")
    file = {"fileUri": address}
    return {"fileData": {**file, "mimeType": media_type} if media_type else file}


def _uploaded(identifier: str | None, target: Target) -> str | None:
    """The address of a file that was uploaded: Gemini names it ``files/abc``, and wants the whole address."""
    if not identifier or "://" in identifier:
        return identifier
    return f"{target.base_url}/files/{identifier.removeprefix('files/')}"


def _guess(name: str | None) -> str | None:
    """By the ending. Gemini sees for itself what a file is, where that says nothing."""
    return mimetypes.guess_type(urlsplit(name).path)[0] if name else None


_NO_BEGINNING: Final = "(What was said before is not part of this conversation.)"


def write_contents(messages: Sequence[Message], target: Target) -> dict[str, Any]:
    """``contents``, and ``systemInstruction`` where there are instructions.

    Raises:
        ValidationError: A system message holds something else than text, or a part holds neither data nor a URL.
    """
    instructions: list[dict[str, Any]] = []
    for index, message in enumerate(messages):
        if message.role == "system":
            if not is_text(message.content):
                raise ValidationError(f"messages[{index}] holds more than text, which a system message cannot carry.")
            instructions += [{"text": message.text}] if message.text else []
    contents = _turns([message for message in messages if message.role != "system"], target)
    if not contents:  # instructions alone are refused, so they are what the user says
        return {"contents": [{"role": "user", "parts": instructions or [{"text": ""}]}]}
    return {"contents": contents, **({"systemInstruction": {"parts": instructions}} if instructions else {})}


def _turns(messages: Sequence[Message], target: Target) -> list[dict[str, Any]]:
    contents: list[dict[str, Any]] = []
    ordered = pair_tool_results(messages, answer_all=True)
    for index, message in enumerate(ordered):
        if message.role == "user":
            _add(contents, "user", write_parts(message.content, target))
        elif message.role == "assistant":
            _add(contents, "model", write_answer(message, target))
            results = {each.tool_call_id or "": each for each in _results(ordered, index + 1)}
            _add_results(contents, message.tool_calls, results, target)
    if contents and _has(contents[0], "functionCall"):
        contents.insert(0, {"role": "user", "parts": [{"text": _NO_BEGINNING}]})
    if demands_signatures(target.model):
        _excuse_foreign_calls(contents)
    return contents


def _results(messages: Sequence[Message], start: int) -> Sequence[Message]:
    end = start
    while end < len(messages) and messages[end].role == "tool":
        end += 1
    return messages[start:end]


def _add(contents: list[dict[str, Any]], role: str, parts: list[dict[str, Any]]) -> None:
    """Parts for one role; turns of one role that follow each other are one, but results keep to themselves."""
    last = contents[-1] if contents else None
    if last is not None and last["role"] == role and not _has(last, "functionResponse"):
        last["parts"] += parts
    elif parts:
        contents.append({"role": role, "parts": parts})


def _add_results(
    contents: list[dict[str, Any]], calls: Sequence[ToolCall], results: Mapping[str, Message], target: Target
) -> None:
    """The results of one turn's calls, in a turn of their own, and after it what they cannot hold."""
    responses: list[dict[str, Any]] = []
    attached: list[dict[str, Any]] = []
    for call in calls:
        response, beside = _response(call, results[call.id], target)
        responses.append(response)
        attached += beside
    if responses:
        contents.append({"role": "user", "parts": responses})
    if attached:
        contents.append({"role": "user", "parts": attached})


def _response(call: ToolCall, result: Message, target: Target) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The result of one call, and the media that stand beside it.

    Models that demand signatures are of the generation that takes pictures and documents inside a result.
    """
    named = {"id": call.id, "name": call.name} if call.id else {"name": call.name}
    content = () if isinstance(result.content, str) else result.content
    media = [write_media(part, target) for part in content if is_media(part)]
    inside = [part for part in media if demands_signatures(target.model) and fits_result(part)]
    beside = [part for part in media if part not in inside]
    response: dict[str, Any] = {
        **named,
        "response": {"error" if result.is_error else "output": text_of(result.content)},
    }
    if inside:
        response["parts"] = inside
    label = [{"text": f"Returned by the function {call.name}:"}] if beside else []
    return {"functionResponse": response}, [*label, *beside]


def _excuse_foreign_calls(contents: Sequence[dict[str, Any]]) -> None:
    """Say of calls of the current turn that their signature is not known: Gemini made none, or it was lost.

    Gemini looks at the first call of each step since the user last spoke.
    """
    for content in reversed(contents):
        if content["role"] == "user" and not _has(content, "functionResponse"):
            return
        calls = [part for part in content["parts"] if "functionCall" in part]
        if calls and "thoughtSignature" not in calls[0]:
            calls[0]["thoughtSignature"] = SKIP_VALIDATION


def _has(content: Mapping[str, Any], kind: str) -> bool:
    return any(kind in part for part in content["parts"])
