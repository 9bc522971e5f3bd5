"""Read whole responses, including providers' variations of OpenAI's format.

Besides the text: tool calls, log probabilities, citations, and reasoning that must be sent back. Nothing here raises
for anything that a provider sends; a body that is not a response is a ``Failure``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from unified_llm._core.outcome import Done, Failure
from unified_llm._core.quirks import Quirks
from unified_llm._core.target import Target
from unified_llm._formats import finish_reasons, response_fields
from unified_llm._formats.finish_reasons import is_answer, read_finish_reason
from unified_llm._formats.history import Identifiers
from unified_llm._formats.json_values import (
    count,
    is_list,
    is_object,
    non_negative_int,
    object_or_empty,
    read_vector,
    text_or_none,
)
from unified_llm._formats.openai_errors import read_error
from unified_llm._formats.response_fields import read_calls, unusable_vectors
from unified_llm._lib.bounded_json import finite, size_of_value
from unified_llm.types.messages import ProviderState, ToolCall
from unified_llm.types.records import Usage
from unified_llm.types.requests import EmbeddingRequest, LLMRequest
from unified_llm.types.responses import Citation, EmbeddingResponse, LLMResponse, TokenLogprob


def read_logprobs(choice: Mapping[str, Any]) -> tuple[TokenLogprob, ...]:
    """Read log probabilities of a choice, whole or streamed, in one of three shapes: chat, completion, Together."""
    logprobs = choice.get("logprobs")
    if (number := finite(logprobs)) is not None:  # Together streams the number alone, next to the token
        token = text_or_none(object_or_empty(choice.get("delta")).get("content")) or text_or_none(choice.get("text"))
        return () if token is None else (TokenLogprob(token, number, _token_pairs(choice.get("top_logprobs"))),)
    if not is_object(logprobs):
        return ()
    content = logprobs.get("content")
    return response_fields.read_logprobs(content) if is_list(content) else tuple(_read_text_logprobs(logprobs))


def _read_text_logprobs(logprobs: Mapping[str, Any]) -> Iterator[TokenLogprob]:
    """Read parallel lists of tokens and numbers; the first token of an echoed prompt has no number."""
    tokens, token_logprobs, top_logprobs = (logprobs.get(name) for name in ("tokens", "token_logprobs", "top_logprobs"))
    if not is_list(tokens) or not is_list(token_logprobs):
        return
    for index, (token, number) in enumerate(zip(tokens, token_logprobs, strict=False)):
        if isinstance(token, str) and (logprob := finite(number)) is not None:
            top = top_logprobs[index] if is_list(top_logprobs) and index < len(top_logprobs) else None
            yield TokenLogprob(token, logprob, _token_pairs(top))


def _token_pairs(top: object) -> tuple[tuple[str, float], ...]:
    pairs = ((token, finite(number)) for token, number in object_or_empty(top).items())
    return tuple((token, number) for token, number in pairs if number is not None)


def read_citations(message: Mapping[str, Any]) -> tuple[Citation, ...]:
    """Read annotations of a message or a delta: OpenAI's and OpenRouter's web searches, Groq's documents."""
    annotations = message.get("annotations")
    return tuple(
        Citation(
            url=text_or_none(citation.get("url")),
            title=text_or_none(citation.get("title")) or text_or_none(citation.get("document_id")),
            text=text_or_none(citation.get("content")),
            start=non_negative_int(citation.get("start_index")),
            end=non_negative_int(citation.get("end_index")),
        )
        for annotation in (annotations if is_list(annotations) else ())
        if is_object(annotation)
        and is_object(citation := annotation.get("url_citation") or annotation.get("document_citation"))
    )


def read_sources(answer: Mapping[str, Any]) -> tuple[Citation, ...]:
    """Read the pages that Perplexity lists next to its response, in the order of the reference numbers in its text."""
    urls, results = answer.get("citations"), answer.get("search_results")
    by_url = {
        result["url"]: Citation(result["url"], text_or_none(result.get("title")), text_or_none(result.get("snippet")))
        for result in (results if is_list(results) else ())
        if is_object(result) and text_or_none(result.get("url"))
    }
    ordered_urls = [url for url in (urls if is_list(urls) else ()) if text_or_none(url)] or list(by_url)
    return tuple(by_url.get(url) or Citation(url) for url in ordered_urls)


# Fields whose fragments are concatenated; of every other field the last value that is not null counts.
_APPENDED: Final = ("text", "summary")
_MISSING: Final = object()


class ReasoningDetails:
    """Collects ``reasoning_details``: whole ones, or fragments of a stream, which identify their part by ``index``.

    Reassembled parts must equal the originals exactly, or signatures do not match.
    """

    __slots__ = ("_parts", "_texts", "size")

    def __init__(self) -> None:
        self._parts: list[dict[str, Any]] = []
        self._texts: list[dict[str, list[str]]] = []  # of each part, the fragments of its appended fields
        self.size = 0  # bytes, roughly

    def add(self, message: Mapping[str, Any]) -> None:
        """Add the reasoning details of a message or a delta."""
        details = message.get("reasoning_details")
        for detail in details if is_list(details) else ():
            if is_object(detail):
                self._add(detail)

    def _add(self, fragment: dict[str, Any]) -> None:
        last = self._parts[-1] if self._parts else {}
        same_part = all(last.get(name) == fragment.get(name) for name in ("type", "index"))
        is_new = not last or not same_part or fragment.get("index") is None
        if is_new:
            last = {}
            self._parts.append(last)
            self._texts.append({})
            self.size += size_of_value(last)
        texts = self._texts[-1]
        for name, value in fragment.items():
            if name in _APPENDED and isinstance(value, str):
                last.setdefault(name, "")
                texts.setdefault(name, []).append(value)
                self.size += size_of_value(value)
            elif (value is not None or is_new) and last.get(name, _MISSING) != value:
                last[name] = value
                self.size += size_of_value(name) + size_of_value(value)

    def _joined(self) -> Iterator[dict[str, Any]]:
        for part, texts in zip(self._parts, self._texts, strict=True):
            yield {**part, **{name: "".join(fragments) for name, fragments in texts.items()}}

    def provider_state(self, target: Target) -> ProviderState | None:
        """Return the provider state for the history, if the target requires the details back."""
        if not self._parts or not target.quirks.reasoning_details:
            return None
        # OpenAI, behind OpenRouter, looks up its own identifiers, but nothing was stored there.
        parts = [
            {name: value for name, value in part.items() if name != "id" or not str(value).startswith("rs_")}
            for part in self._joined()
        ]
        return response_fields.keep_state({"reasoning_details": parts}, target)


def details_text(message: Mapping[str, Any]) -> str:
    """Return the visible reasoning in ``reasoning_details``, for providers that send no other (MiniMax)."""
    details = message.get("reasoning_details")
    parts = (detail.get("text") for detail in (details if is_list(details) else ()) if is_object(detail))
    return "".join(part for part in parts if isinstance(part, str))


# More than any provider accepts (OpenAI: 128).
_MAX_CHOICES: Final = 1024


def read_chat(_: LLMRequest, body: object, target: Target) -> Done | Failure:
    """Read the response of ``/chat/completions`` or ``/completions``."""
    answer = read_answer(body, target)
    if isinstance(answer, Failure):
        return answer
    choices = answer.get("choices")
    results = [_read_choice(choice, answer, target) for choice in (choices if is_list(choices) else [])[:_MAX_CHOICES]]
    answers = [result for result in results if isinstance(result, LLMResponse)]
    if not answers:
        return next((result for result in results if isinstance(result, Failure)), Failure("empty"))
    usage = read_usage(answer, target.quirks)
    return Done(replace(answers[0], usage=usage, alternatives=tuple(answers[1:]), raw=answer))


def _read_choice(choice: object, answer: Mapping[str, Any], target: Target) -> LLMResponse | Failure:
    if not is_object(choice):
        return Failure("empty")
    interruption = read_interruption(choice, target)
    if interruption is not None:
        return interruption
    message = get_message(choice, "message")
    content, reasoning = read_content(message)
    calls = tuple(_read_tool_calls(message))
    refusal = text_or_none(message.get("refusal"))
    has_content = is_answer(content, reasoning) or bool(calls or refusal) or has_media(message)
    reason = read_finish_reason(choice.get("finish_reason"), target, has_content=has_content, has_calls=bool(calls))
    if isinstance(reason, Failure):
        return reason
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


def get_message(choice: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the content of a choice: a message, a delta, or the bare text of a completion."""
    message = choice.get(name)
    if is_object(message):
        return message
    return {"content": choice["text"]} if isinstance(choice.get("text"), str) else {}


def read_embeddings(request: EmbeddingRequest, body: object, target: Target) -> Done | Failure:
    """Read the response of ``/embeddings``: one vector per text, in the order of the texts, all of equal length."""
    answer = read_answer(body, target)
    if isinstance(answer, Failure):
        return answer
    rows = answer.get("data")
    wanted = range(len(request.texts))
    vectors: dict[int, list[float]] = {}
    for position, item in enumerate(rows if is_list(rows) else ()):
        row = object_or_empty(item)
        index, vector = row.get("index", position), read_vector(row.get("embedding"))
        if vector is not None and isinstance(index, int):
            if index not in wanted:
                return Failure("malformed")
            vectors[index] = vector
    if len({len(vector) for vector in vectors.values()}) > 1:
        return Failure("malformed")
    if sorted(vectors) != list(wanted):
        sent = [object_or_empty(row).get("embedding") for row in rows] if is_list(rows) else None
        return unusable_vectors(sent, len(wanted))
    model = text_or_none(answer.get("model")) or target.model
    usage = read_usage(answer, target.quirks)
    return Done(EmbeddingResponse([vectors[index] for index in wanted], model, target.provider, usage))


def read_answer(body: object, target: Target) -> dict[str, Any] | Failure:
    """Return the body of a response; a ``Failure`` for an error at status 200 and for anything but a JSON object."""
    if is_list(body) and len(body) == 1:
        body = body[0]
    if not is_object(body):
        return Failure("malformed")
    return read_error(body, target) if is_error(body) else body


# Fields of an error that has no field ``error``: FastAPI, Cloudflare, Z.ai at a wrong address. Fields of an answer.
_FLAT_ERROR: Final = frozenset({"detail", "errors", "msg"})
_OUTPUT: Final = frozenset({"data", "id", "object", "message", "usage"})


def is_error(body: Mapping[str, Any]) -> bool:
    """Return whether a body or a chunk is an error despite its status; MiniMax reports errors in ``base_resp``."""
    if body.get("error") or body.get("object") == "error":
        return True
    if "base_resp" not in body:
        return "choices" not in body and not _FLAT_ERROR.isdisjoint(body) and _OUTPUT.isdisjoint(body)
    status = object_or_empty(body["base_resp"]).get("status_code")
    return status is not None and status != 0


def read_content(message: Mapping[str, Any]) -> tuple[str, str]:
    """Read text and visible reasoning of a message or a delta. Mistral sends both in one list of parts."""
    content = message.get("content")
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    if not reasoning and "reasoning_details" in message:
        reasoning = details_text(message)
    text = content if content and isinstance(content, str) else _transcript(message)
    thoughts = reasoning if isinstance(reasoning, str) else ""
    if is_list(content):
        text = "".join(_texts_of_parts(content, "text"))
        thoughts += "".join(
            thought
            for part in content
            if is_object(part) and part.get("type") == "thinking"
            for thought in _texts_of_parts(part.get("thinking"), "text")
        )
    return text, thoughts


def _transcript(message: Mapping[str, Any]) -> str:
    """Return the text of an answer that is spoken (``audio``), which has no other text."""
    audio = message.get("audio")
    return text_or_none(audio.get("transcript")) or "" if is_object(audio) else ""


def has_media(message: Mapping[str, Any]) -> bool:
    """Return whether a message or a delta has sound or images of the model (OpenAI, OpenRouter): see ``raw``."""
    return bool(message.get("audio") or message.get("images"))


def _texts_of_parts(parts: object, kind: str) -> Iterator[str]:
    if isinstance(parts, str):
        yield parts
    elif is_list(parts):
        for part in parts:
            if is_object(part) and part.get("type") == kind and isinstance(part.get("text"), str):
                yield part["text"]


def _read_tool_calls(message: Mapping[str, Any]) -> Iterator[ToolCall]:
    calls = message.get("tool_calls")
    if not calls and is_object(message.get("function_call")):
        calls = [{"function": message["function_call"]}]  # OpenAI's form before tools
    yield from read_calls(calls, Identifiers())


def read_interruption(choice: Mapping[str, Any], target: Target) -> Failure | None:
    """Return the failure of a choice that ended because the provider failed; None for any other choice."""
    if is_object(choice.get("error")):
        return read_error(choice, target)
    for name in ("finish_reason", "native_finish_reason"):
        kind = finish_reasons.read_interruption(choice.get(name))
        if kind is not None:
            return Failure(kind, code=text_or_none(choice.get(name)))
    return None


def read_usage(body: Mapping[str, Any], quirks: Quirks) -> Usage | None:
    """Read token counts; None where the provider sends none. A missing or negative number counts as 0."""
    usage = body.get("usage")
    if not is_object(usage) or not usage:
        return None
    prompt_details = object_or_empty(usage.get("prompt_tokens_details"))
    completion_details = object_or_empty(usage.get("completion_tokens_details"))
    prompt, completion = count(usage.get("prompt_tokens")), count(usage.get("completion_tokens"))
    total = count(usage.get("total_tokens"))
    reasoning = count(completion_details.get("reasoning_tokens")) or count(usage.get("reasoning_tokens"))
    if quirks.reasoning_apart and (total == 0 or total >= prompt + completion + reasoning):
        completion += reasoning
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=max(total, prompt + completion),
        # DeepSeek and Moonshot have their own names for cached tokens.
        cached_tokens=count(prompt_details.get("cached_tokens"))
        or count(usage.get("prompt_cache_hit_tokens"))
        or count(usage.get("cached_tokens")),
        cache_write_tokens=count(prompt_details.get("cache_write_tokens")),
        reasoning_tokens=reasoning,
        audio_tokens=count(prompt_details.get("audio_tokens")),
        audio_output_tokens=count(completion_details.get("audio_tokens")),
    )
