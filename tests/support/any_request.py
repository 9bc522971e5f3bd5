"""Hypothesis strategies for requests: everything that the types allow, for the contract of every format."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from unified_llm._core.target import Target
from unified_llm.types import (
    AudioPart,
    CachePoint,
    FilePart,
    ImagePart,
    LLMRequest,
    Message,
    ProviderState,
    ResponseFormat,
    TextPart,
    Tool,
    ToolCall,
)

TEXT = st.text(max_size=6) | st.sampled_from(["\ud800", " ", "Error", "\x00", "é" * 80])
NAME = st.sampled_from(["f", "weather", "call_0", "", "a b/c", "x" * 70, "\ud800"])
NUMBER = st.sampled_from([None, 0, 1, -2.5, 1e308, 10**400, float("nan"), float("inf")])
VALUES = st.sampled_from([{}, {"a": 1}, {"a": [{"b": None}]}, {"a": float("nan")}, {"a": {1, 2}}])
SCHEMA = st.sampled_from([
    {}, {"type": "object", "properties": {"c": {"type": "string"}}}, {"type": "array", "items": {}},
    {"anyOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"type": "object", "additionalProperties": True}}},
])  # fmt: skip
PART = st.one_of(
    TEXT.map(TextPart),
    st.builds(ImagePart, st.none(), st.just(b"\x89PNG"), st.just("image/png"), st.sampled_from([None, "low"])),
    st.builds(ImagePart, st.just("https://example.org/ü.png")),
    st.builds(AudioPart, st.binary(max_size=3), st.sampled_from(["wav", "mp3", "?"])),
    st.builds(FilePart, st.binary(max_size=3), st.sampled_from(["text/plain", "application/pdf", "image/png"]), NAME),
    st.sampled_from([FilePart(url="https://example.org/a.pdf"), FilePart(file_id="file-1"), FilePart(b"", "?")]),
    st.sampled_from([CachePoint(), CachePoint("1h")]),
)
# Provider state as formats write it, and after edits.
PROVIDER_STATE = st.sampled_from([
    {}, [], {"pieces": [{}, 3]}, {"reasoning_details": [{"a": 1}], "tool_plan": 3, "thinking": "x"},
    {"blocks": [{"type": "thinking", "signature": "s"}, {"type": "text", "length": 0}]},
    {"blocks": [{"type": "tool_use"}]},
    {"model": "some-model", "reasoning": [{"before": "f", "items": [{"type": "reasoning"}]}], "phase": "commentary"},
]).map(lambda data: ProviderState("", "", data))  # fmt: skip
MESSAGE = st.builds(
    Message,
    st.sampled_from(["system", "user", "assistant", "tool"]),
    TEXT | st.lists(PART, max_size=3).map(tuple),
    st.none() | NAME,
    st.just(()) | st.lists(st.builds(ToolCall, NAME, NAME, VALUES, TEXT, st.none() | TEXT), max_size=2).map(tuple),
    st.none() | NAME,
    st.booleans(),
    st.none() | TEXT,
    st.none() | PROVIDER_STATE,
)
BUILTIN = st.sampled_from([{"type": "web_search"}, {"type": "web_search_20250305", "name": "w"}, {"googleSearch": {}}])
TOOL = st.builds(Tool, NAME, TEXT, SCHEMA, st.sampled_from([None, True, False]), st.none() | BUILTIN)
REQUEST = st.builds(
    LLMRequest,
    st.lists(MESSAGE, max_size=4).map(tuple),
    temperature=NUMBER,
    max_tokens=st.sampled_from([None, 1, 1024, 10**400]),
    top_p=NUMBER,
    stop=st.just(()) | st.lists(TEXT, min_size=1, max_size=2).map(tuple),
    seed=NUMBER,
    tools=st.just(()) | st.lists(TOOL, max_size=2).map(tuple),
    tool_choice=st.sampled_from([None, "auto", "none", "required", "weather", "?"]),
    parallel_tool_calls=st.sampled_from([None, True, False]),
    response_format=st.none() | st.builds(ResponseFormat, st.none() | SCHEMA, NAME),
    reasoning_effort=st.sampled_from([None, "none", "minimal", "high", "?", ""]),
    logprobs=st.sampled_from([None, True, False]),
    top_logprobs=st.sampled_from([None, 0, 5]),
    n=st.sampled_from([None, 1, 3]),
    as_text=st.booleans(),
    extra_body=VALUES,
    stream=st.booleans(),
)


def with_provider_state_of(request: LLMRequest, target: Target) -> LLMRequest:
    """Return the request with all provider state issued by the target."""

    def rewritten(message: Message) -> Message:
        return replace(
            message,
            provider_state=message.provider_state
            and replace(message.provider_state, provider=target.provider, format=target.format),
        )

    return replace(request, messages=tuple(map(rewritten, request.messages)))
