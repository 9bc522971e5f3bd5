"""Reads the body of a chat completion: for the target that takes it as it is, and in our form for any other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from unified_llm._client import read_request
from unified_llm._client.read_tools import check_tool_choice, read_tool_choice
from unified_llm.exceptions import ValidationError
from unified_llm.openai_style._chat_fields import ChatFields
from unified_llm.openai_style._plain import plain
from unified_llm.types.messages import Message, ResponseFormat, Tool
from unified_llm.types.requests import LLMRequest, OriginalRequest

CHAT_FIELDS: Final = frozenset({"messages", "model", "stream", *ChatFields.__annotations__})
"""The arguments of ``chat.completions.create`` in OpenAI's SDK, besides ``extra_headers`` and the like."""

# Fields with the same name and meaning in our requests.
_SAME: Final = (
    "temperature", "top_p", "seed", "frequency_penalty", "presence_penalty", "logprobs", "top_logprobs", "n",
    "parallel_tool_calls", "reasoning_effort",
)  # fmt: skip
_READ: Final = frozenset({
    *_SAME, "messages", "model", "max_tokens", "max_completion_tokens", "stop", "tools", "tool_choice", "functions",
    "function_call", "response_format", "stream", "stream_options",
})  # fmt: skip
_ONE_STREAM: Final = "it cannot stream several answers at once"
_NO_AUDIO: Final = "it cannot answer in audio"


def read_chat(
    given: Mapping[str, Any], model: str | None, check: Callable[[str], str | None] | None = None
) -> LLMRequest:
    """Return the request of a body.

    Args:
        given: The body as the program wrote it.
        model: The model to name, or None.
        check: Says what is wrong with an answer in JSON, where a class describes it. A target that gets the request in
            our form is asked to correct such an answer, and another target after it.

    Raises:
        ValidationError: There are no messages, or a value cannot be right.
    """
    body: dict[str, Any] = plain(given)
    if isinstance(body.get("response_format"), type):
        raise ValidationError("create() takes no class as response_format: call chat.completions.parse() for that.")
    stream = bool(body.get("stream"))
    messages, reason = _read_messages(body.get("messages"))
    if stream and (body.get("n") or 1) != 1:
        reason = _ONE_STREAM
    if "audio" in (body.get("modalities") or ()):
        reason = _NO_AUDIO
    tools, choice = _read_tools(body)
    limit = body.get("max_completion_tokens")
    same: dict[str, Any] = {name: body.get(name) for name in _SAME if not (stream and name == "n")}
    request = LLMRequest(
        messages,
        model,
        max_tokens=body.get("max_tokens") if limit is None else limit,
        stream=stream,
        stop=read_request.read_stop(body.get("stop")),
        tools=tools,
        tool_choice=choice,
        response_format=_read_format(body.get("response_format"), check),
        extra_body={name: value for name, value in body.items() if name not in _READ and value is not None},
        original=OriginalRequest("openai_chat", body, reason),
        **same,
    )
    check_tool_choice(request.tool_choice, request.tools)
    read_request.check(request)
    return read_request.with_whole_characters(request)


def _read_messages(messages: Any) -> tuple[tuple[Message, ...], str | None]:
    """Return the messages, and why they have no other form than the one that the program wrote, or None.

    Raises:
        ValidationError: There are none, or one is no dictionary.
    """
    if not isinstance(messages, list) or not messages:
        raise ValidationError('messages is missing or empty: messages=[{"role": "user", "content": "..."}].')
    read: list[Message] = []
    reason: str | None = None
    for message in _with_tool_calls(messages):
        if not isinstance(message, Mapping):
            raise ValidationError('A message is a dict with "role" and "content", or the message of a response.')
        try:
            read.append(Message.from_dict(_with_refusal(message)))
        except ValidationError as error:
            reason = f"it cannot read one of the messages ({error})"
            read.append(Message("user", ""))
    return tuple(read), reason


def _with_refusal(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a message in which a refusal, which is an answer too, is its text."""
    content = message.get("content")
    if isinstance(content, list) and any(_is_refusal(part) for part in content):
        parts = [{"type": "text", "text": part["refusal"]} if _is_refusal(part) else part for part in content]
        return {**message, "content": parts}
    return {**message, "content": message["refusal"]} if not content and message.get("refusal") else message


def _is_refusal(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") == "refusal" and isinstance(part.get("refusal"), str)


def _with_tool_calls(messages: Sequence[Any]) -> Iterator[Any]:
    """Yield the messages with calls and results in the form of ``tools``, where they are in that of ``functions``."""
    identifier = ""
    for number, message in enumerate(messages):
        match message:
            case {"role": "assistant", "function_call": {"name": str(name), **function}}:
                identifier = f"call_{number}"
                called = {"name": name, "arguments": function.get("arguments") or ""}
                yield {**message, "tool_calls": [{"id": identifier, "type": "function", "function": called}]}
            case {"role": "function", **fields}:
                yield {**fields, "role": "tool", "tool_call_id": identifier}
            case _:
                yield message


def _read_tools(body: Mapping[str, Any]) -> tuple[tuple[Tool, ...], str | None]:
    """Return the tools, those of ``functions`` included, and which of them is to be called."""
    tools, choice = body.get("tools"), body.get("tool_choice")
    if tools is None and body.get("functions") is not None:
        tools = [{"type": "function", "function": function} for function in body["functions"]]
        choice = body.get("function_call")
    if not isinstance(tools, (list, type(None))):
        raise ValidationError("tools is a list: tools=[...], also for a single tool.")
    read = tuple(map(_read_tool, tools or ()))
    match choice:
        case {"type": "allowed_tools", "allowed_tools": {"tools": list(allowed), **fields}}:
            names = [_read_tool(tool).name for tool in allowed]
            return tuple(tool for tool in read if tool.name in names), str(fields.get("mode") or "auto")
        case {"type": "custom", "custom": {"name": str(name)}}:
            return read, name
        case _:
            return read, read_tool_choice(choice)


def _read_tool(tool: Any) -> Tool:
    if not isinstance(tool, Mapping):
        raise ValidationError('A tool is a dict: {"type": "function", "function": {"name": ..., "parameters": {...}}}.')
    return Tool.from_dict(tool)


def _read_format(shape: Any, check: Callable[[str], str | None] | None) -> ResponseFormat | None:
    """Return the format of the answer.

    Raises:
        ValidationError: It is none of OpenAI's formats.
    """
    read = ResponseFormat.from_dict(shape) if isinstance(shape, Mapping) else None
    if shape is not None and not isinstance(shape, Mapping):
        raise ValidationError('response_format is a dict: {"type": "json_schema", "json_schema": {...}}.')
    return read if read is None or check is None else replace(read, validate=check)
