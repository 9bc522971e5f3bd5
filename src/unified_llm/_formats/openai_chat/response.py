"""Whole answers: what a provider's JSON means, however it departs from OpenAI's.

Nothing here raises for what a provider sends. What cannot be read as an answer is a ``Failure``.

What comes with an answer besides its words: log probabilities, sources, and reasoning to be handed back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from unified_llm._core.outcome import Done, Failure
from unified_llm._core.quirks import Quirks
from unified_llm._core.target import Target
from unified_llm._formats import response_fields
from unified_llm._formats.history import Identifiers
from unified_llm._formats.json_values import (
    count,
    is_list,
    is_object,
    object_or_empty,
    non_negative_int,
    read_vector,
    text_or_none,
)
from unified_llm._formats.openai_errors import read_error
from unified_llm._formats.response_fields import finish_reason, read_calls
from unified_llm._lib.bounded_json import finite
from unified_llm.types.messages import ProviderState, ToolCall
from unified_llm.types.records import Usage
from unified_llm.types.requests import EmbeddingRequest, LLMRequest
from unified_llm.types.responses import Citation, EmbeddingResponse, FinishReason, LLMResponse, TokenLogprob


def read_logprobs(choice: Mapping[str, Any]) -> tuple[TokenLogprob, ...]:
    """Those of a choice or of its piece in a stream, in any of three shapes: chat, text completion, Together's."""
    said = choice.get("logprobs")
    if (number := finite(said)) is not None:  # Together streams the number alone, next to the token
        token = text_or_none(object_or_empty(choice.get("delta")).get("content")) or text_or_none(choice.get("text"))
        return () if token is None else (TokenLogprob(token, number, _pairs(choice.get("top_logprobs"))),)
    if not is_object(said):
        return ()
    return response_fields.read_logprobs(content) if is_list(content := said.get("content")) else tuple(_of_text(said))


def _of_text(said: Mapping[str, Any]) -> Iterator[TokenLogprob]:
    """Lists side by side; the first token of a prompt that is echoed has no number."""
    tokens, numbers, likeliest = (said.get(name) for name in ("tokens", "token_logprobs", "top_logprobs"))
    if not is_list(tokens) or not is_list(numbers):
        return
    for index, (token, number) in enumerate(zip(tokens, numbers, strict=False)):
        if isinstance(token, str) and (known := finite(number)) is not None:
            top = likeliest[index] if is_list(likeliest) and index < len(likeliest) else None
            yield TokenLogprob(token, known, _pairs(top))


def _pairs(top: object) -> tuple[tuple[str, float], ...]:
    pairs = ((token, finite(number)) for token, number in object_or_empty(top).items())
    return tuple((token, number) for token, number in pairs if number is not None)


def read_citations(message: Mapping[str, Any]) -> tuple[Citation, ...]:
    """The annotations of a message or a delta: of OpenAI's and OpenRouter's web searches, of Groq's documents."""
    annotations = message.get("annotations")
    return tuple(
        Citation(
            url=text_or_none(said.get("url")),
            title=text_or_none(said.get("title")) or text_or_none(said.get("document_id")),
            text=text_or_none(said.get("content")),
            start=non_negative_int(said.get("start_index")),
            end=non_negative_int(said.get("end_index")),
        )
        for each in (annotations if is_list(annotations) else ())
        if is_object(each) and is_object(said := each.get("url_citation") or each.get("document_citation"))
    )


def read_sources(answer: Mapping[str, Any]) -> tuple[Citation, ...]:
    """The pages that Perplexity names beside its answer, in the order of the numbers in its text."""
    urls, results = answer.get("citations"), answer.get("search_results")
    found = {
        result["url"]: Citation(result["url"], text_or_none(result.get("title")), text_or_none(result.get("snippet")))
        for result in (results if is_list(results) else ())
        if is_object(result) and text_or_none(result.get("url"))
    }
    numbered = [url for url in (urls if is_list(urls) else ()) if text_or_none(url)] or list(found)
    return tuple(found.get(url) or Citation(url) for url in numbered)


# What fragments of one part add to one another; of everything else, the last that says something holds.
_GROWING: Final = ("text", "summary")


class ReasoningDetails:
    """Gathers ``reasoning_details``: whole ones, or the fragments of a stream, which name their part by ``index``.

    They have to go back exactly as they were before they were cut, or signatures do not fit.
    """

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        """Nothing has come."""
        self._parts: list[dict[str, Any]] = []

    def add(self, message: Mapping[str, Any]) -> None:
        """Take in those of a message or a delta."""
        details = message.get("reasoning_details")
        for each in details if is_list(details) else ():
            if is_object(each):
                self._add(each)

    def _add(self, fragment: dict[str, Any]) -> None:
        last = self._parts[-1] if self._parts else {}
        same = all(last.get(name) == fragment.get(name) for name in ("type", "index"))
        if not last or not same or fragment.get("index") is None:
            self._parts.append(dict(fragment))
            return
        for name, value in fragment.items():
            if name in _GROWING and isinstance(value, str):
                last[name] = f"{last.get(name) or ''}{value}"
            elif value is not None:
                last[name] = value

    def provider_state(self, target: Target) -> ProviderState | None:
        """For the history, where the target wants them back."""
        if not self._parts or not target.quirks.reasoning_details:
            return None
        # OpenAI, behind OpenRouter, looks for an identifier of its own in a store in which nothing was stored.
        parts = [
            {name: value for name, value in part.items() if name != "id" or not str(value).startswith("rs_")}
            for part in self._parts
        ]
        return response_fields.keep_state({"reasoning_details": parts}, target)


def details_text(message: Mapping[str, Any]) -> str:
    """The visible reasoning in ``reasoning_details``, for those who send no other (MiniMax)."""
    details = message.get("reasoning_details")
    parts = (each.get("text") for each in (details if is_list(details) else ()) if is_object(each))
    return "".join(part for part in parts if isinstance(part, str))


FINISH: Final[Mapping[str, FinishReason]] = {
    "stop": "stop",
    "eos": "stop",  # Together
    "end_turn": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",  # Mistral
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
# The provider gave up in the middle: OpenRouter and Mistral, OpenRouter, DeepSeek.
_BROKEN_OFF: Final = ("error", "network_error", "insufficient_system_resource")
# More than anybody can ask for (OpenAI: 128).
_MOST_CHOICES: Final = 1024


def read_chat(_: LLMRequest, body: object, target: Target) -> Done | Failure:
    """The answer of ``/chat/completions`` or ``/completions``."""
    answer = read_answer(body, target)
    if isinstance(answer, Failure):
        return answer
    choices = answer.get("choices")
    read = [_read_choice(choice, answer, target) for choice in (choices if is_list(choices) else [])[:_MOST_CHOICES]]
    answers = [each for each in read if isinstance(each, LLMResponse)]
    if not answers:
        return next((each for each in read if isinstance(each, Failure)), Failure("empty"))
    usage = read_usage(answer, target.quirks)
    return Done(replace(answers[0], usage=usage, alternatives=tuple(answers[1:]), raw=answer))


def _read_choice(choice: object, answer: Mapping[str, Any], target: Target) -> LLMResponse | Failure:
    if not is_object(choice):
        return Failure("empty")
    broken = broken_off(choice, target)
    if broken is not None:
        return broken
    message = message_of(choice, "message")
    content, reasoning = read_content(message)
    calls = tuple(_tool_calls(message))
    refusal = text_or_none(message.get("refusal"))
    reason = finish_reason(choice.get("finish_reason"), FINISH, target, has_calls=bool(calls))
    if reason in {"stop", "tool_calls"} and not (content or reasoning or calls or refusal):
        return Failure("empty")
    details = ReasoningDetails()
    details.add(message)
    return LLMResponse(
        content=content,
        model=text_or_none(answer.get("model")) or target.model,
        provider=target.provider,
        finish_reason=reason,
        response_id=text_or_none(answer.get("id")),
        tool_calls=calls,
        reasoning=reasoning or None,
        refusal=refusal,
        citations=read_citations(message) or read_sources(answer),
        logprobs=read_logprobs(choice),
        provider_state=details.provider_state(target),
    )


def message_of(choice: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What a choice says: a message, a delta, or the bare text of a completion."""
    message = choice.get(name)
    if is_object(message):
        return message
    return {"content": choice["text"]} if isinstance(choice.get("text"), str) else {}


def read_embeddings(request: EmbeddingRequest, body: object, target: Target) -> Done | Failure:
    """The answer of ``/embeddings``: as many vectors as there were texts, in their order, all of one length."""
    answer = read_answer(body, target)
    if isinstance(answer, Failure):
        return answer
    rows = answer.get("data")
    vectors: dict[int, list[float]] = {}
    for position, each in enumerate(rows if is_list(rows) else ()):
        row = object_or_empty(each)
        index, vector = row.get("index", position), read_vector(row.get("embedding"))
        if vector is not None and isinstance(index, int):
            vectors[index] = vector
    wanted = range(len(request.texts))
    if sorted(vectors) != list(wanted) or len({len(vector) for vector in vectors.values()}) > 1:
        return Failure("malformed")
    model = text_or_none(answer.get("model")) or target.model
    usage = read_usage(answer, target.quirks)
    return Done(EmbeddingResponse([vectors[index] for index in wanted], model, target.provider, usage))


def read_answer(body: object, target: Target) -> dict[str, Any] | Failure:
    """The body if it is one, rather than an error at status 200 or no JSON object at all."""
    if is_list(body) and len(body) == 1:
        body = body[0]
    if not is_object(body):
        return Failure("malformed")
    return read_error(body, target) if is_error(body) else body


def is_error(body: Mapping[str, Any]) -> bool:
    """Whether a body or a chunk is an error, in spite of its status; MiniMax says so in ``base_resp``."""
    if body.get("error") or body.get("object") == "error":
        return True
    if "base_resp" not in body:
        return False
    status = object_or_empty(body["base_resp"]).get("status_code")
    return status is not None and status != 0


def read_content(message: Mapping[str, Any]) -> tuple[str, str]:
    """Text and visible reasoning of a message or a delta. Mistral sends both in one list of parts."""
    content = message.get("content")
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    if not reasoning and "reasoning_details" in message:
        reasoning = details_text(message)
    text = content if isinstance(content, str) else ""
    thoughts = reasoning if isinstance(reasoning, str) else ""
    if is_list(content):
        text = "".join(_texts(content, "text"))
        thoughts += "".join(
            thought
            for part in content
            if is_object(part) and part.get("type") == "thinking"
            for thought in _texts(part.get("thinking"), "text")
        )
    return text, thoughts


def _texts(parts: object, kind: str) -> Iterator[str]:
    if isinstance(parts, str):
        yield parts
    elif is_list(parts):
        for part in parts:
            if is_object(part) and part.get("type") == kind and isinstance(part.get("text"), str):
                yield part["text"]


def _tool_calls(message: Mapping[str, Any]) -> Iterator[ToolCall]:
    calls = message.get("tool_calls")
    if not calls and is_object(message.get("function_call")):
        calls = [{"function": message["function_call"]}]  # what OpenAI sent before there were tools
    yield from read_calls(calls, Identifiers())


def broken_off(choice: Mapping[str, Any], target: Target) -> Failure | None:
    """What a choice says that ended because the provider failed."""
    if is_object(choice.get("error")):
        return read_error(choice, target)
    for name in ("finish_reason", "native_finish_reason"):
        reason = choice.get(name)
        if isinstance(reason, str) and reason in _BROKEN_OFF:
            return Failure("server", code=reason)
    return None


def read_usage(body: Mapping[str, Any], quirks: Quirks) -> Usage | None:
    """Tokens counted in our one way, or None where the provider says nothing. What is missing or negative counts 0."""
    usage = body.get("usage")
    if not is_object(usage) or not usage:
        return None
    before = object_or_empty(usage.get("prompt_tokens_details"))
    after = object_or_empty(usage.get("completion_tokens_details"))
    prompt, completion = count(usage.get("prompt_tokens")), count(usage.get("completion_tokens"))
    total = count(usage.get("total_tokens"))
    reasoning = count(after.get("reasoning_tokens")) or count(usage.get("reasoning_tokens"))
    if quirks.reasoning_apart and (total == 0 or total >= prompt + completion + reasoning):
        completion += reasoning
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=max(total, prompt + completion),
        # DeepSeek and Moonshot have names of their own for what the cache gave.
        cached_tokens=count(before.get("cached_tokens"))
        or count(usage.get("prompt_cache_hit_tokens"))
        or count(usage.get("cached_tokens")),
        cache_write_tokens=count(before.get("cache_write_tokens")),
        reasoning_tokens=reasoning,
        audio_tokens=count(before.get("audio_tokens")),
        audio_output_tokens=count(after.get("audio_tokens")),
    )
