"""What an LLM object of LlamaIndex's answered, read as an answer of ours.

The last response itself goes along as ``raw``, so that its blocks reach the caller as the LLM wrote them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from llama_index.core.callbacks.token_counting import get_tokens_from_response

from unified_llm.exchange import Event
from unified_llm.llama_index.messages import read_messages
from unified_llm.messages import ToolCallChunk
from unified_llm.outcome import Done, Failure
from unified_llm.types import FinishReason, LLMChunk, LLMResponse, Usage

if TYPE_CHECKING:
    from llama_index.core.base.llms.types import ChatMessage, ChatResponse

    from unified_llm.llama_index.foreign import ForeignLLM

_REASONS: Final[Mapping[str, FinishReason]] = {
    "length": "length",
    "max_tokens": "length",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "refusal": "content_filter",
}


def read_whole(foreign: ForeignLLM, response: ChatResponse) -> Done | Failure:
    """A whole answer."""
    read = read_messages([_assistant(response.message)])[0]
    if not (read.content or read.tool_calls or read.reasoning):
        return Failure("empty")
    return Done(
        LLMResponse(
            content=read.text,
            model=_model(foreign, response),
            provider=foreign.provider,
            finish_reason=_finish_reason(response, calls=bool(read.tool_calls)),
            usage=_usage(response),
            tool_calls=read.tool_calls,
            reasoning=read.reasoning,
            raw=response,
        )
    )


class ResponseReader:
    """Reads one stream of responses, each of which holds everything so far."""

    def __init__(self, foreign: ForeignLLM) -> None:
        """Nothing has been seen yet."""
        self._foreign = foreign
        self._last: ChatResponse | None = None
        self._seen = 0

    def feed(self, response: ChatResponse) -> LLMChunk | None:
        """One response; None if there is nothing new in it to hand out. Tool calls wait until they are whole."""
        self._last = response
        text = response.message.content or ""
        content = text[self._seen :] if response.delta is None else response.delta
        self._seen = max(len(text), self._seen)
        reasoning = response.additional_kwargs.get("thinking_delta") or ""
        return LLMChunk(content=content, reasoning=reasoning) if content or reasoning else None

    def finish(self) -> Iterator[Event]:
        """The calls, and the last chunk."""
        response = self._last
        whole = read_whole(self._foreign, response) if response else Failure("empty")
        if response is None or isinstance(whole, Failure):
            yield Failure("empty")
            return
        answer: LLMResponse = whole.value
        if answer.tool_calls:
            calls = (
                ToolCallChunk(index, call.id, call.name, call.raw_arguments)
                for index, call in enumerate(answer.tool_calls)
            )
            yield LLMChunk(tool_calls=tuple(calls))
        yield Done(
            LLMChunk(
                finish_reason=answer.finish_reason,
                usage=answer.usage,
                model=answer.model,
                provider=answer.provider,
                raw=response,
            )
        )


def _assistant(message: ChatMessage) -> ChatMessage:
    """Some LLMs forget to say that it is they who speak."""
    return message if message.role == "assistant" else message.model_copy(update={"role": "assistant"})


def _model(foreign: ForeignLLM, response: ChatResponse) -> str:
    named = _get(response.raw, "model")
    return named if isinstance(named, str) and named else foreign.model


def _finish_reason(response: ChatResponse, *, calls: bool) -> FinishReason:
    choices = _get(response.raw, "choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    said = _get(first, "finish_reason") or _get(response.raw, "stop_reason") or _get(response.raw, "done_reason")
    return _REASONS.get(str(said).lower()) or ("tool_calls" if calls else "stop")


def _usage(response: ChatResponse) -> Usage | None:
    prompt, completion = 0, 0
    with suppress(Exception):  # it expects raw answers that can be read as a dict
        prompt, completion = get_tokens_from_response(response)
    return Usage(prompt, completion, prompt + completion) if prompt or completion else None


def _get(holder: Any, name: str) -> Any:
    return holder.get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)
