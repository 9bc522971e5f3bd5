"""Names of tools, made to fit each format and restored in responses.

Frameworks, MCP servers and models of other providers use names that a provider refuses: with dots or spaces, empty, too
long. One such name in the history, even of a tool that a model invented, makes every later request fail. So names are
rewritten in tools, ``tool_choice`` and history alike; calls in responses have the names that the user offered. A name
that fits is sent as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from unified_llm._core.codec import AnyRequest, Decoder
from unified_llm._core.outcome import Done, Failure
from unified_llm._formats.history import UniqueNames
from unified_llm._lib.sse import ServerSentEvent
from unified_llm.types.messages import Message, ToolCall, ToolCallChunk
from unified_llm.types.requests import CountRequest, LLMRequest
from unified_llm.types.responses import LLMChunk, LLMResponse

_EMPTY: Final = "tool"  # the name of a tool without a name


@dataclass(frozen=True, slots=True)
class NameRule:
    """The names that a format accepts.

    Attributes:
        pattern: What a name matches.
        refused: A character that no name has.
        length: The most characters, at least 64.
    """

    pattern: re.Pattern[str]
    refused: re.Pattern[str]
    length: int

    def fits(self, name: str) -> bool:
        """Return whether the name can be sent as it is."""
        return self.pattern.fullmatch(name) is not None

    def fit(self, name: str) -> str:
        """Return a name that can be sent: of a long one the beginning and the end, which tell the most."""
        fitted = self.refused.sub("_", name) or _EMPTY
        if not self.fits(fitted[:1]):
            fitted = f"_{fitted}"
        if len(fitted) <= self.length:
            return fitted
        end = (self.length - 2) // 2
        return f"{fitted[: self.length - 2 - end]}__{fitted[-end:]}"


def _rule(first: str, others: str, length: int) -> NameRule:
    """Make a rule of the characters that a name may begin with, and of those that it may have."""
    pattern = re.compile(f"[{first}][{others}]{{0,{length - 1}}}")
    return NameRule(pattern, re.compile(f"[^{others}]"), length)


_OPENAI: Final = _rule("a-zA-Z0-9_-", "a-zA-Z0-9_-", 64)

RULES: Final[Mapping[str, NameRule]] = {
    # platform.openai.com/docs/api-reference/chat/create (tools); the same in Mistral's, Groq's and xAI's reference.
    "openai_chat": _OPENAI,
    "openai_responses": _OPENAI,
    "azure": _OPENAI,
    "azure_responses": _OPENAI,
    "huggingface": _OPENAI,
    # "String should match pattern '^[a-zA-Z0-9_-]{1,128}$'", from the API's refusals.
    "anthropic": _rule("a-zA-Z0-9_-", "a-zA-Z0-9_-", 128),
    # ai.google.dev/api/caching#FunctionDeclaration also accepts dots and colons, and 128 characters; Vertex AI, older
    # models and Gemma behind the same API do not.
    "gemini": _rule("a-zA-Z_", "a-zA-Z0-9_-", 64),
    # docs.cohere.com/v1/reference/chat (tools); the length is unverified.
    "cohere": _rule("a-zA-Z_", "a-zA-Z0-9_", 64),
}
"""Formats whose providers refuse some names. Ollama accepts any."""


def changed_names(request: LLMRequest, wire_format: str) -> dict[str, str]:
    """Return the names that this format does not accept, each with the one that is sent: unique in the request."""
    rule = RULES.get(wire_format)
    if rule is None:
        return {}
    offered = [tool.name for tool in request.tools if tool.builtin is None]
    called = [call.name for message in request.messages for call in message.tool_calls]
    names = dict.fromkeys((*offered, *called))
    wrong = [name for name in names if not rule.fits(name)]
    if not wrong:
        return {}
    unique = UniqueNames()
    for name in names.keys() - set(wrong) | {tool.name for tool in request.tools if tool.builtin is not None}:
        unique.make(name)
    return {name: unique.make(rule.fit(name)) for name in wrong}


def renamed_tools(request: LLMRequest, wire_format: str) -> tuple[list[str], list[str]] | None:
    """Return the names of all offered tools, and the names as they are sent; None if these are the same."""
    changed = changed_names(request, wire_format)
    offered = [tool.name for tool in request.tools if tool.builtin is None]
    sent = [changed.get(name, name) for name in offered]
    return None if sent == offered else (offered, sent)


def fit_names(request: AnyRequest, wire_format: str) -> AnyRequest:
    """Return the request with names of tools that this format accepts."""
    if isinstance(request, CountRequest):
        return replace(request, chat=_rename(request.chat, changed_names(request.chat, wire_format)))
    return _rename(request, changed_names(request, wire_format)) if isinstance(request, LLMRequest) else request


def _rename(request: LLMRequest, changed: Mapping[str, str]) -> LLMRequest:
    if not changed:
        return request
    tools = tuple(
        tool if tool.builtin is not None else replace(tool, name=changed.get(tool.name, tool.name))
        for tool in request.tools
    )
    choice = request.tool_choice
    return replace(
        request,
        messages=tuple(_rename_calls(message, changed) for message in request.messages),
        tools=tools,
        tool_choice=choice if choice is None else changed.get(choice, choice),
    )


def _rename_calls(message: Message, changed: Mapping[str, str]) -> Message:
    if not any(call.name in changed for call in message.tool_calls):
        return message
    return replace(message, tool_calls=tuple(_restore_call(call, changed) for call in message.tool_calls))


def offered_names(request: LLMRequest, wire_format: str) -> dict[str, str]:
    """Return the names of calls in the response that stand for other names that the user offered, with these.

    Names that only the history has are not restored: nobody can run such a tool.
    """
    renamed = renamed_tools(request, wire_format)
    return {} if renamed is None else {sent: name for name, sent in zip(*renamed, strict=True) if sent != name}


def restore_names(outcome: Done | Failure, names: Mapping[str, str]) -> Done | Failure:
    """Return the outcome with the names of calls that the user offered."""
    if not names or isinstance(outcome, Failure) or not isinstance(outcome.value, LLMResponse):
        return outcome
    answer = outcome.value
    alternatives = tuple(_restore_response(alternative, names) for alternative in answer.alternatives)
    return replace(outcome, value=replace(_restore_response(answer, names), alternatives=alternatives))


def _restore_response(answer: LLMResponse, names: Mapping[str, str]) -> LLMResponse:
    return replace(answer, tool_calls=tuple(_restore_call(call, names) for call in answer.tool_calls))


def _restore_call(call: ToolCall, names: Mapping[str, str]) -> ToolCall:
    return replace(call, name=names[call.name]) if call.name in names else call


class NameRestorer:
    """Decoder of a stream whose calls get the names that the user offered.

    Args:
        decoder: The decoder of the format.
        names: The names as they are sent, with the names that the user offered.
    """

    __slots__ = ("_decoder", "_names")

    def __init__(self, decoder: Decoder, names: Mapping[str, str]) -> None:
        self._decoder, self._names = decoder, names

    @property
    def kept(self) -> int:
        """The bytes that the format's decoder keeps."""
        return self._decoder.kept

    def feed(self, event: ServerSentEvent) -> Sequence[LLMChunk | Done | Failure]:
        """Return what the format's decoder returns for this event, with the user's names."""
        return list(self._restored(self._decoder.feed(event)))

    def finish(self) -> Done | Failure:
        """Return what the format's decoder returns at the end, with the user's names."""
        end = self._decoder.finish()
        if isinstance(end, Failure) or not isinstance(end.value, LLMChunk) or not end.value.tool_calls:
            return end
        return replace(end, value=replace(end.value, tool_calls=tuple(map(self._restore, end.value.tool_calls))))

    def _restored(self, events: Iterable[LLMChunk | Done | Failure]) -> Iterator[LLMChunk | Done | Failure]:
        for event in events:
            if isinstance(event, LLMChunk) and event.tool_calls:
                yield replace(event, tool_calls=tuple(map(self._restore, event.tool_calls)))
            else:
                yield event

    def _restore(self, call: ToolCallChunk) -> ToolCallChunk:
        name = self._names.get(call.name or "")
        return call if name is None or call.name is None else replace(call, name=name)
