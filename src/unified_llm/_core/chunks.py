"""Conversion of whole responses to chunks and back, for servers that send the shape that was not asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unified_llm._lib.bounded_json import strict_arguments
from unified_llm.types.messages import ToolCall, ToolCallChunk
from unified_llm.types.responses import Citation, LLMChunk, LLMResponse, TokenLogprob

if TYPE_CHECKING:
    from collections.abc import Iterable


def as_chunks(response: LLMResponse) -> tuple[LLMChunk | None, LLMChunk]:
    """Split a response into one chunk of content (None where it has none) and the last chunk of its stream."""
    content = LLMChunk(
        content=response.content,
        reasoning=response.reasoning or "",
        tool_calls=tuple(
            ToolCallChunk(
                index, call.id, call.name, call.raw_arguments and strict_arguments(call.raw_arguments), call.from_text
            )
            for index, call in enumerate(response.tool_calls)
        ),
        refusal=response.refusal or "",
        citations=response.citations,
        logprobs=response.logprobs,
    )
    last = LLMChunk(
        finish_reason=response.finish_reason,
        usage=response.usage,
        response_id=response.response_id,
        model=response.model or None,
        provider=response.provider or None,
        provider_state=response.provider_state,
        raw=response.raw,
    )
    return (content if content != LLMChunk() else None), last


def as_response(chunks: Iterable[LLMChunk], last: LLMChunk) -> LLMResponse:
    """Join chunks into the whole response."""
    joined = JoinedChunks()
    for chunk in chunks:
        joined.add(chunk)
    return joined.as_response(last)


class JoinedChunks:
    """The content of the chunks of one stream, without the chunks themselves, which take more memory than their text.

    Every ``add`` takes time in proportion to its chunk.
    """

    __slots__ = ("_calls", "_citations", "_content", "_from_text", "_logprobs", "_reasoning", "_refusal")

    def __init__(self) -> None:
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._refusal: list[str] = []
        self._calls: dict[int, tuple[list[str], list[str], list[str]]] = {}  # identifiers, names, arguments
        self._from_text = False  # the calls: all of an answer's, or none
        self._citations: list[Citation] = []
        self._logprobs: list[TokenLogprob] = []

    def add(self, chunk: LLMChunk) -> None:
        """Add the next chunk."""
        if chunk.content:
            self._content.append(chunk.content)
        if chunk.reasoning:
            self._reasoning.append(chunk.reasoning)
        if chunk.refusal:
            self._refusal.append(chunk.refusal)
        for fragment in chunk.tool_calls:
            identifiers, names, arguments = self._calls.setdefault(fragment.index, ([], [], []))
            if fragment.id and not identifiers:
                identifiers.append(fragment.id)
            if fragment.name and not names:
                names.append(fragment.name)
            if fragment.arguments:
                arguments.append(fragment.arguments)
            self._from_text = fragment.from_text
        self._citations += chunk.citations
        self._logprobs += chunk.logprobs

    def as_response(self, last: LLMChunk) -> LLMResponse:
        """Return the whole response, whose other fields are those of the last chunk."""
        self.add(last)
        return LLMResponse(
            content="".join(self._content),
            model=last.model or "",
            provider=last.provider or "",
            finish_reason=last.finish_reason or "stop",
            response_id=last.response_id,
            usage=last.usage,
            tool_calls=tuple(
                ToolCall.parse("".join(identifiers), "".join(names), "".join(arguments), from_text=self._from_text)
                for _, (identifiers, names, arguments) in sorted(self._calls.items())
            ),
            reasoning="".join(self._reasoning) or None,
            refusal="".join(self._refusal) or None,
            citations=tuple(self._citations),
            logprobs=tuple(self._logprobs),
            provider_state=last.provider_state,
            raw=last.raw,
        )
