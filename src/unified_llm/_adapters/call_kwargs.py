"""Keyword arguments of a framework's call, read once: a request, and the options of the call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unified_llm._adapters.call_names import ALIASES, check_body_fields, request_fields
from unified_llm._client import read_request
from unified_llm._client.call_options import TARGET_OPTIONS, CallOptions
from unified_llm._client.read_tools import list_of_tools
from unified_llm.exceptions import ValidationError
from unified_llm.types.messages import Message, ResponseFormat, Tool
from unified_llm.types.requests import LLMRequest


@dataclass(frozen=True, slots=True)
class CallArguments:
    """The arguments that calls of a framework have, and how its own forms become ours.

    Attributes:
        plain: Fields of a request that keep their name.
        not_sent: Arguments that are dropped: the framework's own business.
        read_tool: Converts a tool.
        read_tool_choice: Converts a choice, given the names of the tools.
        read_response_format: Converts a schema or a response format.
    """

    plain: frozenset[str]
    not_sent: frozenset[str]
    read_tool: Callable[[Any], Tool]
    read_tool_choice: Callable[[Any, Sequence[str]], str | None]
    read_response_format: Callable[[Any], ResponseFormat | None]


def read_call(
    messages: tuple[Message, ...],
    kwargs: Mapping[str, Any],
    arguments: CallArguments,
    defaults: CallOptions,
    *,
    refused: frozenset[str],
    stream: bool,
) -> tuple[LLMRequest, CallOptions]:
    """Make the request and the options of a call, which the client takes as they are.

    An argument that is neither a field of the request nor an option goes into the request's body, unless it is very
    like one of them and unknown to every API: a misspelling.

    Args:
        messages: The conversation.
        kwargs: The keyword arguments of the call; None stands for absent.
        arguments: Those of the framework.
        defaults: The client's options, which those of the call replace.
        refused: Arguments of the constructor. One that no call takes is refused: a key must not end up in a body.
        stream: Whether the response is streamed.

    Raises:
        ValidationError: An argument belongs to the constructor, is misspelled, or cannot be right.
    """
    known = request_fields(arguments.plain, arguments.not_sent) | {*TARGET_OPTIONS}
    given = _rename(kwargs, refused, known)
    tools = tuple(map(arguments.read_tool, list_of_tools(given.pop("tools", None))))
    tool_choice = arguments.read_tool_choice(given.pop("tool_choice", None), [tool.name for tool in tools])
    response_format = arguments.read_response_format(given.pop("response_format", None))
    stop = read_request.read_stop(given.pop("stop", None))
    extra_body = read_request.read_extra_body(given.pop("extra_body", None))
    options = defaults.of_call(given, chat=True)
    fields = {name: given.pop(name) for name in tuple(given) if name in arguments.plain}
    if not tools:
        fields.pop("parallel_tool_calls", None)
    further = {name: value for name, value in given.items() if name not in arguments.not_sent}
    if further:
        check_body_fields(further, known, ValidationError)
    request = LLMRequest(
        messages,
        stop=stop,
        tools=tools,
        tool_choice=tool_choice if tools else None,
        response_format=response_format,
        extra_body={**extra_body, **further},
        stream=stream,
        **fields,
    )
    read_request.check(request)
    return read_request.with_whole_characters(request), options


def _rename(kwargs: Mapping[str, Any], refused: frozenset[str], known: frozenset[str]) -> dict[str, Any]:
    given = {ALIASES.get(name, name): value for name, value in kwargs.items() if value is not None}
    for name in given:
        if name in refused and name not in known:
            raise ValidationError(
                f"{name!r} belongs to the constructor of the model and cannot be passed with a call. A field of the "
                "body that has this name goes into extra_body={...}."
            )
    return given
