"""Conversation history for all formats: pair tool results with calls, make call identifiers unique and short.

Turns may come from any provider's model. Within one response, and within one conversation, each call has an identifier
of its own.
"""

from __future__ import annotations

import hashlib
import string
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, Final, TypeGuard, cast

from unified_llm._core.quirks import Quirks
from unified_llm._core.response_limits import MAX_CALLS, OversizedResponseError
from unified_llm._core.target import Target
from unified_llm._formats.json_values import text_or_none
from unified_llm._lib.bounded_json import JSONError, dump, parse, scrub, without_nan
from unified_llm.exceptions import ValidationError
from unified_llm.types.content import CachePoint, FilePart, Media, Part, TextPart
from unified_llm.types.messages import Message, ToolCall

NO_CONTENT: Final = "messages is empty, or no message in it has content."
"""Message of the ``ValidationError`` of a format that has no empty messages."""

_EMPTY_QUESTION: Final = "(This message is empty.)"
# Characters kept of an identifier to which a number is added: Anthropic accepts 64 characters.
_KEPT_LENGTH: Final = 56


class UniqueNames:
    """Makes names unique by numbers. ``len`` counts them.

    The last number of a name is remembered, so that many equal names take linear time: a name that is passed over
    because it is used has this number of this name, and is never passed over again.
    """

    __slots__ = ("_numbers", "_used")

    def __init__(self) -> None:
        self._used: set[str] = set()
        self._numbers: dict[str, int] = {}

    def __len__(self) -> int:
        """Return how many names were made."""
        return len(self._used)

    def make(self, name: str) -> str:
        """Return the name, with a number appended if it was returned before."""
        unique = name
        if unique in self._used:
            beginning = name[:_KEPT_LENGTH]
            number = self._numbers.get(beginning, 1)
            while unique in self._used:
                number += 1
                unique = f"{beginning}_{number}"
            self._numbers[beginning] = number
        self._used.add(unique)
        return unique


class Identifiers:
    """Call identifiers of one response: the provider's own, replaced where missing or repeated. ``len`` counts them."""

    __slots__ = ("_names",)

    def __init__(self) -> None:
        self._names = UniqueNames()

    def __len__(self) -> int:
        """Return how many identifiers were assigned."""
        return len(self._names)

    def take(self, provider_id: object, fallback: str | None = None) -> str:
        """Return the identifier of the next call.

        Args:
            provider_id: The provider's identifier.
            fallback: Used if the provider gives none; ``call_0`` and so on if it is None.

        Raises:
            OversizedResponseError: The response has more calls than are accepted.
        """
        if len(self) >= MAX_CALLS:
            raise OversizedResponseError
        return self._names.make(text_or_none(provider_id) or fallback or f"call_{len(self)}")


# OpenAI refuses longer identifiers of tool calls (code string_above_max_length, github.com/vercel/ai/issues/5171).
LONGEST_CALL_ID: Final = 40
# Media types of text files outside of text/*.
_TEXT_MEDIA_TYPES: Final = frozenset(
    {"application/json", "application/xml", "application/yaml", "application/x-ndjson"}
)
_ALPHABET: Final = string.digits + string.ascii_letters


def shorten_call_id(identifier: str, quirks: Quirks) -> str:
    """Return the identifier in the form that the target accepts; a call and its result get the same one."""
    length = quirks.tool_id_length
    if length is None:
        fits, length = len(identifier) <= LONGEST_CALL_ID, LONGEST_CALL_ID
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


def arguments_object(call: ToolCall, key: str = "invalid_json") -> Mapping[str, Any]:
    """Return the arguments of an earlier call as an object, since chat templates and most APIs accept nothing else.

    A model's text that is no JSON object is sent back under ``key``, so that the next model sees the mistake. ``NaN``
    that a model wrote, which JSON lacks, becomes null.
    """
    if call.error is not None:
        return {key: scrub(call.raw_arguments)}
    if not call.raw_arguments:  # made by the user: the writer of the body reports what has no JSON form
        return call.arguments
    try:
        dump(call.arguments)
    except JSONError:
        return cast("Mapping[str, Any]", without_nan(call.arguments))
    return call.arguments


def arguments_text(call: ToolCall, path: str) -> str:
    """Return the arguments of an earlier call as JSON text of an object: the model's own, if it is that.

    Raises:
        ValidationError: The arguments have no JSON form.
    """
    if call.error is None and _is_object_text(call.raw_arguments):
        return call.raw_arguments
    try:
        return dump(arguments_object(call))
    except JSONError as error:
        raise ValidationError(f"{path}.arguments cannot be sent: {error}.") from None


def _is_object_text(text: str) -> bool:
    try:
        return bool(text) and isinstance(parse(text), dict)
    except JSONError:
        return False


def without_empty_answers(messages: Sequence[Message], target: Target) -> list[Message]:
    """Return the conversation without turns of the assistant that have neither text nor calls, nor state of the target.

    They say nothing, and several providers refuse every later request with one (Mistral, Moonshot, Anthropic). A
    response that was cut before its first word is such a turn.
    """
    return [message for message in messages if message.role != "assistant" or _has_content(message, target)]


def _has_content(message: Message, target: Target) -> bool:
    if message.tool_calls or text_of(message.content).strip():
        return True
    state = message.provider_state
    return state is not None and state.restore(target.provider, target.format) is not None


def with_last_question(messages: Sequence[Message]) -> list[Message]:
    """Return the conversation with a text in its last turn, if that is an empty turn of the user after an answer.

    Formats that leave empty turns out would send the answer last, to be continued.
    """
    last = messages[-1] if len(messages) > 1 else None
    answered = any(message.role == "assistant" for message in messages)
    if last is None or last.role != "user" or not answered or not _is_blank(last):
        return list(messages)
    return [*messages[:-1], replace(last, content=_EMPTY_QUESTION)]


def _is_blank(message: Message) -> bool:
    return is_text(message.content) and not text_of(message.content).strip()


def is_media(part: Part) -> TypeGuard[Media]:
    """Return whether the part is an image, audio or a file."""
    return not isinstance(part, (TextPart, CachePoint))


def is_text(content: str | tuple[Part, ...]) -> bool:
    """Return whether the content is text only."""
    return isinstance(content, str) or not any(map(is_media, content))


def text_of(content: str | tuple[Part, ...]) -> str:
    """Return the content's text as one string: many servers accept a list of parts in user messages only."""
    if isinstance(content, str):
        return content
    return "\n".join(part.text for part in content if isinstance(part, TextPart))


def text_of_file(file: FilePart) -> str | None:
    """Return the text of a text file whose data is in the request; None for any other file."""
    if file.data is None or not (file.media_type.startswith("text/") or file.media_type in _TEXT_MEDIA_TYPES):
        return None
    return file.data.decode(errors="replace")


def results_as_text(results: Sequence[Message]) -> list[Message]:
    """Return the tool results of one turn as text only, followed by a user message with their media.

    The text of a failed tool begins with "Error".
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
    """Return the conversation with tool results as text only: ``results_as_text`` for each of its turns."""
    turns: list[Message] = []
    for are_results, group in groupby(messages, key=_is_result):
        group_messages = list(group)
        turns += results_as_text(group_messages) if are_results else group_messages
    return turns


def _is_result(message: Message) -> bool:
    return message.role == "tool"


def dedupe_call_ids(messages: Sequence[Message], adapt: Callable[[str], str] = str) -> list[Message]:
    """Return the conversation with a unique, non-empty identifier for each call, and results with those of their calls.

    Calls of servers that send no identifiers are ``call_0`` in every turn, so they collide. Results are not moved next
    to their calls here: ``pair_tool_results`` does that. Of two calls with one identifier in one turn, the first result
    belongs to the first call.

    Args:
        messages: The conversation.
        adapt: Converts an identifier to a form that the provider accepts.
    """
    names_of_calls = UniqueNames()
    waiting: dict[str, deque[str]] = {}  # old identifier → new identifiers of its calls that have no result yet
    turns: list[Message] = []
    for message in messages:
        if message.role == "tool":
            names = waiting.get(message.tool_call_id or "")
            turns.append(replace(message, tool_call_id=names.popleft() if names else None))
            continue
        waiting |= {call.id: deque[str]() for call in message.tool_calls}
        calls = tuple(replace(call, id=names_of_calls.make(adapt(call.id) or "call")) for call in message.tool_calls)
        for before, after in zip(message.tool_calls, calls, strict=True):
            waiting[before.id].append(after.id)
        turns.append(replace(message, tool_calls=calls) if calls else message)
    return turns


def pair_tool_results(messages: Sequence[Message], *, answer_all: bool = False) -> list[Message]:
    """Return the conversation with tool results right after the turn that made the calls, in the order of the calls.

    A result without a call, or a second result of one call, becomes a user message.

    Args:
        messages: The conversation.
        answer_all: Add an error result for each call without a result, for providers that require one.
    """
    calling_turn: dict[str, int] = {}  # call identifier → index of the last turn that made it
    results_by_turn: dict[int, dict[str, Message]] = {}
    unmatched: set[int] = set()
    for index, message in enumerate(messages):
        calling_turn |= {call.id: index for call in message.tool_calls}
        if message.role == "tool":
            turn = calling_turn.get(message.tool_call_id or "")
            results = {} if turn is None else results_by_turn.setdefault(turn, {})
            if turn is None or message.tool_call_id in results:
                unmatched.add(index)
            else:
                results[message.tool_call_id or ""] = message
    ordered: list[Message] = []
    for index, message in enumerate(messages):
        if message.role != "tool":
            ordered += [message, *_results_of(message, results_by_turn.get(index, {}), answer_all=answer_all)]
        elif index in unmatched:
            ordered.append(replace(message, role="user", name=None, tool_call_id=None, is_error=False))
    return ordered


def _results_of(turn: Message, results: Mapping[str, Message], *, answer_all: bool) -> list[Message]:
    ordered: list[Message] = []
    for identifier in dict.fromkeys(call.id for call in turn.tool_calls):
        if identifier in results:
            ordered.append(results[identifier])
        elif answer_all:
            ordered.append(Message.tool("This call was not answered.", identifier, is_error=True))
    return ordered


def merge_turns(messages: Sequence[Message]) -> list[Message]:
    """Return the conversation in an order that every chat template accepts.

    System messages at the beginning are joined, later ones become text of the user; neighbouring turns of the user, and
    of the assistant without calls, are joined by a blank line. Turns of different speakers (``name``), with cache
    points or with anything but text, turns with provider state, and tool messages are joined with none.
    """
    if any(message.tool_calls or message.role == "tool" for message in messages):
        messages = pair_tool_results(dedupe_call_ids(messages))
    merged: list[Message] = []
    for message in messages:
        if message.role == "system" and merged and merged[-1].role != "system":
            message = replace(message, role="user")  # noqa: PLW2901 - a later system message
        if merged and _can_join(merged[-1], message):
            before = merged[-1]
            reasoning = [turn.reasoning for turn in (before, message) if turn.reasoning]
            content = "\n\n".join(filter(None, (text_of(before.content), text_of(message.content))))
            merged[-1] = replace(before, content=content, reasoning="\n\n".join(reasoning) or None)
        else:
            merged.append(message)
    return merged


def _can_join(before: Message, after: Message) -> bool:
    same = (before.role, before.name) == (after.role, after.name) and before.role != "tool"
    return same and all(map(_is_plain, (before, after)))


def _is_plain(message: Message) -> bool:
    content = message.content
    only_text = isinstance(content, str) or all(isinstance(part, TextPart) for part in content)
    return only_text and not message.tool_calls and message.provider_state is None
