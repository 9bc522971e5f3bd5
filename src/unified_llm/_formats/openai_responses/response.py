"""Read whole responses: a list of output items.

Nothing here raises for anything that a provider sends; a body that is not a response is a ``Failure``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from unified_llm._core.outcome import Done, Failure
from unified_llm._core.quirks import Quirks
from unified_llm._core.target import Target
from unified_llm._formats import custom_tools
from unified_llm._formats.finish_reasons import finish_reason_of
from unified_llm._formats.history import Identifiers
from unified_llm._formats.json_values import (
    count,
    is_list,
    is_object,
    json_text,
    non_negative_int,
    object_or_empty,
    text_or_none,
)
from unified_llm._formats.openai_errors import read_error
from unified_llm._formats.openai_responses.provider_state import CALLS, OWN_TOOL_CALLS, keep_state
from unified_llm._formats.response_fields import read_logprobs
from unified_llm.types.messages import ToolCall
from unified_llm.types.records import Usage
from unified_llm.types.requests import CountRequest, LLMRequest
from unified_llm.types.responses import Citation, FinishReason, LLMResponse, TokenLogprob

REASONING_SEPARATOR: Final = "\n\n"
"""Joins the parts of a summary of reasoning, each of which is a paragraph."""

_ITEM_FIELDS: Final = frozenset({"type", "id", "call_id", "status"})
_INTERRUPTED: Final = ("failed", "cancelled")
_PENDING: Final = ("queued", "in_progress")


@dataclass(slots=True)
class Output:
    """Content of the output items of one response.

    Attributes:
        texts: The texts of all messages.
        length: The length of all texts.
        reasoning: The parts of the reasoning.
        refusals: Why the model declined.
        calls: Tool calls.
        citations: Sources of the text.
        logprobs: Log probabilities of the text.
        has_other_items: There are items of other kinds: the provider's built-in tools.
        identifiers: Identifiers of the calls.
    """

    texts: list[str] = field(default_factory=list[str])
    length: int = 0
    reasoning: list[str] = field(default_factory=list[str])
    refusals: list[str] = field(default_factory=list[str])
    calls: list[ToolCall] = field(default_factory=list[ToolCall])
    citations: list[Citation] = field(default_factory=list[Citation])
    logprobs: list[TokenLogprob] = field(default_factory=list[TokenLogprob])
    has_other_items: bool = False
    identifiers: Identifiers = field(default_factory=Identifiers)

    @property
    def content(self) -> str:
        """The text of all messages."""
        return "".join(self.texts)

    @property
    def refusal(self) -> str:
        """Why the model declined, or an empty string."""
        return "".join(self.refusals)

    @property
    def is_empty(self) -> bool:
        """Return whether the response has no answer of any kind; reasoning alone is none."""
        return not (self.length or self.refusal or self.calls or self.has_other_items)


def read_response(request: LLMRequest, body: object, target: Target) -> Done | Failure:
    """Read the response of ``/responses``."""
    if not is_object(body):
        return Failure("malformed")
    failure = read_interruption(body, target)
    if failure is not None:
        return failure
    output = body.get("output")
    if not is_list(output):
        return Failure("malformed")
    answer = read_output(output)
    reason = finish_reason(body, has_calls=bool(answer.calls))
    is_pending = request.original is not None and body.get("status") in _PENDING  # a program asked for the background
    if reason in {"stop", "tool_calls"} and answer.is_empty and not is_pending:
        return Failure("empty")
    return Done(
        LLMResponse(
            content=answer.content,
            model=text_or_none(body.get("model")) or target.model,
            provider=target.provider,
            finish_reason=reason,
            response_id=text_or_none(body.get("id")),
            usage=read_usage(body, target.quirks),
            tool_calls=tuple(answer.calls),
            reasoning=REASONING_SEPARATOR.join(answer.reasoning) or None,
            refusal=answer.refusal or None,
            citations=tuple(answer.citations),
            logprobs=tuple(answer.logprobs),
            provider_state=keep_state(output, target),
            raw=body,
        )
    )


def read_count(_: CountRequest, body: object, target: Target) -> Done | Failure:
    """Read the response of ``/responses/input_tokens``."""
    if not is_object(body):
        return Failure("malformed")
    if body.get("error"):
        return read_error(body, target)
    tokens = non_negative_int(body.get("input_tokens"))
    return Failure("malformed") if tokens is None else Done(tokens)


def read_interruption(response: Mapping[str, Any], target: Target) -> Failure | None:
    """Return the failure of a response that is an error or that the provider did not complete; None for any other."""
    if response.get("error") or response.get("object") == "error":
        return read_error(response, target)
    status = response.get("status")
    return Failure("server", code=status) if isinstance(status, str) and status in _INTERRUPTED else None


def read_output(output: list[Any]) -> Output:
    """Read the output items in order."""
    answer = Output()
    for item in output:
        if not is_object(item):
            continue
        match item.get("type"):
            case "message":
                _read_message(item, answer)
            case "reasoning":
                answer.reasoning += _read_reasoning(item)
            case kind if kind in CALLS:
                answer.calls.append(_read_call(item, answer.identifiers))
            case _:
                answer.has_other_items = True
    return answer


def _read_message(item: Mapping[str, Any], answer: Output) -> None:
    content = item.get("content")
    for part in content if is_list(content) else ():
        if not is_object(part):
            continue
        match part.get("type"):
            case "output_text" if isinstance(part.get("text"), str):
                answer.citations += read_citations(part.get("annotations"), answer.length)
                answer.logprobs += read_logprobs(part.get("logprobs"))
                answer.texts.append(part["text"])
                answer.length += len(part["text"])
            case "refusal" if isinstance(part.get("refusal"), str):
                answer.refusals.append(part["refusal"])
            case _:
                pass


def _read_reasoning(item: Mapping[str, Any]) -> Iterator[str]:
    """Yield the summary, if the provider sends one, and the reasoning itself, if it sends that (llama.cpp, vLLM)."""
    for name in ("summary", "content"):
        parts = item.get(name)
        for part in parts if is_list(parts) else ():
            text = text_or_none(part.get("text")) if is_object(part) else None
            if text:
                yield text


def _read_call(item: Mapping[str, Any], identifiers: Identifiers) -> ToolCall:
    identifier = identifiers.take(text_or_none(item.get("call_id")) or item.get("id"))
    return ToolCall.parse(identifier, read_name(item), read_arguments(item))


def read_name(item: Mapping[str, Any]) -> str:
    """Return the name of the tool of a call."""
    if item.get("type") in OWN_TOOL_CALLS:
        return str(item["type"]).removesuffix("_call")
    return text_or_none(item.get("name")) or ""


def read_arguments(item: Mapping[str, Any]) -> str:
    """Return the arguments of a call as JSON text.

    A custom tool has its input as the only one, OpenAI's own tools have the fields of the item that say what to do.
    """
    if item.get("type") == "custom_tool_call":
        return custom_tools.arguments_of(text_or_none(item.get("input")) or "")
    if item.get("type") in OWN_TOOL_CALLS:
        return json_text({name: value for name, value in item.items() if name not in _ITEM_FIELDS})
    return json_text(item.get("arguments"))


def read_citations(annotations: object, start: int) -> Iterator[Citation]:
    """Read the sources of a part of the text that begins at the offset ``start``."""
    for annotation in annotations if is_list(annotations) else ():
        citation = read_citation(annotation, start)
        if citation is not None:
            yield citation


def read_citation(annotation: object, start: int) -> Citation | None:
    """Read a citation of a page, or of a file that the provider searched; None for anything else."""
    if not is_object(annotation):
        return None
    match annotation.get("type"):
        case "url_citation":
            return Citation(
                url=text_or_none(annotation.get("url")),
                title=text_or_none(annotation.get("title")),
                start=non_negative_int(annotation.get("start_index"), start),
                end=non_negative_int(annotation.get("end_index"), start),
            )
        case "file_citation" | "container_file_citation":
            return Citation(title=text_or_none(annotation.get("filename")))
        case _:
            return None


def finish_reason(response: Mapping[str, Any], *, has_calls: bool) -> FinishReason:
    """Return our finish reason, from the status and the details of an incomplete response."""
    if response.get("status") == "incomplete":
        reason = object_or_empty(response.get("incomplete_details")).get("reason")
        read = finish_reason_of(reason, has_calls=has_calls)
        return read if read == "content_filter" else "length"
    return "tool_calls" if has_calls else "stop"


def read_usage(response: Mapping[str, Any], quirks: Quirks) -> Usage | None:
    """Read token counts; None where the provider sends none."""
    usage = response.get("usage")
    if not is_object(usage) or not usage:
        return None
    prompt_details = object_or_empty(usage.get("input_tokens_details"))
    completion_details = object_or_empty(usage.get("output_tokens_details"))
    prompt, completion = count(usage.get("input_tokens")), count(usage.get("output_tokens"))
    total, reasoning = count(usage.get("total_tokens")), count(completion_details.get("reasoning_tokens"))
    if quirks.reasoning_apart and total and total >= prompt + completion + reasoning:
        completion += reasoning
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=max(total, prompt + completion),
        cached_tokens=count(prompt_details.get("cached_tokens")),
        cache_write_tokens=count(prompt_details.get("cache_write_tokens")),
        reasoning_tokens=reasoning,
    )
