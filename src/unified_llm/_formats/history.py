"""What the writers of all formats do to turns that another provider's model took part in.

Identifiers of tool calls: no two calls of one answer, or of one conversation, have the same.
"""

from __future__ import annotations

import hashlib
import string
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Final, TypeGuard

from unified_llm._core.quirks import Quirks
from unified_llm._formats.json_values import text_or_none
from unified_llm._lib.bounded_json import JSONError, dump
from unified_llm.exceptions import ValidationError
from unified_llm.types.content import CachePoint, FilePart, Media, Part, TextPart
from unified_llm.types.messages import Message, ToolCall

# Where a number is added to an identifier, so much of it is kept: Anthropic takes 64 letters.
_KEPT: Final = 56


def unique_id(identifier: str, used: set[str]) -> str:
    """The identifier, with a number after it if it is taken; it is taken from then on."""
    name, number = identifier, 1
    while name in used:
        number += 1
        name = f"{identifier[:_KEPT]}_{number}"
    used.add(name)
    return name


class Identifiers:
    """Those of one answer: the provider's own, unless it gives none, or one of them twice. ``len`` counts them."""

    __slots__ = ("_used",)

    def __init__(self) -> None:
        """No call has been named."""
        self._used: set[str] = set()

    def __len__(self) -> int:
        """How many calls have been named."""
        return len(self._used)

    def take(self, said: object, otherwise: str | None = None) -> str:
        """A name for the next call.

        Args:
            said: What the provider calls it.
            otherwise: The name of one that the provider does not name; ``call_0`` and so on if it is None.
        """
        return unique_id(text_or_none(said) or otherwise or f"call_{len(self)}", self._used)


# OpenAI refuses longer identifiers of tool calls (code string_above_max_length, github.com/vercel/ai/issues/5171).
_LONGEST_ID: Final = 40
# Files that are text, whatever they are called.
_TEXTS: Final = frozenset({"application/json", "application/xml", "application/yaml", "application/x-ndjson"})
_ALPHABET: Final = string.digits + string.ascii_letters


def shorten_call_id(identifier: str, quirks: Quirks) -> str:
    """The identifier as the target accepts it, the same for a call and for its result."""
    length = quirks.tool_id_length
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


def arguments_text(call: ToolCall, path: str) -> str:
    """What an earlier call was given, as text.

    Raises:
        ValidationError: It has no JSON form.
    """
    if call.raw_arguments:
        return call.raw_arguments
    try:
        return dump(call.arguments)
    except JSONError as problem:
        raise ValidationError(f"{path}.arguments cannot be sent: {problem}.") from None


def is_media(part: Part) -> TypeGuard[Media]:
    """Whether it is an image, a sound or a file."""
    return not isinstance(part, (TextPart, CachePoint))


def is_text(content: str | tuple[Part, ...]) -> bool:
    """Whether it says nothing but text."""
    return isinstance(content, str) or not any(map(is_media, content))


def text_of(content: str | tuple[Part, ...]) -> str:
    """Its text as one string: many servers take a list of parts from the user alone."""
    if isinstance(content, str):
        return content
    return "\n".join(part.text for part in content if isinstance(part, TextPart))


def text_of_file(file: FilePart) -> str | None:
    """What is written in a file of text that is at hand; None for every other."""
    if file.data is None or not (file.media_type.startswith("text/") or file.media_type in _TEXTS):
        return None
    return file.data.decode(errors="replace")


def results_as_text(results: Sequence[Message]) -> list[Message]:
    """The results of one turn as text alone, and then a turn of the user's with the media that they held.

    Where a tool failed, its text says so.
    """
    written: list[Message] = []
    attached: list[Part] = []
    for result in results:
        text = text_of(result.content)
        media = [] if isinstance(result.content, str) else [part for part in result.content if is_media(part)]
        if media:
            text = f"{text}\n(What this tool returned besides text follows below.)".lstrip()
            attached += [TextPart(f"Returned by the tool call {result.tool_call_id}:"), *media]
        if result.is_error and not text.lower().startswith("error"):
            text = f"Error: {text}"
        written.append(replace(result, content=text, is_error=False))
    return [*written, Message("user", tuple(attached))] if attached else written


def with_text_results(messages: Sequence[Message]) -> list[Message]:
    """A conversation whose results of tools are text alone: ``results_as_text`` for each of its turns."""
    turns: list[Message] = []
    for are_results, group in groupby(messages, key=_is_result):
        together = list(group)
        turns += results_as_text(together) if are_results else together
    return turns


def _is_result(message: Message) -> bool:
    return message.role == "tool"


def dedupe_call_ids(messages: Sequence[Message], fit: Callable[[str], str] = str) -> list[Message]:
    """A conversation in which no two calls have one identifier, none has an empty one, and results have those of calls.

    Servers that give none are read as if they had said ``call_0`` in every turn. It is not ``pair_tool_results`` yet: of two calls
    with one identifier in one turn the first result answers the first.

    Args:
        messages: The conversation.
        fit: Makes an identifier of what a provider takes as one.
    """
    used: set[str] = set()
    waiting: dict[str, deque[str]] = {}  # an identifier → what its calls are now, as far as they wait for results
    turns: list[Message] = []
    for message in messages:
        if message.role == "tool":
            names = waiting.get(message.tool_call_id or "")
            turns.append(replace(message, tool_call_id=names.popleft() if names else None))
            continue
        waiting |= {call.id: deque[str]() for call in message.tool_calls}
        calls = tuple(replace(call, id=unique_id(fit(call.id) or "call", used)) for call in message.tool_calls)
        for before, after in zip(message.tool_calls, calls, strict=True):
            waiting[before.id].append(after.id)
        turns.append(replace(message, tool_calls=calls) if calls else message)
    return turns


def pair_tool_results(messages: Sequence[Message], *, answer_all: bool = False) -> list[Message]:
    """The same conversation, with the results of tools right after the turn that called them, in its order.

    A result that answers no call becomes a turn of the user's.

    Args:
        messages: The conversation.
        answer_all: Give a call that was never answered a result that says so, for providers that insist on one.
    """
    called: dict[str, int] = {}  # the call → the turn that made it last
    found: dict[int, dict[str, Message]] = {}
    stray: set[int] = set()
    for index, message in enumerate(messages):
        called |= {call.id: index for call in message.tool_calls}
        if message.role == "tool":
            turn = called.get(message.tool_call_id or "")
            results = {} if turn is None else found.setdefault(turn, {})
            if turn is None or message.tool_call_id in results:
                stray.add(index)
            else:
                results[message.tool_call_id or ""] = message
    ordered: list[Message] = []
    for index, message in enumerate(messages):
        if message.role != "tool":
            ordered += [message, *_answers(message, found.get(index, {}), answer_all=answer_all)]
        elif index in stray:
            ordered.append(replace(message, role="user", name=None, tool_call_id=None, is_error=False))
    return ordered


def _answers(turn: Message, results: Mapping[str, Message], *, answer_all: bool) -> list[Message]:
    answers: list[Message] = []
    for identifier in dict.fromkeys(call.id for call in turn.tool_calls):
        if identifier in results:
            answers.append(results[identifier])
        elif answer_all:
            answers.append(Message.tool("This call was not answered.", identifier, is_error=True))
    return answers
