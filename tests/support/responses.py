"""What the tests of the Responses format share: its fixtures, and streams read to their end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.codec_checks import flat, sse
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.openai_responses import CODEC
from unified_llm._lib.sse import SSESplitter
from unified_llm.types import LLMChunk, LLMRequest, ToolCall

WIRE = Path(__file__).parent.parent / "fixtures" / "openai_responses"


def fixture(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((WIRE / f"{name}.json").read_text(encoding="utf-8"))
    return read


def names(prefix: str) -> list[str]:
    return sorted(path.stem for path in WIRE.glob(f"{prefix}_*.json"))


def place(**fields: Any) -> Target:
    return Target("somewhere", "some-model", "openai_responses", "https://example.test/v1", **fields)


def body_of(ask: Any, where: Target | None = None) -> Any:
    return json.loads(CODEC.encode(ask, where or place()).body)


def read_pieces(pieces: Sequence[bytes], where: Target) -> list[Any]:
    """Everything that a stream comes to, its end included."""
    splitter, decoder = SSESplitter(), CODEC.decoder(LLMRequest(()), where)
    out: list[Any] = []
    for piece in pieces:
        for each in splitter.feed(piece):
            out.extend(decoder.feed(each))
    for each in splitter.close():
        out.extend(decoder.feed(each))
    if not out or not isinstance(out[-1], Done | Failure):
        out.append(decoder.finish())
    return out


def read_events(events: Sequence[Any], where: Target | None = None) -> list[Any]:
    return read_pieces([sse(events)], where or place())


def collect(out: Sequence[Any]) -> dict[str, Any]:
    """What a stream said, added up, once its form has been checked."""
    *chunks, end = out
    assert isinstance(end, Done), end
    last = end.value
    calls: dict[int, list[str]] = {}
    for chunk in chunks:
        assert isinstance(chunk, LLMChunk)
        assert chunk.content or chunk.reasoning or chunk.refusal or chunk.tool_calls or chunk.citations
        assert not (chunk.tool_calls and (chunk.content or chunk.reasoning)), "text and tool calls never share a chunk"
        assert (chunk.finish_reason, chunk.usage, chunk.model, chunk.provider, chunk.provider_state) == (None,) * 5
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
        "citations": cited(citation for chunk in chunks for citation in chunk.citations),
        "logprobs": weighed(token for chunk in chunks for token in chunk.logprobs),
        **ending(last),
    }


def ending(last: Any) -> dict[str, Any]:
    return {
        "finish_reason": last.finish_reason,
        "response_id": last.response_id,
        "model": last.model,
        "usage": last.usage,
        "provider_state": last.provider_state.data if last.provider_state else None,
    }


def answered(answer: Any) -> dict[str, Any]:
    """The same of a whole answer."""
    return {
        "content": answer.content,
        "reasoning": answer.reasoning,
        "refusal": answer.refusal,
        "tool_calls": [flat(call) for call in answer.tool_calls],
        "citations": cited(answer.citations),
        "logprobs": weighed(answer.logprobs),
        **ending(answer),
    }


def cited(citations: Any) -> list[Any]:
    return [[each.url, each.title, each.start, each.end] for each in citations]


def weighed(tokens: Any) -> list[Any]:
    return [[each.token, each.logprob, [list(pair) for pair in each.top]] for each in tokens]
