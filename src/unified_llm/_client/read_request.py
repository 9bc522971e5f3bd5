"""Requests made from what users pass to ``generate`` and ``embed``: strings, lists, dicts, keyword arguments.

Values that no provider accepts are refused here, before anything is sent. No message repeats a text of the user's.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, Final, TypeAlias, get_args

from unified_llm._client import field_names
from unified_llm._client.call_options import OPTION_NAMES, check_seconds
from unified_llm._client.read_texts import one_or_several
from unified_llm._client.read_tools import check_tool_choice, read_tool_choice, read_tools
from unified_llm._config.field_groups import REASONING_FORMATS
from unified_llm._lib import bounded_json
from unified_llm.exceptions import ValidationError
from unified_llm.types.content import Part, TextPart
from unified_llm.types.messages import Message, ResponseFormat, Role, ToolCall
from unified_llm.types.requests import EmbeddingRequest, LLMRequest, RerankRequest

Prompt: TypeAlias = str | Sequence[Message | Mapping[str, Any] | tuple[str, str]] | LLMRequest | Mapping[str, Any]

APIFields: TypeAlias = Callable[[str | None], Collection[str]]
"""Returns the further body fields that the API of a call's first target documents, by the ``model`` of the call."""

_CHAT_FIELDS: Final = frozenset(field.name for field in fields(LLMRequest)) - {"stream", "native", "original"}
_EMBED_FIELDS: Final = frozenset(field.name for field in fields(EmbeddingRequest)) - {"texts", "original"}
_RERANK_FIELDS: Final = frozenset(field.name for field in fields(RerankRequest)) - {"query", "documents"}
_NUMBERS: Final = ("temperature", "top_p", "frequency_penalty", "presence_penalty")
# name: the smallest value allowed
_WHOLE_NUMBERS: Final[Mapping[str, float]] = {"max_tokens": 1, "top_logprobs": 0, "n": 1, "seed": float("-inf")}
_PARTS: Final = get_args(Part)
_ROLES: Final = get_args(Role)
_PROMPT: Final = "A prompt is a string, or a list of messages"
_LONGEST_ID: Final = 512  # of OpenAI, whose limit is the only one that is documented
_NO_TEXTS: Final = (None, None, None)
_TEXTS: Final = ("model", "reasoning_effort")
_SWITCHES: Final = ("parallel_tool_calls", "logprobs", "text_tool_calls", "merge_messages")


def _no_fields(_: str | None) -> Collection[str]:
    return ()


def chat(
    prompt: Prompt | None, overrides: Mapping[str, Any], *, stream: bool = False, api_fields: APIFields = _no_fields
) -> LLMRequest:
    """Make a chat request.

    Args:
        prompt: The conversation, or a whole request.
        overrides: Fields of the request, and further ones that go into its body.
        stream: Whether the response is streamed.
        api_fields: Tells which further fields may go into the body.

    Raises:
        ValidationError: There is no message, a field is unknown, or a value cannot be right.
    """
    if "stream" in overrides:
        overrides = _without_stream(overrides, stream=stream)
    if isinstance(prompt, LLMRequest):
        read = {"messages": prompt.messages, "tools": prompt.tools, "stop": prompt.stop, **overrides}
        if not read.keys() <= _CHAT_FIELDS:
            read.setdefault("extra_body", prompt.extra_body)
            read.setdefault("model", prompt.model)
        request = replace(prompt, **_chat_fields(read, api_fields))
    elif isinstance(prompt, Mapping):
        given = dict(prompt)
        field_names.rename(given)
        given = {**_without_stream(given, stream=stream), **overrides}
        request = LLMRequest(**_chat_fields(given, api_fields, needs_messages=True))
    elif prompt is None and "messages" in overrides:
        request = LLMRequest(**_chat_fields(overrides, api_fields))
    elif "messages" in overrides:
        raise ValidationError("The messages are given twice: pass them first, or in messages=, not both.")
    else:
        request = LLMRequest(**_chat_fields({**overrides, "messages": prompt}, api_fields))
    request = request if request.stream == stream else replace(request, stream=stream)
    check_tool_choice(request.tool_choice, request.tools)
    check(request)
    return with_whole_characters(request)


def with_options(prompt: Any, overrides: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return a prompt and the keyword arguments of a call, under our names, with the options in the latter.

    Raises:
        ValidationError: Something is given by two names.
    """
    given = dict(overrides)
    field_names.rename(given)
    if not isinstance(prompt, (str, list)) and isinstance(prompt, Mapping):  # which is slow for others
        prompt = dict(prompt)
        field_names.rename(prompt)
        given = {**{name: prompt.pop(name) for name in OPTION_NAMES if name in prompt}, **given}
    return prompt, given


def _without_stream(given: Mapping[str, Any], *, stream: bool) -> Mapping[str, Any]:
    """Leave out ``stream``, which the method of the client decides.

    Raises:
        ValidationError: A stream is asked for where the response comes as a whole.
    """
    if "stream" not in given:
        return given
    if given["stream"] not in {None, False, stream}:
        raise ValidationError("A request has no field 'stream': call stream() or astream() for an answer in chunks.")
    return {name: value for name, value in given.items() if name != "stream"}


def embedding(texts: str | Sequence[str], overrides: Mapping[str, Any]) -> EmbeddingRequest:
    """Make an embedding request.

    Raises:
        ValidationError: There is no text, one is not a string, a field is unknown, or a value cannot be right.
    """
    field_names.refuse(overrides.keys() - _EMBED_FIELDS, _EMBED_FIELDS)
    request = EmbeddingRequest(one_or_several(texts), **overrides)
    request = replace(request, extra_body=read_extra_body(request.extra_body))
    _check_text("model", request.model)
    check_whole_number("dimensions", request.dimensions, 1)
    if request.purpose not in (None, "query", "document"):
        raise ValidationError('purpose is "query" or "document".')
    return request


def ranking(query: str, documents: Sequence[str], overrides: Mapping[str, Any]) -> RerankRequest:
    """Make a rerank request.

    Raises:
        ValidationError: There is no document, something is not a string, a field is unknown, or cannot be right.
    """
    field_names.refuse(overrides.keys() - _RERANK_FIELDS, _RERANK_FIELDS)
    if isinstance(documents, str) or not isinstance(documents, Sequence) or not documents:
        raise ValidationError("rerank() needs a query, and a list of at least one document.")
    if not all(isinstance(text, str) for text in (query, *documents)):
        raise ValidationError("rerank() takes the query and every document as a string.")
    request = RerankRequest(query, tuple(documents), **overrides)
    request = replace(request, extra_body=read_extra_body(request.extra_body))
    _check_text("model", request.model)
    check_whole_number("top_n", request.top_n, 1)
    return request


def _chat_fields(given: Mapping[str, Any], api_fields: APIFields, *, needs_messages: bool = False) -> dict[str, Any]:
    if not given.keys() <= _CHAT_FIELDS:
        given = field_names.move_to_body(given, _CHAT_FIELDS, api_fields)
    if needs_messages and "messages" not in given:
        raise ValidationError(
            'A request as a dict needs "messages": a string, or a list such as [{"role": "user", "content": "..."}].'
        )
    return {name: _READ[name](value) if name in _READ else value for name, value in given.items()}


def _messages(messages: Any) -> tuple[Message, ...]:
    if isinstance(messages, str):
        if not messages:
            raise ValidationError("The prompt is empty: pass a text.")
        return (Message.user(messages),)
    alone = ": write [message]" if isinstance(messages, Message) else ""
    turns = _sequence(messages, f"{_PROMPT}; got {type(messages).__name__}{alone}.")
    if len(turns) == 2 and turns[0] in _ROLES and isinstance(turns[1], str):
        raise ValidationError(f'One message alone goes into a list: [("{turns[0]}", "...")].')
    if len(turns) > 1 and all(isinstance(turn, str) for turn in turns):
        raise ValidationError(
            "A list of texts is no conversation: call generate() for each of them, or write the role of each: "
            '[("user", "..."), ("assistant", "...")].'
        )
    return tuple(map(_message, turns))


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
            raise ValidationError(
                'A message is a Message, a dict with "role" and "content", or a (role, content) pair.'
            )


def _response_format(shape: Any) -> ResponseFormat | None:
    if shape is None or isinstance(shape, ResponseFormat):
        return shape
    return ResponseFormat.from_dict(shape if isinstance(shape, Mapping) else {})


def read_stop(stop: Any) -> tuple[str, ...]:
    """Read the texts at which to stop: one, several or None.

    Raises:
        ValidationError: It is something else, or a text is empty.
    """
    wrong = "stop is a text, or a list of texts, none of them empty."
    texts = (stop,) if isinstance(stop, str) else tuple(_sequence(stop or (), wrong))
    if not all(isinstance(text, str) and text for text in texts):
        raise ValidationError(wrong)
    return texts


def read_extra_body(body: Any) -> dict[str, Any]:
    """Copy further fields of a body.

    Raises:
        ValidationError: It is no mapping.
    """
    if body is not None and not isinstance(body, Mapping):
        raise ValidationError("extra_body is a mapping of further fields of the request.")
    return dict(body or {})


def _sequence(value: Any, otherwise: str) -> Sequence[Any]:
    if isinstance(value, (str, bytes, Message, Mapping)) or not isinstance(value, Sequence):
        raise ValidationError(otherwise)
    return value


_READ: Final[Mapping[str, Callable[[Any], Any]]] = {
    "messages": _messages,
    "tools": read_tools,
    "response_format": _response_format,
    "stop": read_stop,
    "extra_body": read_extra_body,
    "tool_choice": read_tool_choice,
}


def check(request: LLMRequest) -> None:
    """Check the values of a chat request, those of tools and formats excepted: these check themselves.

    Raises:
        ValidationError: There is no message, or a value cannot be right.
    """
    if not request.messages:
        raise ValidationError("A request needs at least one message.")
    for message in request.messages:
        _check_message(message)
    for name in _NUMBERS:
        value = getattr(request, name)
        if value is not None and bounded_json.finite(value) is None:
            raise ValidationError(f"{name} must be a finite number.")
    for name, least in _WHOLE_NUMBERS.items():
        check_whole_number(name, getattr(request, name), least)
    for name in _TEXTS:
        _check_text(name, getattr(request, name))
    if request.request_id is not None:
        _check_request_id(request.request_id)
    if request.timeout_override is not None:
        check_seconds("timeout_override", request.timeout_override, ValidationError)
    if request.n is not None and request.n > 1 and request.stream:
        raise ValidationError("n asks for several answers, which come whole: call generate() or agenerate().")
    _check_choices(request)


def _check_request_id(value: Any) -> None:
    if not (isinstance(value, str) and 0 < len(value) <= _LONGEST_ID and value.isascii() and value.isprintable()):
        raise ValidationError(f"request_id is printable ASCII text of at most {_LONGEST_ID} characters.")
    if value != value.strip():
        raise ValidationError("request_id has blanks around it: remove them.")


def with_whole_characters(request: LLMRequest) -> LLMRequest:
    """Return the request with U+FFFD for lone surrogates in turns that the user did not write.

    UTF-8 cannot carry them, so every later request of the conversation would fail: models and tools produce them (half
    an emoji, names of files that are not UTF-8). In a prompt they are refused.
    """
    messages = tuple(map(_with_whole_characters, request.messages))
    unchanged = all(map(operator.is_, messages, request.messages))
    return request if unchanged else replace(request, messages=messages)


def _with_whole_characters(message: Message) -> Message:
    if message.role not in {"assistant", "tool"}:
        return message
    content = message.content
    if isinstance(content, str):
        whole: Any = bounded_json.scrub(content)
    else:
        parts = tuple(
            replace(part, text=bounded_json.scrub(part.text)) if isinstance(part, TextPart) else part
            for part in content
        )
        whole = content if parts == content else parts
    reasoning = bounded_json.scrub(message.reasoning)
    if whole is content and reasoning is message.reasoning:
        return message
    return replace(message, content=whole, reasoning=reasoning)


def _check_choices(request: LLMRequest) -> None:
    for name in _SWITCHES:
        if not isinstance(getattr(request, name), (bool, type(None))):
            raise ValidationError(f"{name} must be True or False.")
    if request.as_text not in (True, False, "preferred"):
        raise ValidationError('as_text must be True, False or "preferred".')
    if request.reasoning_format not in (None, *REASONING_FORMATS):
        raise ValidationError(f"reasoning_format is one of {', '.join(REASONING_FORMATS)}.")


def _check_message(message: Message) -> None:
    content, calls = message.content, message.tool_calls
    if not (
        isinstance(content, str) or (isinstance(content, tuple) and all(isinstance(part, _PARTS) for part in content))
    ):
        raise ValidationError("A message's content is a string or a tuple of content parts.")
    if calls and not (isinstance(calls, tuple) and all(isinstance(call, ToolCall) for call in calls)):
        raise ValidationError("The tool_calls of a message are a tuple of ToolCall.")
    others = message.name, message.tool_call_id, message.reasoning
    if others != _NO_TEXTS and not all(text is None or isinstance(text, str) for text in others):
        raise ValidationError("The name, tool_call_id and reasoning of a message are strings.")


def check_whole_number(name: str, value: Any, least: float) -> None:
    """Refuse what is neither None nor a whole number of at least ``least``.

    Raises:
        ValidationError: It is something else.
    """
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= least):
        return
    raise ValidationError(f"{name} must be a whole number" + (f", {least} or greater." if least >= 0 else "."))


def _check_text(name: str, value: Any) -> None:
    if not isinstance(value, (str, type(None))):
        raise ValidationError(f"{name} must be a string.")
