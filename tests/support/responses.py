"""Helpers for tests of the Responses format: its fixtures, and streams read to their end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.codec_checks import flat, join_tool_calls, sse
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.openai_responses import CODEC
from unified_llm._lib.sse import SSESplitter
from unified_llm.types import LLMChunk, LLMRequest

FIXTURES = Path(__file__).parent.parent / "fixtures" / "openai_responses"


def fixture(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8"))
    return read


def names(prefix: str) -> list[str]:
    return sorted(path.stem for path in FIXTURES.glob(f"{prefix}_*.json"))


def plain_target(**fields: Any) -> Target:
    return Target("somewhere", "some-model", "openai_responses", "https://example.test/v1", **fields)


def body_of(request: Any, where: Target | None = None) -> Any:
    return json.loads(CODEC.encode(request, where or plain_target()).body)


def read_pieces(pieces: Sequence[bytes], where: Target) -> list[Any]:
    """Decode a stream, its end included."""
    splitter, decoder = SSESplitter(), CODEC.decoder(LLMRequest(()), where)
    out: list[Any] = []
    for piece in pieces:
        for event in splitter.feed(piece):
            out.extend(decoder.feed(event))
    for event in splitter.close():
        out.extend(decoder.feed(event))
    if not out or not isinstance(out[-1], Done | Failure):
        out.append(decoder.finish())
    return out


def read_events(events: Sequence[Any], where: Target | None = None) -> list[Any]:
    return read_pieces([sse(events)], where or plain_target())


def collect(out: Sequence[Any]) -> dict[str, Any]:
    """Check the chunks of a stream and return their combined content."""
    *chunks, end = out
    assert isinstance(end, Done), end
    last = end.value
    for chunk in chunks:
        assert isinstance(chunk, LLMChunk)
        assert chunk.content or chunk.reasoning or chunk.refusal or chunk.tool_calls or chunk.citations
        assert not (chunk.tool_calls and (chunk.content or chunk.reasoning)), "text and tool calls never share a chunk"
        assert (chunk.finish_reason, chunk.usage, chunk.model, chunk.provider, chunk.provider_state) == (None,) * 5
    return {
        "content": "".join(chunk.content for chunk in chunks),
        "reasoning": "".join(chunk.reasoning for chunk in chunks) or None,
        "refusal": "".join(chunk.refusal for chunk in chunks) or None,
        "tool_calls": [flat(call) for call in join_tool_calls(chunks)],
        "citations": citation_rows(citation for chunk in chunks for citation in chunk.citations),
        "logprobs": logprob_rows(token for chunk in chunks for token in chunk.logprobs),
        **end_fields(last),
    }


def end_fields(last: Any) -> dict[str, Any]:
    return {
        "finish_reason": last.finish_reason,
        "response_id": last.response_id,
        "model": last.model,
        "usage": last.usage,
        "provider_state": last.provider_state.data if last.provider_state else None,
    }


def summary(answer: Any) -> dict[str, Any]:
    """Return the same fields of a whole response."""
    return {
        "content": answer.content,
        "reasoning": answer.reasoning,
        "refusal": answer.refusal,
        "tool_calls": [flat(call) for call in answer.tool_calls],
        "citations": citation_rows(answer.citations),
        "logprobs": logprob_rows(answer.logprobs),
        **end_fields(answer),
    }


def citation_rows(citations: Any) -> list[Any]:
    return [[citation.url, citation.title, citation.start, citation.end] for citation in citations]


def logprob_rows(tokens: Any) -> list[Any]:
    return [[token.token, token.logprob, [list(pair) for pair in token.top]] for token in tokens]
