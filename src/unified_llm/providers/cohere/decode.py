"""Whole answers: what the JSON of ``/v2/chat`` means. Nothing here raises for what the provider sends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from unified_llm.jsonx import finite
from unified_llm.messages import Sealed
from unified_llm.outcome import Done, Failure
from unified_llm.providers import reading
from unified_llm.providers.calls import Identifiers
from unified_llm.providers.cohere.errors import read_error
from unified_llm.providers.numbers import count, place
from unified_llm.providers.shapes import brief, is_list, is_object, object_or_empty, text_or_none
from unified_llm.target import Target
from unified_llm.types import Citation, FinishReason, LLMRequest, LLMResponse, TokenLogprob, Usage

_FINISH: Final[Mapping[str, FinishReason]] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
}
# The provider gave up in the middle.
_BROKEN_OFF: Final = frozenset({"ERROR", "TIMEOUT"})


def read_chat(_: LLMRequest, body: object, target: Target) -> Done | Failure:
    """The answer of ``/v2/chat``."""
    if not is_object(body):
        return Failure("malformed")
    message = body.get("message")
    if not is_object(message):
        return read_error(body) if isinstance(message, str) else Failure("malformed")
    texts, thoughts = _texts(message)
    content, plan = "".join(texts.values()), text_or_none(message.get("tool_plan")) or ""
    calls = tuple(reading.read_calls(message.get("tool_calls"), Identifiers()))
    end = read_end(body, target, spoke=bool(content or thoughts or plan or calls), has_calls=bool(calls))
    if isinstance(end, Failure):
        return end
    return Done(
        LLMResponse(
            content=content,
            model=target.model,
            provider=target.provider,
            finish_reason=end,
            response_id=text_or_none(body.get("id")),
            usage=read_usage(body.get("usage")),
            tool_calls=calls,
            reasoning=thoughts + plan or None,
            citations=tuple(_citations(message, texts)),
            logprobs=read_logprobs(body.get("logprobs")),
            sealed=seal(thoughts, plan, target, has_calls=bool(calls)),
            raw=body,
        )
    )


def _texts(message: Mapping[str, Any]) -> tuple[dict[int, str], str]:
    """The texts, by their places in the list of blocks, and the reasoning."""
    blocks = message.get("content")
    if isinstance(blocks, str):
        return {0: blocks}, ""
    texts: dict[int, str] = {}
    thoughts = ""
    for index, block in enumerate(blocks if is_list(blocks) else ()):
        text, thought = read_block(block)
        if text:
            texts[index] = text
        thoughts += thought
    return texts, thoughts


def read_block(block: object) -> tuple[str, str]:
    """Text and reasoning of a block of content, or of a piece of one."""
    known = object_or_empty(block)
    return text_or_none(known.get("text")) or "", text_or_none(known.get("thinking")) or ""


def _citations(message: Mapping[str, Any], texts: Mapping[int, str]) -> Iterator[Citation]:
    citations = message.get("citations")
    for citation in citations if is_list(citations) else ():
        index = object_or_empty(citation).get("content_index")
        before = sum(len(text) for place, text in texts.items() if isinstance(index, int) and place < index)
        yield from read_citation(citation, before)


def read_citation(citation: object, before: int) -> Iterator[Citation]:
    """One for each source. Places are counted from the start of a block, which has so much text ``before`` it.

    What a plan or the reasoning rests on has no place in the text.
    """
    if not is_object(citation):
        return
    in_text = citation.get("type") in {None, "TEXT_CONTENT"}
    start, end = (place(citation.get(name), before) if in_text else None for name in ("start", "end"))
    sources = citation.get("sources")
    for source in sources if is_list(sources) and sources else ({},):
        known = object_or_empty(source)
        document = object_or_empty(known.get("document"))
        yield Citation(
            url=text_or_none(document.get("url")),
            title=text_or_none(document.get("title")) or text_or_none(known.get("id")),
            text=text_or_none(citation.get("text")),
            start=start,
            end=end,
        )


def read_logprobs(items: object) -> tuple[TokenLogprob, ...]:
    """The log probabilities. A text of several tokens is as likely as all of them together."""
    read: list[TokenLogprob] = []
    for item in items if is_list(items) else ():
        values = item.get("logprobs") if is_object(item) else None
        numbers = [number for each in (values if is_list(values) else ()) if (number := finite(each)) is not None]
        text = object_or_empty(item).get("text")
        if numbers and isinstance(text, str):
            read.append(TokenLogprob(text, sum(numbers)))
    return tuple(read)


def read_end(body: Mapping[str, Any], target: Target, *, spoke: bool, has_calls: bool) -> FinishReason | Failure:
    """Why it ended, from an answer or the last event of a stream. An unknown reason is a ``stop``."""
    said = body.get("finish_reason")
    if isinstance(said, str) and said in _BROKEN_OFF:
        return Failure("server", code=said, detail=brief(body.get("error")))
    reason = reading.finish_reason(said, _FINISH, target, has_calls=has_calls)
    return reason if spoke or reason == "length" else Failure("empty")


def read_usage(usage: object) -> Usage | None:
    """Tokens that the model read and wrote; those that are billed, which are fewer, where nothing else is said."""
    if not is_object(usage):
        return None
    counted = object_or_empty(usage.get("tokens")) or object_or_empty(usage.get("billed_units"))
    if not {"input_tokens", "output_tokens"} & counted.keys():
        return None
    prompt, completion = count(counted.get("input_tokens")), count(counted.get("output_tokens"))
    return Usage(prompt, completion, prompt + completion, cached_tokens=count(usage.get("cached_tokens")))


def seal(thoughts: str, plan: str, target: Target, *, has_calls: bool) -> Sealed | None:
    """What led to calls, for the turn that brings their results."""
    kept = {name: text for name, text in (("thinking", thoughts), ("tool_plan", plan)) if text}
    return reading.seal(kept, target) if kept and has_calls else None
