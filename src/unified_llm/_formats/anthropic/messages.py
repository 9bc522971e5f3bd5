"""A conversation in Anthropic's format, whoever wrote its turns.

History belongs to no provider. System messages go into a field of their own, turns of one side are joined, results of
tools follow their calls, every call has one, and identifiers are unique and of the letters that the API takes.

The parts of a message as content blocks: text, images, documents, and marks for the cache.
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
from unified_llm._formats.anthropic.provider_state import restore_state, written_arguments
from unified_llm._formats.history import dedupe_call_ids, is_text, pair_tool_results, shorten_call_id, text_of_file
from unified_llm._formats.request_fields import sanitised_name
from unified_llm.exceptions import ValidationError
from unified_llm.types.content import AudioPart, CachePoint, FilePart, ImagePart, Part, TextPart
from unified_llm.types.messages import Message

Block: TypeAlias = dict[str, Any]


def write_parts(content: str | tuple[Part, ...], path: str) -> list[Block]:
    """Content blocks; texts that say nothing are left out, since the API refuses them.

    A mark for the cache goes onto the block before it. One that stands before everything is left out.

    Args:
        content: A message's content.
        path: Where it is, for messages about what is wrong.

    Raises:
        ValidationError: A part is a sound, or a file that is neither PDF, text nor image.
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
                blocks.append(_file(part, f"{path}[{index}]"))
            case AudioPart():
                raise ValidationError(f"{path}[{index}] is a sound, which this format cannot carry.")
            case _:
                assert_never(part)
    return blocks


def cache_control(point: CachePoint) -> Block:
    """The mark that ends what may be cached."""
    mark = {"type": "ephemeral"}
    return mark if point.ttl is None else {**mark, "ttl": point.ttl}


def flat(blocks: list[Block]) -> str | list[Block]:
    """The text itself where there is nothing but one plain text: every server takes that."""
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        text: str = blocks[0]["text"]
        return text
    return blocks


def limit_marks(blocks: Iterable[Block], most: int) -> int:
    """Keep the last marks for the cache, so many as the API takes; returns how many were taken away."""
    marked = [block for block in blocks if "cache_control" in block]
    extra = marked[: max(0, len(marked) - most)]
    for block in extra:
        del block["cache_control"]
    return len(extra)


def _image_source(image: ImagePart) -> Block:
    if image.data is None:
        return {"type": "url", "url": image.url}
    media_type = "image/jpeg" if image.media_type == "image/jpg" else image.media_type  # a common slip
    return {"type": "base64", "media_type": media_type, "data": b64encode(image.data).decode()}


def _file(file: FilePart, path: str) -> Block:
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
    if (text := text_of_file(file)) is not None:  # the format takes it as ``text/plain`` alone
        return {"type": "text", "media_type": "text/plain", "data": text}
    if file.media_type == "application/pdf" or file.media_type.startswith("image/"):
        return {"type": "base64", "media_type": file.media_type, "data": b64encode(file.data).decode()}
    raise ValidationError(f"{path} is a file of a kind that this format cannot carry: it takes PDF, text and images.")


# The API's own pattern, from its refusals: "String should match pattern '^[a-zA-Z0-9_-]+$'".
_IDENTIFIER: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ANTHROPIC_IDS: Final = Quirks(tool_id_length=24)
_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_OPENING: Final = "(The conversation begins with an answer.)"


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a request says before the answer.

    Attributes:
        system: Instructions, as text or blocks; None without any.
        turns: The messages, each a side and its blocks.
        called: The names of tools that were called in it.
        unsigned: The calls that the last results answer were made without thoughts that can be sent back.
    """

    system: str | list[Block] | None
    turns: list[tuple[str, list[Block]]] = field(repr=False)
    called: tuple[str, ...] = ()
    unsigned: bool = False

    def written(self) -> list[dict[str, Any]]:
        """The ``messages`` of a request."""
        return [{"role": side, "content": flat(blocks)} for side, blocks in self.turns]

    def limit_marks(self, most: int) -> int:
        """Keep the last marks for the cache, so many as the API takes; returns how many were taken away."""
        system = self.system if isinstance(self.system, list) else []
        return limit_marks([*system, *(block for _, blocks in self.turns for block in blocks)], most)


def write_conversation(messages: Sequence[Message], target: Target) -> Conversation:
    """The conversation as this format wants it.

    Raises:
        ValidationError: A part cannot be carried, or nothing is said at all.
    """
    numbered = [(index, message) for index, message in enumerate(messages) if message.role == "system"]
    system = [block for index, message in numbered for block in _system(message, f"messages[{index}]")]
    talk = [message for message in messages if message.role != "system"]
    others = pair_tool_results(dedupe_call_ids(talk, _identifier), answer_all=True)
    turns = list(_joined((_side(message), _blocks(message, target)) for message in others))
    if not turns and system:
        turns, system = [("user", system)], []
    if not turns:
        raise ValidationError("messages is empty, or nothing is said in it.")
    if turns[0][0] == "assistant":
        turns.insert(0, ("user", [{"type": "text", "text": _OPENING}]))
    side, last = turns[-1]
    if side == "assistant" and last[-1]["type"] == "text":
        last[-1]["text"] = last[-1]["text"].rstrip()  # the API refuses to continue a text that ends in white space
    called = {call.name: None for message in others for call in message.tool_calls}
    return Conversation(_system_field(system), turns, tuple(map(_name, called)), _unsigned(turns))


def _system(message: Message, path: str) -> list[Block]:
    if not is_text(message.content):
        raise ValidationError(f"{path} holds more than text, which a system message cannot carry.")
    return write_parts(message.content, path)


def _system_field(blocks: list[Block]) -> str | list[Block] | None:
    if any("cache_control" in block for block in blocks):
        return blocks
    return "\n\n".join(block["text"] for block in blocks) or None


def _side(message: Message) -> str:
    return "assistant" if message.role == "assistant" else "user"


def _joined(turns: Iterable[tuple[str, list[Block]]]) -> Iterator[tuple[str, list[Block]]]:
    """The turns of one side together, without those that say nothing."""
    said = [turn for turn in turns if turn[1]]
    for side, group in groupby(said, key=lambda turn: turn[0]):
        yield side, [block for _, blocks in group for block in blocks]


def _blocks(message: Message, target: Target) -> list[Block]:
    match message.role:
        case "assistant":
            return restore_state(message, target) or _assistant(message)
        case "tool":
            return [_result(message)]
        case _:
            return write_parts(message.content, "messages.content")


def _assistant(message: Message) -> list[Block]:
    """An earlier answer: its text and its calls. Nobody takes the pictures or sounds that a model made back."""
    content = message.content
    said = content if isinstance(content, str) else tuple(p for p in content if isinstance(p, (TextPart, CachePoint)))
    calls = [
        {"type": "tool_use", "id": call.id, "name": _name(call.name), "input": written_arguments(call)}
        for call in message.tool_calls
    ]
    return [*write_parts(said, "messages.content"), *calls]


def _result(message: Message) -> Block:
    inner = write_parts(message.content, "messages.content")
    result: Block = {"type": "tool_result", "tool_use_id": message.tool_call_id}
    marks = [block.pop("cache_control") for block in inner if "cache_control" in block]
    if inner:
        result["content"] = flat(inner)
    if message.is_error:
        result["is_error"] = True
    if marks:
        result["cache_control"] = marks[-1]
    return result


def _name(name: str) -> str:
    return name if _NAME.fullmatch(name) else sanitised_name(name) or "tool"


def _identifier(identifier: str) -> str:
    return identifier if _IDENTIFIER.fullmatch(identifier) else shorten_call_id(identifier, _ANTHROPIC_IDS)


def _unsigned(turns: Sequence[tuple[str, list[Block]]]) -> bool:
    """Whether the tools of a turn that goes on were called by somebody else, or before there was any thinking."""
    if len(turns) < 2 or turns[-1][0] != "user" or turns[-1][1][0]["type"] != "tool_result":
        return False
    return turns[-2][1][0]["type"] not in {"thinking", "redacted_thinking"}
