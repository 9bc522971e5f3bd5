"""Keyword arguments of chat completions, for type checkers and editors: those of OpenAI's SDK, and ours.

A field that is ``NOT_GIVEN`` or ``omit`` is left out, so each of them may be that as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias, TypedDict

from unified_llm.openai_style._omitted import NotGiven, Omit

Fields: TypeAlias = Mapping[str, Any]
Left: TypeAlias = NotGiven | Omit | None


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


class ChatArguments(ChatFields, total=False):
    """The fields of a request, and the options of a call."""

    extra_headers: Mapping[str, Any] | Left
    extra_query: Fields | Left
    extra_body: Fields | Left
    timeout: Any
    deadline: float | Left
    fallbacks: Iterable[Any] | Left
    failover_on: Mapping[Any, bool] | Left
    hedge_after: float | Left
    max_retries: int | Left
    api_key: Any
    base_url: str | Left
