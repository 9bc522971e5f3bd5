"""Conversations in Anthropic's format, from any history, whichever provider its turns came from.

System messages go into a field of their own, consecutive turns of one role are merged, tool results follow their calls
and no call lacks one, and call ids are unique and use only characters that the API accepts. The parts of a message
become content blocks: text, images, documents, and ``cache_control`` fields for cache points.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final, TypeAlias, assert_never

from unified_llm._core.quirks import Quirks
from unified_llm._core.target import Target
from unified_llm._formats.anthropic.provider_state import restore_state
from unified_llm._formats.history import (
    NO_CONTENT,
    arguments_object,
    dedupe_call_ids,
    is_text,
    pair_tool_results,
    shorten_call_id,
    text_of_file,
    with_last_question,
)
from unified_llm._formats.request_fields import registered_type
from unified_llm.exceptions import ValidationError
from unified_llm.types.content import AudioPart, CachePoint, FilePart, ImagePart, Part, TextPart
from unified_llm.types.messages import Message

Block: TypeAlias = dict[str, Any]


def write_parts(content: str | tuple[Part, ...], path: str) -> list[Block]:
    """Write content blocks, without blank texts, which the API refuses.

    A cache point goes onto the block before it. One with no block before it is left out.

    Args:
        content: A message's content.
        path: The content's place in the request, for error messages.

    Raises:
        ValidationError: A part is audio, or a file that is neither PDF, text nor image.
    """
    blocks: list[Block] = []
    for index, part in enumerate([TextPart(content)] if isinstance(content, str) else content):
        match part:
            case CachePoint():
                if blocks:
                    blocks[-1]["cache_control"] = cache_control(part)
            case TextPart():
                if part.text.strip():
                    blocks.append({"type": "text", "text": part.text})
            case ImagePart():
                blocks.append({"type": "image", "source": _image_source(part)})
            case FilePart():
                blocks.append(_write_file(part, f"{path}[{index}]"))
            case AudioPart():
                raise ValidationError(f"{path}[{index}] is audio, which this format cannot carry.")
            case _:
                assert_never(part)
    return blocks


def cache_control(point: CachePoint) -> Block:
    """Write the ``cache_control`` field that ends the part of a prompt to cache."""
    control = {"type": "ephemeral"}
    return control if point.ttl is None else {**control, "ttl": point.ttl}


def text_or_blocks(blocks: list[Block]) -> str | list[Block]:
    """Return the text of a single plain text block, since every server accepts a string, or else the blocks."""
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        text: str = blocks[0]["text"]
        return text
    return blocks


def limit_cache_points(blocks: Iterable[Block], limit: int) -> int:
    """Keep the last ``limit`` cache points, since the API accepts no more, and return how many were removed."""
    marked = [block for block in blocks if "cache_control" in block]
    extra = marked[: max(0, len(marked) - limit)]
    for block in extra:
        del block["cache_control"]
    return len(extra)


def _image_source(image: ImagePart) -> Block:
    if image.data is None:
        return {"type": "url", "url": image.url}
    return {"type": "base64", "media_type": registered_type(image.media_type), "data": b64encode(image.data).decode()}


def _write_file(file: FilePart, path: str) -> Block:
    if file.media_type.startswith("image/"):
        return {"type": "image", "source": _file_source(file, path)}
    block: Block = {"type": "document", "source": _file_source(file, path)}
    if file.filename:
        block["title"] = file.filename
    if file.cite:
        block["citations"] = {"enabled": True}
    return block


def _file_source(file: FilePart, path: str) -> Block:
    if file.file_id:
        return {"type": "file", "file_id": file.file_id}
    if file.data is None:
        return {"type": "url", "url": file.url}
    if (text := text_of_file(file)) is not None:  # the format accepts text only as ``text/plain``
        return {"type": "text", "media_type": "text/plain", "data": text}
    if file.media_type == "application/pdf" or file.media_type.startswith("image/"):
        return {"type": "base64", "media_type": registered_type(file.media_type), "data": b64encode(file.data).decode()}
    raise ValidationError(f"{path} is a file of a kind that this format cannot carry: it takes PDF, text and images.")


# The API's own pattern, from its refusals: "String should match pattern '^[a-zA-Z0-9_-]+$'".
_CALL_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_CALL_ID_QUIRKS: Final = Quirks(tool_id_length=24)
_OPENING_TEXT: Final = "(The conversation begins with an answer.)"


@dataclass(frozen=True, slots=True)
class Conversation:
    """The conversation of a request, in Anthropic's format.

    Attributes:
        system: Instructions, as text or blocks; None without any.
        turns: The messages, each a role and its blocks.
        called_tools: The names of tools that were called in it.
        lacks_thoughts: The conversation ends with tool results whose calls come without signed thoughts to send back.
    """

    system: str | list[Block] | None
    turns: list[tuple[str, list[Block]]] = field(repr=False)
    called_tools: tuple[str, ...] = ()
    lacks_thoughts: bool = False

    def write_messages(self) -> list[dict[str, Any]]:
        """Write the ``messages`` of a request."""
        return [{"role": role, "content": text_or_blocks(blocks)} for role, blocks in self.turns]

    def limit_cache_points(self, limit: int) -> int:
        """Keep the last ``limit`` cache points, since the API accepts no more, and return how many were removed."""
        system = self.system if isinstance(self.system, list) else []
        return limit_cache_points([*system, *(block for _, blocks in self.turns for block in blocks)], limit)


def write_conversation(messages: Sequence[Message], target: Target) -> Conversation:
    """Convert a history to this format.

    Raises:
        ValidationError: A part has no form in this format, or no message has any content.
    """
    numbered = [(index, message) for index, message in enumerate(messages) if message.role == "system"]
    system = [block for index, message in numbered for block in _write_system(message, f"messages[{index}]")]
    others = with_last_question([message for message in messages if message.role != "system"])
    answered = pair_tool_results(dedupe_call_ids(others, _fit_call_id), answer_all=True)
    turns = list(_merge_turns((_role(message), _write_turn(message, target)) for message in answered))
    if not turns and system:
        turns, system = [("user", system)], []
    if not turns:
        raise ValidationError(NO_CONTENT)
    if turns[0][0] == "assistant":
        turns.insert(0, ("user", [{"type": "text", "text": _OPENING_TEXT}]))
    role, last = turns[-1]
    if role == "assistant" and last[-1]["type"] == "text":
        last[-1]["text"] = last[-1]["text"].rstrip()  # the API refuses to continue text that ends in white space
    names = {call.name: None for message in answered for call in message.tool_calls}
    return Conversation(_write_system_field(system), turns, tuple(names), _lacks_thoughts(turns))


def _write_system(message: Message, path: str) -> list[Block]:
    if not is_text(message.content):
        raise ValidationError(f"{path} holds more than text, which a system message cannot carry.")
    return write_parts(message.content, path)


def _write_system_field(blocks: list[Block]) -> str | list[Block] | None:
    if any("cache_control" in block for block in blocks):
        return blocks
    return "\n\n".join(block["text"] for block in blocks) or None


def _role(message: Message) -> str:
    return "assistant" if message.role == "assistant" else "user"


def _merge_turns(turns: Iterable[tuple[str, list[Block]]]) -> Iterator[tuple[str, list[Block]]]:
    """Merge consecutive turns of one role, and drop empty ones."""
    filled = [turn for turn in turns if turn[1]]
    for role, group in groupby(filled, key=lambda turn: turn[0]):
        yield role, [block for _, blocks in group for block in blocks]


def _write_turn(message: Message, target: Target) -> list[Block]:
    match message.role:
        case "assistant":
            return restore_state(message, target) or _write_answer(message)
        case "tool":
            return [_write_tool_result(message)]
        case _:
            return write_parts(message.content, "messages.content")


def _write_answer(message: Message) -> list[Block]:
    """Write an earlier answer: text and calls. No provider accepts images or audio that a model made."""
    content = message.content
    text = content if isinstance(content, str) else tuple(p for p in content if isinstance(p, (TextPart, CachePoint)))
    calls = [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments_object(call)}
        for call in message.tool_calls
    ]
    return [*write_parts(text, "messages.content"), *calls]


def _write_tool_result(message: Message) -> Block:
    blocks = write_parts(message.content, "messages.content")
    result: Block = {"type": "tool_result", "tool_use_id": message.tool_call_id}
    controls = [block.pop("cache_control") for block in blocks if "cache_control" in block]
    if blocks:
        result["content"] = text_or_blocks(blocks)
    if message.is_error:
        result["is_error"] = True
    if controls:
        result["cache_control"] = controls[-1]
    return result


def _fit_call_id(identifier: str) -> str:
    return identifier if _CALL_ID.fullmatch(identifier) else shorten_call_id(identifier, _CALL_ID_QUIRKS)


def _lacks_thoughts(turns: Sequence[tuple[str, list[Block]]]) -> bool:
    """Return whether the turn to continue has tool calls without thoughts.

    They were made by another provider's model, or by a request without thinking.
    """
    if len(turns) < 2 or turns[-1][0] != "user" or turns[-1][1][0]["type"] != "tool_result":
        return False
    return turns[-2][1][0]["type"] not in {"thinking", "redacted_thinking"}
