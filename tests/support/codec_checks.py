"""Helpers for tests of codecs: targets made from rows of the provider table, fixtures, streams read to their end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings

from unified_llm._core.api_key import Secret
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.quirks import Quirks
from unified_llm._core.target import Target
from unified_llm._formats.openai_chat import CODEC
from unified_llm._lib.sse import ServerSentEvent, SSESplitter
from unified_llm._providers import registry
from unified_llm.types import LLMChunk, LLMRequest, ToolCall

# No deadline: a busy machine must not fail a test.
calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

FIXTURES = Path(__file__).parent.parent / "fixtures" / "openai_chat"
CANARY = "sk-CANARY-4242"


def target(provider: str = "openai", model: str = "some-model", **fields: Any) -> Target:
    """Return a target as the client would resolve it."""
    row = registry.row(provider)
    profile = registry.model_profile(row, model)
    defaults: dict[str, Any] = {
        "base_url": row.base_url or "https://example.test/v1",
        "key": Secret(CANARY, "a test"),
        "features": profile.features,
        "quirks": profile.quirks,
        "context_window": profile.context_window,
        "headers": row.headers,
        "names_have_parts": row.literal_models,
    }
    return Target(provider, model, row.format, **{**defaults, **fields})


def plain_target(**quirks: Any) -> Target:
    """Return a target with these quirks and nothing else."""
    return Target("somewhere", "some-model", "openai_chat", "https://example.test/v1", quirks=Quirks(**quirks))


def fixture(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8"))
    return read


def names(prefix: str) -> list[str]:
    return sorted(path.stem for path in FIXTURES.glob(f"{prefix}_*.json"))


def body_of(request: Any, where: Target | None = None) -> Any:
    """Return the JSON body of the encoded request."""
    return json.loads(CODEC.encode(request, where or plain_target()).body)


def event(data: Any, name: str = "message") -> ServerSentEvent:
    return ServerSentEvent(data if isinstance(data, str) else json.dumps(data), name)


def sse(events: Sequence[Any]) -> bytes:
    """Return the events as a server would send them, after a comment."""
    texts = [data if isinstance(data, str) else json.dumps(data, ensure_ascii=False) for data in events]
    return b": keep-alive\n\n" + "".join(f"data: {text}\n\n" for text in texts).encode()


def read_pieces(pieces: Sequence[bytes], where: Target, request: LLMRequest | None = None) -> list[Any]:
    """Decode a stream, its end included."""
    splitter, decoder = SSESplitter(), CODEC.decoder(request or LLMRequest(()), where)
    out: list[Any] = []
    for piece in pieces:
        for sent in splitter.feed(piece):
            out.extend(decoder.feed(sent))
    for sent in splitter.close():
        out.extend(decoder.feed(sent))
    if not out or not isinstance(out[-1], Done | Failure):
        out.append(decoder.finish())
    return out


def read_events(events: Sequence[Any], where: Target | None = None, request: LLMRequest | None = None) -> list[Any]:
    return read_pieces([sse(events)], where or plain_target(), request)


def collect(out: Sequence[Any]) -> dict[str, Any]:
    """Check the chunks of a stream and return their combined content."""
    *chunks, end = out
    assert isinstance(end, Done), end
    last = end.value
    for chunk in chunks:
        assert isinstance(chunk, LLMChunk)
        has_output = chunk.content or chunk.reasoning or chunk.refusal or chunk.tool_calls
        assert has_output or chunk.citations or chunk.logprobs, "no chunk is empty"
        assert not (chunk.tool_calls and (chunk.content or chunk.reasoning)), "text and tool calls never share a chunk"
        assert (chunk.finish_reason, chunk.usage, chunk.model, chunk.provider) == (None, None, None, None)
    return {
        "content": "".join(chunk.content for chunk in chunks),
        "reasoning": "".join(chunk.reasoning for chunk in chunks) or None,
        "refusal": "".join(chunk.refusal for chunk in chunks) or None,
        "tool_calls": [flat(call) for call in join_tool_calls(chunks)],
        "finish_reason": last.finish_reason,
        "response_id": last.response_id,
        "model": last.model,
        "usage": last.usage,
    }


def join_tool_calls(chunks: Sequence[LLMChunk]) -> list[ToolCall]:
    """Join the fragments of the tool calls of a stream; the first fragment of each call has its identifier."""
    calls: dict[int, list[str]] = {}
    for fragment in (fragment for chunk in chunks for fragment in chunk.tool_calls):
        if fragment.index not in calls:
            assert fragment.id
            calls[fragment.index] = [fragment.id, fragment.name or "", ""]
        calls[fragment.index][2] += fragment.arguments
    return [ToolCall.parse(*call) for _, call in sorted(calls.items())]


def flat(call: ToolCall) -> list[Any]:
    assert call.error is None
    return [call.id, call.name, dict(call.arguments)]


def check(actual: dict[str, Any], expected: dict[str, Any]) -> None:
    """Compare the expected fields; of usage the counts that are named."""
    for name, value in expected.items():
        if name == "usage" and value is not None:
            counts = {key: getattr(actual["usage"], key) for key in value}
            assert counts == value
            assert all(type(count) is int for count in counts.values())
        else:
            assert actual[name] == value, name
