"""Write a conversation in OpenAI's format, including turns of other providers' models.

Identifiers of tool calls are rewritten to a form that the target accepts, reasoning is omitted unless the target
requires it back, and content that a role cannot carry is moved to a message of another role. For providers that require
a certain order of roles, messages are merged or inserted (quirk ``turns``).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, Final, assert_never

from unified_llm._core.quirks import Quirks
from unified_llm._core.target import Target
from unified_llm._formats.custom_tools import input_of
from unified_llm._formats.history import (
    arguments_text,
    dedupe_call_ids,
    is_text,
    pair_tool_results,
    results_as_text,
    shorten_call_id,
    text_of,
    text_of_file,
    without_empty_answers,
)
from unified_llm._formats.json_values import is_list, is_object
from unified_llm._formats.request_fields import file_data, image_url, sanitised_name
from unified_llm.exceptions import ValidationError
from unified_llm.types.content import AudioPart, CachePoint, FilePart, ImagePart, Media, Part, TextPart
from unified_llm.types.messages import Message, ToolCall

# Mistral requires an assistant message between tool results and a user message (invalid_request_message_order).
_CLOSING_TEXT: Final = "Noted."
# Texts of the user where a provider requires the user to begin or to end the conversation.
_OPENING_TEXT: Final = "(The conversation begins with an answer.)"
_CONTINUE_TEXT: Final = "Continue."


def alternate_roles(messages: Sequence[Message]) -> list[Message]:
    """Return system messages first, then user and assistant alternating; tool calls and their results become text.

    The user begins and ends; system messages alone become the user's. Perplexity rejects any other order (type
    ``invalid_message``, github.com/ppl-ai/api-discussion/issues/265), and has no tools.
    """
    call_names = {call.id: call.name for message in messages for call in message.tool_calls}
    ordered = [message for message in messages if message.role == "system"]
    for message in messages:
        if message.role == "system":
            continue
        turn = _tools_as_text(message, call_names)
        if ordered and ordered[-1].role == turn.role:
            ordered[-1] = replace(ordered[-1], content=_join(ordered[-1].content, turn.content))
        else:
            if turn.role == "assistant" and (not ordered or ordered[-1].role == "system"):
                ordered.append(Message.user(_OPENING_TEXT))
            ordered.append(turn)
    if ordered and ordered[-1].role == "assistant":
        ordered.append(Message.user(_CONTINUE_TEXT))
    if ordered and all(message.role == "system" for message in ordered):
        return [Message.user("\n\n".join(text_of(message.content) for message in ordered))]
    return ordered


def _tools_as_text(message: Message, call_names: dict[str, str]) -> Message:
    if message.role == "tool":
        name = call_names.get(message.tool_call_id or "", "tool")
        label = f"The function {name} {'failed' if message.is_error else 'returned'}:"
        return replace(message, role="user", content=_join(label, message.content), tool_call_id=None, is_error=False)
    if not message.tool_calls:
        return message
    calls = "\n".join(f"(Called {call.name}({call.raw_arguments}).)" for call in message.tool_calls)
    content = _join(message.content, calls) if message.content else calls
    return replace(message, content=content, tool_calls=())


def _join(before: str | tuple[Part, ...], after: str | tuple[Part, ...]) -> str | tuple[Part, ...]:
    if isinstance(before, str) and isinstance(after, str):
        return f"{before}\n\n{after}"
    return (*_parts(before), *_parts(after))


def _parts(content: str | tuple[Part, ...]) -> tuple[Part, ...]:
    return (TextPart(content),) if isinstance(content, str) else content


def with_closing_turns(written: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Insert an assistant message wherever a user or system message follows tool results.

    An answer at the end is marked as the beginning of the next one: Mistral refuses it otherwise ("Expected last role
    User or Tool (or Assistant with prefix True)", docs.mistral.ai/capabilities/completion/prefix).
    """
    closed: list[dict[str, Any]] = []
    for message in written:
        if closed and closed[-1]["role"] == "tool" and message["role"] in {"user", "system"}:
            closed.append({"role": "assistant", "content": _CLOSING_TEXT})
        closed.append(message)
    if closed and closed[-1]["role"] == "assistant" and not closed[-1].get("tool_calls"):
        closed[-1] = {**closed[-1], "prefix": True}
    return closed


def write_messages(
    messages: Sequence[Message], target: Target, custom_tools: frozenset[str] = frozenset()
) -> list[dict[str, Any]]:
    """Write the ``messages`` of a request.

    Args:
        messages: The conversation.
        target: The target.
        custom_tools: The names of custom tools that the request offers, see ``custom_tools``.

    Raises:
        ValidationError: A system message contains more than text, or the arguments of an earlier tool call have no
            JSON form.
    """
    quirks = target.quirks
    messages = pair_tool_results(dedupe_call_ids(without_empty_answers(messages, target)), answer_all=True)
    if quirks.turns == "alternating":
        messages = alternate_roles(messages)
    with_names = "messages.name" not in quirks.drop
    tools = {call.id: call.name for message in messages for call in message.tool_calls} if quirks.tool_names else {}
    written: list[dict[str, Any]] = []
    for are_results, group in groupby(enumerate(messages), key=_is_result):
        if are_results:
            written.extend(_write_tool_results([message for _, message in group], quirks, tools))
            continue
        for index, message in group:
            message_fields = _write_message(message, f"messages[{index}]", target, custom_tools)
            if message.name and with_names:
                message_fields["name"] = sanitised_name(message.name)
            written.append(message_fields)
    return with_closing_turns(written) if quirks.turns == "closed" else written


def _is_result(numbered: tuple[int, Message]) -> bool:
    return numbered[1].role == "tool"


def _write_message(message: Message, path: str, target: Target, custom_tools: frozenset[str]) -> dict[str, Any]:
    match message.role:
        case "assistant":
            return _write_assistant(message, path, target, custom_tools)
        case "system" if not is_text(message.content):
            raise ValidationError(f"{path} holds more than text, which a system message cannot carry.")
        case "system":
            return {"role": "system", "content": text_of(message.content)}
        case _:
            return {"role": "user", "content": _write_content(message.content)}


def _write_assistant(message: Message, path: str, target: Target, custom_tools: frozenset[str]) -> dict[str, Any]:
    """Write an earlier response: its text and its calls. No provider accepts images or audio of the model as input."""
    quirks = target.quirks
    text = text_of(message.content)
    written: dict[str, Any] = {"role": "assistant", "content": text}
    if details := _reasoning_details(message, target):
        written["reasoning_details"] = details
    if not message.tool_calls:
        return written
    written["content"] = text or None
    # Models that reason between tool calls may require their own reasoning back; others reject it.
    reasoning_field = quirks.rename.get("messages.reasoning")
    reasoning = message.reasoning or quirks.reasoning_filler
    if reasoning_field and reasoning:
        written[reasoning_field] = reasoning
    written["tool_calls"] = [
        {"id": shorten_call_id(call.id, quirks), **_write_call(call, f"{path}.tool_calls[{index}]", custom_tools)}
        for index, call in enumerate(message.tool_calls)
    ]
    return written


def _write_call(call: ToolCall, path: str, custom_tools: frozenset[str]) -> dict[str, Any]:
    if call.name in custom_tools:
        return {"type": "custom", "custom": {"name": call.name, "input": input_of(call)}}
    return {"type": "function", "function": {"name": call.name, "arguments": arguments_text(call, path)}}


def _reasoning_details(message: Message, target: Target) -> list[dict[str, Any]]:
    """Return the target's own reasoning details, if it requires them; none of other providers, or after edits."""
    if message.provider_state is None or not target.quirks.reasoning_details:
        return []
    state = message.provider_state.restore(target.provider, target.format)
    details = state.get("reasoning_details") if is_object(state) else None
    return [detail for detail in details if is_object(detail)] if is_list(details) else []


def _write_tool_results(results: Sequence[Message], quirks: Quirks, tools: Mapping[str, str]) -> list[dict[str, Any]]:
    """Write the tool results of one turn, then one user message with content that a ``tool`` message cannot carry.

    ``tools`` has the name of the tool by the identifier of the call, where the target wants names.
    """
    shortened = [
        replace(
            result,
            name=tools.get(result.tool_call_id or ""),
            tool_call_id=shorten_call_id(result.tool_call_id or "", quirks),
        )
        for result in results
    ]
    return [_write_result(result) for result in results_as_text(shortened)]


def _write_result(result: Message) -> dict[str, Any]:
    if result.role != "tool":
        return {"role": "user", "content": _write_content(result.content)}
    name = {"name": result.name} if result.name else {}
    return {"role": "tool", "tool_call_id": result.tool_call_id, **name, "content": result.content}


def _write_content(content: str | tuple[Part, ...]) -> str | list[dict[str, Any]]:
    if isinstance(content, str):
        return content
    # Cache points are omitted: these providers cache automatically.
    parts = [part for part in content if not isinstance(part, CachePoint)]
    if len(parts) < 2 and is_text(content):
        return text_of(content)
    return [_write_part(part) for part in parts]


def _write_part(part: TextPart | Media) -> dict[str, Any]:
    match part:
        case TextPart():
            return {"type": "text", "text": part.text}
        case ImagePart():
            return {"type": "image_url", "image_url": image_url(part)}
        case AudioPart():
            audio = b64encode(part.data).decode()
            return {"type": "input_audio", "input_audio": {"data": audio, "format": part.format}}
        case FilePart():
            return _write_file(part)
        case _:
            assert_never(part)


def _write_file(file: FilePart) -> dict[str, Any]:
    """Write a file; a text file as text, since only PDF is accepted as a file."""
    if file.file_id:
        return {"type": "file", "file": {"file_id": file.file_id}}
    if (text := text_of_file(file)) is not None:
        return {"type": "text", "text": f"{file.filename}:\n\n{text}" if file.filename else text}
    # OpenAI accepts no URL; OpenRouter accepts one in place of the data.
    return {"type": "file", "file": file_data(file)}
