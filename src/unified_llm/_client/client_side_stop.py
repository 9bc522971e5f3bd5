"""Stop sequences that are applied here, for targets that do not take them: the answer ends before the first one.

A stream ends there, and the rest of it is not read: the connection is closed, and the tokens used are not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from unified_llm._core.exchange import Event
from unified_llm._core.outcome import Done
from unified_llm._lib.stop_strings import StopFilter
from unified_llm.types.responses import Citation, LLMChunk, LLMResponse, TokenLogprob


class ClientSideStop:
    """Converts the events of one attempt. Only the text of the answer is searched, no reasoning and no arguments.

    Text is held back while it may be the beginning of a stop sequence.

    Args:
        texts: The stop sequences.
    """

    def __init__(self, texts: tuple[str, ...]) -> None:
        self._texts, self._filter = texts, StopFilter(texts)

    def convert(self, event: Event) -> Sequence[Event]:
        """Return the part of an event that comes before the first stop sequence, and the end once it was found."""
        if isinstance(event, LLMChunk):
            return self._cut_chunk(event)
        if isinstance(event, Done):
            return self._finish(event)
        held = self._filter.flush()
        return (LLMChunk(content=held), event) if held else (event,)

    def _cut_chunk(self, chunk: LLMChunk) -> Sequence[Event]:
        text = self._filter.feed(chunk.content)
        if self._filter.stopped:
            # What follows the text, in the same chunk or later, would not have been generated.
            reasoning_and_text = LLMChunk(content=text, reasoning=chunk.reasoning)
            end = Done(LLMChunk(finish_reason="stop", model=chunk.model, provider=chunk.provider))
            return (end,) if reasoning_and_text == LLMChunk() else (reasoning_and_text, end)
        if chunk.tool_calls or chunk.refusal:
            text += self._filter.flush()
        if text == chunk.content:
            return (chunk,)
        passed = replace(chunk, content=text)
        return () if passed == LLMChunk() else (passed,)

    def _finish(self, done: Done) -> Sequence[Event]:
        if isinstance(done.value, LLMResponse):
            answers = [_cut_response(answer, self._texts) for answer in (done.value, *done.value.alternatives)]
            return (replace(done, value=replace(answers[0], alternatives=tuple(answers[1:]))),)
        last: LLMChunk = done.value
        text = self._filter.feed(last.content)
        if self._filter.stopped:
            return (replace(done, value=replace(last, content=text, tool_calls=(), finish_reason="stop")),)
        text += self._filter.flush()
        return (done if text == last.content else replace(done, value=replace(last, content=text)),)


def _cut_response(answer: LLMResponse, texts: tuple[str, ...]) -> LLMResponse:
    """Return a whole answer as it would be if the model had stopped."""
    stops = StopFilter(texts)
    text = stops.feed(answer.content)
    if not stops.stopped:
        return answer
    return replace(
        answer,
        content=text,
        finish_reason="stop",
        tool_calls=(),
        citations=_cited_in(answer.citations, len(text)),
        logprobs=_tokens_of(answer.logprobs, len(text)),
    )


def _cited_in(citations: Sequence[Citation], length: int) -> tuple[Citation, ...]:
    return tuple(citation for citation in citations if citation.end is None or citation.end <= length)


def _tokens_of(tokens: Sequence[TokenLogprob], length: int) -> tuple[TokenLogprob, ...]:
    kept: list[TokenLogprob] = []
    for token in tokens:
        length -= len(token.token)
        if length < 0:
            break
        kept.append(token)
    return tuple(kept)
