"""Answers of any target as responses of the Responses API."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from unified_llm._core import runtime
from unified_llm._formats.custom_tools import input_of
from unified_llm.openai_style._chat_objects import write_logprobs
from unified_llm.openai_style._kept_state import write_state
from unified_llm.openai_style._records import with_record
from unified_llm.openai_style.types.responses.response import Response
from unified_llm.types.messages import ProviderState, ToolCall
from unified_llm.types.records import Usage
from unified_llm.types.responses import Citation, FinishReason, LLMResponse, TokenLogprob


def response_of(response: LLMResponse, body: Mapping[str, Any]) -> Response:
    """Return the provider's own response where it is one of this API, else one that is made of ours.

    Args:
        response: The response.
        body: The body of the request, which a response repeats in part.
    """
    raw = response.raw
    is_own = isinstance(raw, Mapping) and raw.get("object") == "response"
    return with_record(Response.from_json(raw if is_own else _make(response, body)), response)


def _make(response: LLMResponse, body: Mapping[str, Any]) -> dict[str, Any]:
    head = head_of(body, response.model, response.response_id)
    return {**head, **end_of(response.finish_reason, [*_items(response, custom_tools(body))], response.usage)}


def head_of(body: Mapping[str, Any], model: str, identifier: str | None = None) -> dict[str, Any]:
    """Return a response that has just begun.

    Args:
        body: The body of the request.
        model: The model that answers.
        identifier: The provider's identifier; None for a new one.
    """
    text: Any = body.get("text") or {}
    return {
        "id": identifier or new_id("resp"),
        "object": "response",
        "created_at": int(runtime.current().wall()),
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "metadata": body.get("metadata") or {},
        "model": model,
        "output": [],
        "parallel_tool_calls": body.get("parallel_tool_calls", True),
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None, **(body.get("reasoning") or {})},
        "store": False,
        "temperature": body.get("temperature"),
        "text": {"format": {"type": "text"}, **text},
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": body.get("tools") or [],
        "top_p": body.get("top_p"),
        "truncation": "disabled",
        "usage": None,
        "user": body.get("user"),
    }


def end_of(reason: FinishReason | None, output: Sequence[Any], usage: Usage | None) -> dict[str, Any]:
    """Return the fields of a response that are known at its end."""
    cut = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(f"{reason}")
    return {
        "status": "incomplete" if cut else "completed",
        "completed_at": None if cut else int(runtime.current().wall()),
        "incomplete_details": {"reason": cut} if cut else None,
        "output": list(output),
        "usage": usage and write_usage(usage),
    }


def _items(response: LLMResponse, customs: frozenset[str]) -> Iterator[dict[str, Any]]:
    """Yield the items of an answer: reasoning, the message, calls."""
    if response.reasoning or response.provider_state:
        yield reasoning_item(response.reasoning, response.provider_state)
    parts: list[dict[str, Any]] = []
    if response.content or not (response.tool_calls or response.refusal):
        parts.append(text_part(response.content, response.citations, response.logprobs))
    if response.refusal:
        parts.append({"type": "refusal", "refusal": response.refusal})
    if parts:
        yield {**message_item(), "status": "completed", "content": parts}
    for call in response.tool_calls:
        yield {**call_item(call, custom=call.name in customs), "status": "completed"}


def message_item() -> dict[str, Any]:
    """Return a message that has just begun."""
    return {"id": new_id("msg"), "type": "message", "status": "in_progress", "role": "assistant", "content": []}


def reasoning_item(text: str | None, state: ProviderState | None) -> dict[str, Any]:
    """Return an item of reasoning; state that the provider wants back is its encrypted content."""
    item: dict[str, Any] = {
        "id": new_id("rs"), "type": "reasoning", "summary": [{"type": "summary_text", "text": text}] if text else [],
    }  # fmt: skip
    return item if state is None else {**item, "encrypted_content": write_state(state)}


def call_item(call: ToolCall, *, custom: bool) -> dict[str, Any]:
    """Return a call of a function, or of a custom tool."""
    named = {"call_id": call.id, "name": call.name}
    if custom:
        return {"id": new_id("ctc"), "type": "custom_tool_call", **named, "input": input_of(call)}
    return {"id": new_id("fc"), "type": "function_call", **named, "arguments": call.raw_arguments or "{}"}


def text_part(text: str, citations: Sequence[Citation] = (), logprobs: Sequence[TokenLogprob] = ()) -> dict[str, Any]:
    """Return a part of a message that is text."""
    return {
        "type": "output_text",
        "text": text,
        "annotations": [*write_annotations(citations)],
        "logprobs": tokens_of(logprobs),
    }


def write_annotations(citations: Sequence[Citation]) -> Iterator[dict[str, Any]]:
    """Yield the sources that are pages."""
    for citation in citations:
        if citation.url:
            yield {
                "type": "url_citation", "url": citation.url, "title": citation.title or "",
                "start_index": citation.start or 0, "end_index": citation.end or 0,
            }  # fmt: skip


def tokens_of(logprobs: Sequence[TokenLogprob]) -> list[dict[str, Any]]:
    """Return the log probabilities of tokens."""
    written = write_logprobs(logprobs)
    return written["content"] if written else []


def write_usage(usage: Usage) -> dict[str, Any]:
    """Return the tokens used."""
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens, "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }  # fmt: skip


def custom_tools(body: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of the custom tools of a request."""
    return frozenset(tool["name"] for tool in body.get("tools") or () if tool.get("type") == "custom")


def new_id(prefix: str) -> str:
    """Return an identifier for what its provider gives none."""
    return f"{prefix}_{secrets.token_hex(24)}"
