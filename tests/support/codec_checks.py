"""What the tests of the providers share: targets made from rows, fixtures, streams read to their end."""

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

# The machine may be busy; what matters is what is found, not how soon.
calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

WIRE = Path(__file__).parent.parent / "fixtures" / "openai_chat"
CANARY = "sk-CANARY-4242"


def target(provider: str = "openai", model: str = "some-model", **fields: Any) -> Target:
    """A target as the client would resolve it."""
    row = registry.row(provider)
    facts = registry.model_profile(row, model)
    made: dict[str, Any] = {
        "base_url": row.base_url or "https://example.test/v1",
        "key": Secret(CANARY, "a test"),
        "features": facts.features,
        "quirks": facts.quirks,
        "context_window": facts.context_window,
        "headers": row.headers,
    }
    return Target(provider, model, row.format, **{**made, **fields})


def plain_target(**quirks: Any) -> Target:
    """A target with these quirks and nothing else."""
    return Target("somewhere", "some-model", "openai_chat", "https://example.test/v1", quirks=Quirks(**quirks))


def fixture(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((WIRE / f"{name}.json").read_text(encoding="utf-8"))
    return read


def names(prefix: str) -> list[str]:
    return sorted(path.stem for path in WIRE.glob(f"{prefix}_*.json"))


def body_of(ask: Any, where: Target | None = None) -> Any:
    """The JSON that goes on the wire."""
    return json.loads(CODEC.encode(ask, where or plain_target()).body)


def event(data: Any, name: str = "message") -> ServerSentEvent:
    return ServerSentEvent(data if isinstance(data, str) else json.dumps(data), name)


def sse(events: Sequence[Any]) -> bytes:
    """The events as a server would write them, with a comment before."""
    texts = [each if isinstance(each, str) else json.dumps(each, ensure_ascii=False) for each in events]
    return b": keep-alive\n\n" + "".join(f"data: {text}\n\n" for text in texts).encode()


def read_pieces(pieces: Sequence[bytes], where: Target, ask: LLMRequest | None = None) -> list[Any]:
    """Everything that a stream comes to, its end included."""
    splitter, decoder = SSESplitter(), CODEC.decoder(ask or LLMRequest(()), where)
    out: list[Any] = []
    for piece in pieces:
        for each in splitter.feed(piece):
            out.extend(decoder.feed(each))
    for each in splitter.close():
        out.extend(decoder.feed(each))
    if not out or not isinstance(out[-1], Done | Failure):
        out.append(decoder.finish())
    return out


def read_events(events: Sequence[Any], where: Target | None = None, ask: LLMRequest | None = None) -> list[Any]:
    return read_pieces([sse(events)], where or plain_target(), ask)


def collect(out: Sequence[Any]) -> dict[str, Any]:
    """What a stream said, added up, once its form has been checked."""
    *chunks, end = out
    assert isinstance(end, Done), end
    last = end.value
    calls: dict[int, list[str]] = {}
    for chunk in chunks:
        assert isinstance(chunk, LLMChunk)
        said = chunk.content or chunk.reasoning or chunk.refusal or chunk.tool_calls
        assert said or chunk.citations or chunk.logprobs, "no chunk is empty"
        assert not (chunk.tool_calls and (chunk.content or chunk.reasoning)), "text and tool calls never share a chunk"
        assert (chunk.finish_reason, chunk.usage, chunk.model, chunk.provider) == (None, None, None, None)
        for fragment in chunk.tool_calls:
            if fragment.index not in calls:
                assert fragment.id
                calls[fragment.index] = [fragment.id, fragment.name or "", ""]
            calls[fragment.index][2] += fragment.arguments
    return {
        "content": "".join(chunk.content for chunk in chunks),
        "reasoning": "".join(chunk.reasoning for chunk in chunks) or None,
        "refusal": "".join(chunk.refusal for chunk in chunks) or None,
        "tool_calls": [flat(ToolCall.from_text(*call)) for _, call in sorted(calls.items())],
        "finish_reason": last.finish_reason,
        "response_id": last.response_id,
        "model": last.model,
        "usage": last.usage,
    }


def flat(call: ToolCall) -> list[Any]:
    assert call.error is None
    return [call.id, call.name, dict(call.arguments)]


def check(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Every expected field is as expected; usage is compared by the counts that are named."""
    for name, value in expected.items():
        if name == "usage" and value is not None:
            counts = {key: getattr(found["usage"], key) for key in value}
            assert counts == value
            assert all(type(count) is int for count in counts.values())
        else:
            assert found[name] == value, name
