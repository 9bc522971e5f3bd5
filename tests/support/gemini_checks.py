"""Helpers of the tests of Gemini's format."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support import codec_checks
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.gemini import CODEC
from unified_llm._lib.sse import SSESplitter
from unified_llm.types import Citation, LLMRequest, LLMResponse, Message, ProviderState, TokenLogprob, ToolCall

FIXTURES = Path(__file__).parent.parent / "fixtures" / "gemini"


def target(model: str = "gemini-2.5-flash", **fields: Any) -> Target:
    return codec_checks.target("gemini", model, **fields)


def fixtures(prefix: str) -> dict[str, dict[str, Any]]:
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FIXTURES.glob(f"{prefix}*.json"))
    }


def body_of(request: Any, where: Target | None = None) -> dict[str, Any]:
    written: dict[str, Any] = json.loads(CODEC.encode(request, where or target()).body)
    return written


def contents_of(*messages: Message, model: str = "gemini-2.5-flash") -> list[dict[str, Any]]:
    contents: list[dict[str, Any]] = body_of(LLMRequest(messages), target(model))["contents"]
    return contents


def answer_of(body: object, model: str = "gemini-3-flash-preview") -> LLMResponse:
    outcome = CODEC.decode(LLMRequest(()), target(model), body)
    assert isinstance(outcome, Done), outcome
    assert isinstance(outcome.value, LLMResponse)
    return outcome.value


def sse(events: Sequence[Any]) -> bytes:
    """Write the events as Google does: with CRLF."""
    return "".join(f"data: {json.dumps(event, ensure_ascii=False)}\r\n\r\n" for event in events).encode()


def read_pieces(pieces: Sequence[bytes]) -> list[Any]:
    """Return all outputs of a stream, its end included."""
    splitter, decoder = SSESplitter(), CODEC.decoder(LLMRequest((), stream=True), target())
    out: list[Any] = []
    for piece in pieces:
        for event in splitter.feed(piece):
            out.extend(decoder.feed(event))
    for event in splitter.close():
        out.extend(decoder.feed(event))
    if not out or not isinstance(out[-1], Done | Failure):
        out.append(decoder.finish())
    return out


def flat_citation(citation: Citation) -> list[Any]:
    return [citation.url, citation.title, citation.text, citation.start, citation.end]


def flat_logprob(logprob: TokenLogprob) -> list[Any]:
    return [logprob.token, logprob.logprob, [list(pair) for pair in logprob.top]]


def pieces_of(provider_state: ProviderState | None) -> Any:
    return provider_state.data["pieces"] if provider_state else None


def flat(answer: LLMResponse) -> dict[str, Any]:
    """Return an answer as the fixtures write it."""
    return {
        "content": answer.content,
        "reasoning": answer.reasoning,
        "finish_reason": answer.finish_reason,
        "model": answer.model,
        "response_id": answer.response_id,
        "usage": answer.usage,
        "tool_calls": [codec_checks.flat(call) for call in answer.tool_calls],
        "provider_state": pieces_of(answer.provider_state),
        "citations": [flat_citation(citation) for citation in answer.citations],
        "logprobs": [flat_logprob(logprob) for logprob in answer.logprobs],
        "alternatives": [[response.content, response.finish_reason] for response in answer.alternatives],
    }


def call(identifier: str = "c1", name: str = "weather", **arguments: Any) -> ToolCall:
    return ToolCall(identifier, name, arguments)


def candidate(*parts: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": list(parts), "role": "model"}, "finishReason": "STOP", **fields}]}
