"""From what people pass to ``generate`` and ``embed`` to a request: strings, lists, dicts, keyword arguments."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from difflib import get_close_matches
from typing import Any, Final, TypeAlias

from unified_llm.exceptions import ValidationError
from unified_llm.messages import Message, ResponseFormat, Tool
from unified_llm.types import EmbeddingRequest, LLMRequest

Prompt: TypeAlias = str | Sequence[Message | Mapping[str, Any] | tuple[str, str]] | LLMRequest | Mapping[str, Any]

_CHAT_FIELDS: Final = tuple(each.name for each in fields(LLMRequest) if each.name not in {"stream", "native"})
_EMBED_FIELDS: Final = tuple(each.name for each in fields(EmbeddingRequest))
_NUMBERS: Final = ("temperature", "top_p", "frequency_penalty", "presence_penalty")


def chat(prompt: Prompt, overrides: Mapping[str, Any], *, stream: bool = False) -> LLMRequest:
    """A chat request.

    Raises:
        ValidationError: There is no message, a field is unknown, or a value cannot be right.
    """
    if isinstance(prompt, LLMRequest):
        request = prompt if not overrides else replace(prompt, **_chat_fields(overrides))
    elif isinstance(prompt, Mapping):
        request = LLMRequest(**_chat_fields({**prompt, **overrides}, needs_messages=True))
    else:
        request = LLMRequest(**_chat_fields({**overrides, "messages": prompt}))
    _check(request)
    return request if request.stream == stream else replace(request, stream=stream)


def embedding(texts: str | Sequence[str], overrides: Mapping[str, Any]) -> EmbeddingRequest:
    """An embedding request.

    Raises:
        ValidationError: There is no text, one is not a string, or a field is unknown.
    """
    _refuse_unknown(overrides, _EMBED_FIELDS)
    several = (texts,) if isinstance(texts, str) else tuple(texts)
    if not several or not all(isinstance(text, str) for text in several):
        raise ValidationError("embed() needs a string, or a list of at least one string.")
    return EmbeddingRequest(several, **overrides)


def _chat_fields(given: Mapping[str, Any], *, needs_messages: bool = False) -> dict[str, Any]:
    _refuse_unknown(given, _CHAT_FIELDS)
    if needs_messages and "messages" not in given:
        raise ValidationError('A request as a dict needs "messages".')
    read = {
        "messages": _messages,
        "tools": lambda tools: tuple(tool if isinstance(tool, Tool) else Tool.from_dict(tool) for tool in tools or ()),
        "response_format": lambda shape: ResponseFormat.from_dict(shape) if isinstance(shape, Mapping) else shape,
        "stop": lambda stop: (stop,) if isinstance(stop, str) else tuple(stop or ()),
        "extra_body": lambda body: dict(body or {}),
        "tool_choice": _tool_choice,
    }
    return {name: read[name](value) if name in read else value for name, value in given.items()}


def _messages(messages: Any) -> tuple[Message, ...]:
    if isinstance(messages, str):
        return (Message.user(messages),)
    if isinstance(messages, (Message, Mapping)) or not isinstance(messages, Sequence):
        raise ValidationError("A prompt is a string, or a list of messages.")
    return tuple(_message(message) for message in messages)


def _message(message: Any) -> Message:
    match message:
        case Message():
            return message
        case Mapping():
            return Message.from_dict(message)
        case (str(role), str(content)):
            return Message.from_dict({"role": role, "content": content})
        case str():
            return Message.user(message)
        case _:
            pass
    raise ValidationError('A message is a Message, a dict with "role" and "content", or a (role, content) pair.')


def _tool_choice(choice: Any) -> str | None:
    match choice:
        case None | str():
            return "required" if choice == "any" else choice
        case {"function": {"name": str(name)}} | {"name": str(name)}:
            return name
        case _:
            pass
    raise ValidationError('tool_choice is "auto", "none", "required" or the name of a tool.')


def _refuse_unknown(given: Mapping[str, Any], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            close = get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]!r}?" if close else "pass it in extra_body={...} to send it as it is."
            raise ValidationError(f"A request has no field {name!r}: {hint}")


def _check(request: LLMRequest) -> None:
    if not request.messages:
        raise ValidationError("A request needs at least one message.")
    for name in _NUMBERS:
        value = getattr(request, name)
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value)
        ):
            raise ValidationError(f"{name} must be a finite number.")
    if request.max_tokens is not None and (not isinstance(request.max_tokens, int) or request.max_tokens < 1):
        raise ValidationError("max_tokens must be a whole number, 1 or greater.")
