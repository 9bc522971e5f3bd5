"""``parallel_tool_calls=False`` applied here, for targets that do not take it: the first call of an answer is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from unified_llm._core.exchange import Event
from unified_llm._core.outcome import Done
from unified_llm.types.responses import LLMChunk, LLMResponse


class FirstCallOnly:
    """Converts the events of one attempt: leaves out every tool call after the first."""

    def __init__(self) -> None:
        self._first: int | None = None  # the index of the first call of a stream

    def convert(self, event: Event) -> Sequence[Event]:
        """Return the event without the calls that were not asked for; nothing where it held nothing else."""
        if isinstance(event, LLMChunk):
            kept = self._cut_chunk(event)
            return (event,) if kept is event else () if kept == LLMChunk() else (kept,)
        if isinstance(event, Done) and isinstance(event.value, LLMResponse):
            answer = event.value
            others = tuple(_cut_response(other) for other in answer.alternatives)
            return (replace(event, value=replace(_cut_response(answer), alternatives=others)),)
        if isinstance(event, Done) and isinstance(event.value, LLMChunk):
            return (replace(event, value=self._cut_chunk(event.value)),)
        return (event,)

    def _cut_chunk(self, chunk: LLMChunk) -> LLMChunk:
        if not chunk.tool_calls:
            return chunk
        if self._first is None:
            self._first = chunk.tool_calls[0].index
        return replace(chunk, tool_calls=tuple(call for call in chunk.tool_calls if call.index == self._first))


def _cut_response(answer: LLMResponse) -> LLMResponse:
    return replace(answer, tool_calls=answer.tool_calls[:1])
