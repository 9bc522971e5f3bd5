"""Keyword arguments of chat completions, for type checkers and editors: those of OpenAI's SDK, and ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypedDict

from unified_llm._lib.signatures import Keywords
from unified_llm.openai_style._call_arguments import CallArguments, Fields, Left


class _ChatCall(TypedDict, total=False):
    messages: Iterable[Any]
    model: str
    stream: bool | Left


class ChatFields(TypedDict, total=False):
    """The fields of a request besides its messages, its model and ``stream``."""

    audio: Fields | Left
    frequency_penalty: float | Left
    function_call: str | Fields | Left
    functions: Iterable[Fields] | Left
    logit_bias: Mapping[str, int] | Left
    logprobs: bool | Left
    max_completion_tokens: int | Left
    max_tokens: int | Left
    metadata: Mapping[str, str] | Left
    modalities: list[Literal["text", "audio"]] | Left
    moderation: Fields | Left
    n: int | Left
    parallel_tool_calls: bool | Left
    prediction: Fields | Left
    presence_penalty: float | Left
    prompt_cache_key: str | Left
    prompt_cache_options: Fields | Left
    prompt_cache_retention: str | Left
    reasoning_effort: str | Left
    response_format: Any
    safety_identifier: str | Left
    seed: int | Left
    service_tier: str | Left
    stop: str | Iterable[str] | Left
    store: bool | Left
    stream_options: Fields | Left
    temperature: float | Left
    tool_choice: str | Fields | Left
    tools: Iterable[Fields] | Left
    top_logprobs: int | Left
    top_p: float | Left
    user: str | Left
    verbosity: str | Left
    web_search_options: Fields | Left


class ChatArguments(ChatFields, CallArguments, total=False):
    """The fields of a request, and the options of a call."""


class ChatCall(_ChatCall, ChatArguments, total=False):
    """All arguments of a call, in the order in which signatures show them."""


def all_chat_arguments() -> Keywords:
    """Return the arguments of a chat completion, for signatures."""
    return ChatCall, {}
