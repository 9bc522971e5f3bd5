"""What a provider object gave, held to the shapes that it promised.

What has another shape is a mistake in its code, and a ``TypeError`` that names the place: it would come up far from
there otherwise. What is plainly meant is taken: None for no text, a whole tool call in a stream.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar, cast, get_args

from unified_llm.exchange import Event
from unified_llm.jsonx import dump
from unified_llm.messages import ToolCall, ToolCallChunk
from unified_llm.outcome import Done, Failure
from unified_llm.pieces import as_chunks
from unified_llm.types import EmbeddingResponse, FinishReason, LLMChunk, LLMResponse, ModelInfo, Usage

_REASONS: Final[tuple[str, ...]] = get_args(FinishReason)
_Answer = TypeVar("_Answer", LLMResponse, LLMChunk)


def whole(answer: Any) -> Event:
    """A whole answer."""
    said = _response(answer)
    says = said.content or said.tool_calls or said.refusal or said.reasoning
    return Done(said) if says or said.finish_reason != "stop" else Failure("empty")


def in_pieces(answer: Any) -> Iterator[Event]:
    """A whole answer, to someone who asked for a stream."""
    end = whole(answer)
    if isinstance(end, Done):
        said, last = as_chunks(end.value)
        yield from () if said is None else (said,)
        end = Done(last)
    yield end


def vectors(answer: Any) -> Event:
    """What ``embed`` returned: the response, or the vectors alone."""
    if isinstance(answer, EmbeddingResponse):
        return Done(answer)
    if not _is_list(answer) or not all(map(_is_list, answer := list(answer))):
        raise TypeError(f"embed returned {_kind(answer)}, where an EmbeddingResponse or a list of vectors is wanted.")
    return Done(EmbeddingResponse([[float(number) for number in vector] for vector in answer]))


def models(answer: Any, provider: str) -> Event:
    """What ``list_models`` returned."""
    if not _is_list(answer):
        raise TypeError(f"list_models returned {_kind(answer)}, where an iterable of ModelInfo or names is wanted.")
    return Done((tuple(_model(each, provider) for each in answer), None))


def _model(listed: Any, provider: str) -> ModelInfo:
    if isinstance(listed, ModelInfo):
        return replace(listed, provider=provider)
    if isinstance(listed, str):
        return ModelInfo(listed, provider)
    raise TypeError(f"list_models returned a list with {_kind(listed)} in it, where a ModelInfo or a name is wanted.")


class Pieces:
    """A stream of the object's: whole when its iterator has ended.

    Facts about the answer (why it finished, the tokens spent ...) may come on any piece; here they go on the last.
    """

    def __init__(self) -> None:
        """Nothing has been said yet."""
        self._facts: dict[str, Any] = {}
        self._said = self._called = False
        self._calls = 0  # so many places of tool calls are taken

    def take(self, piece: Any) -> LLMChunk | None:
        """What the piece says; None if it says nothing."""
        chunk = LLMChunk(piece) if isinstance(piece, str) else piece
        if not isinstance(chunk, LLMChunk):
            raise TypeError(f"A provider streamed {_kind(piece)}, where an LLMChunk or a text is wanted.")
        chunk = _checked(chunk)
        names = ["finish_reason", "usage", "response_id", "model", "sealed"]
        if chunk.finish_reason is not None or chunk.usage is not None:
            names.append("raw")
        told = {name: value for name in names if (value := getattr(chunk, name)) is not None}
        self._facts.update(told)
        says = LLMChunk(
            chunk.content, chunk.reasoning, tuple(map(self._fragment, chunk.tool_calls)), chunk.refusal,
            chunk.citations, chunk.logprobs, raw=None if "raw" in told else chunk.raw,
        )  # fmt: skip
        self._called = self._called or bool(says.tool_calls)
        if says.content or says.reasoning or says.refusal or says.tool_calls:
            self._said = True
            return says
        return says if says.citations or says.logprobs else None

    def _fragment(self, call: ToolCall | ToolCallChunk) -> ToolCallChunk:
        """A fragment as it is; a whole call in a place of its own."""
        if isinstance(call, ToolCall):
            call = ToolCallChunk(self._calls, call.id, call.name, written(call).raw_arguments)
        self._calls = max(self._calls, call.index + 1)
        return call

    def end(self) -> Event:
        """The last event of the stream."""
        reason = _reason(self._facts.pop("finish_reason", "stop"), called=self._called)
        return Done(LLMChunk(finish_reason=reason, **self._facts)) if self._said or reason != "stop" else _SILENCE


_SILENCE: Final = Failure("empty")


def written(call: ToolCall) -> ToolCall:
    """The call, with the text of its arguments if that was left out."""
    return call if call.raw_arguments or not call.arguments else replace(call, raw_arguments=dump(call.arguments))


def _response(answer: Any) -> LLMResponse:
    said = LLMResponse(answer) if isinstance(answer, str) else answer
    if not isinstance(said, LLMResponse):
        raise TypeError(f"A provider answered with {_kind(answer)}, where an LLMResponse or a text is wanted.")
    said = _checked(said)
    calls = tuple(written(call) for call in said.tool_calls if isinstance(call, ToolCall))
    if len(calls) != len(said.tool_calls):
        raise TypeError("A whole answer has fragments in its tool_calls, where whole calls (ToolCall) are wanted.")
    return replace(
        said,
        tool_calls=calls,
        finish_reason=_reason(said.finish_reason, called=bool(calls)),
        alternatives=tuple(map(_response, said.alternatives)),
    )


def _reason(reason: FinishReason, *, called: bool) -> FinishReason:
    """An answer that calls tools has finished for that, said or not."""
    return "tool_calls" if called and reason == "stop" else reason


def _checked(answer: _Answer) -> _Answer:
    """An answer or a piece of one whose texts, calls and facts are what their names say."""
    where = type(answer).__name__
    for name in ("content", "reasoning", "refusal"):
        text = getattr(answer, name)
        if text is None:  # as OpenAI's SDK has it
            answer = cast("_Answer", replace(cast("Any", answer), **{name: ""}))
        elif not isinstance(text, str):
            raise TypeError(f"A provider's {where} has {_kind(text)} in {name}, where a text is wanted.")
    wrong = [call for call in answer.tool_calls if not isinstance(call, (ToolCall, ToolCallChunk))]
    if wrong:
        raise TypeError(f"A provider's {where} has {_kind(wrong[0])} in tool_calls, where a ToolCall is wanted.")
    if not isinstance(answer.usage, (Usage, type(None))):
        raise TypeError(f"A provider's {where} has {_kind(answer.usage)} in usage, where a Usage is wanted.")
    if answer.finish_reason not in (*_REASONS, None):
        raise TypeError(f"A provider's {where} has another finish_reason than {', '.join(_REASONS)}.")
    return answer


def _is_list(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping))


def _kind(value: Any) -> str:
    return type(value).__name__
