"""Chat completions in OpenAI's shape: the provider's own where it has that shape, else made of our response."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final

from unified_llm._adapters.serving_record import serving_record
from unified_llm._core import runtime
from unified_llm.openai_style.types.chat.chat_completion import ChatCompletion
from unified_llm.types.messages import ToolCall
from unified_llm.types.records import Usage
from unified_llm.types.responses import Citation, LLMResponse, TokenLogprob

_FINISH_REASONS: Final = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})


def completion_of(response: LLMResponse, *, uses_functions: bool = False) -> ChatCompletion:
    """Return a response as a chat completion.

    Args:
        response: The response.
        uses_functions: The request had ``functions``, the older form of tools, so the answer has calls in that form.
    """
    raw = response.raw
    choices = raw.get("choices") if isinstance(raw, Mapping) else None
    answers = (response, *response.alternatives)
    has_form = isinstance(choices, list) and len(choices) == len(answers) and all(map(_has_message, choices))
    if has_form and not (uses_functions and any(choice["message"].get("tool_calls") for choice in choices)):
        laid_over = [_lay_over(choice, answer) for choice, answer in zip(choices, answers, strict=True)]
        is_unchanged = all(new is old for new, old in zip(laid_over, choices, strict=True))
        body: Mapping[str, Any] = raw if is_unchanged else {**raw, "choices": laid_over}
    else:
        body = _make(response, answers, uses_functions=uses_functions)
    completion = ChatCompletion.from_json(body)
    completion.unified_llm = serving_record(response)
    completion._request_id = response.request_id  # noqa: SLF001 # public in OpenAI's SDK
    return completion


def _has_message(choice: Any) -> bool:
    return isinstance(choice, Mapping) and isinstance(choice.get("message"), Mapping)


def _lay_over(choice: Mapping[str, Any], answer: LLMResponse) -> Mapping[str, Any]:
    """Return a choice of the provider with what was changed in its answer here: reasoning, names of tools, JSON."""
    message: Mapping[str, Any] = choice["message"]
    changed: dict[str, Any] = {}
    content = message.get("content")
    if isinstance(content, (str, type(None))) and (content or "") != answer.content:
        changed["content"] = answer.content or None
    if not message.get("function_call") and _facts_of_calls(message.get("tool_calls")) != [
        (call.name, call.raw_arguments) for call in answer.tool_calls
    ]:
        changed["tool_calls"] = write_calls(answer.tool_calls) or None
    if not changed:
        return choice
    if answer.reasoning and not any(message.get(name) for name in ("reasoning", "reasoning_content")):
        changed["reasoning_content"] = answer.reasoning
    return {**choice, "finish_reason": answer.finish_reason, "message": {**message, **changed}}


def _facts_of_calls(calls: Any) -> list[tuple[Any, Any]]:
    facts: list[tuple[Any, Any]] = []
    for call in calls or ():
        match call:
            case {"function": {"name": name, "arguments": str(arguments)}}:
                facts.append((name, arguments))
            case {"custom": {"name": name, "input": arguments}}:
                facts.append((name, arguments))
            case _:
                facts.append((None, None))
    return facts


def _make(response: LLMResponse, answers: Sequence[LLMResponse], *, uses_functions: bool) -> dict[str, Any]:
    return {
        "id": response.response_id or new_id(),
        "object": "chat.completion",
        "created": int(runtime.current().wall()),
        "model": response.model,
        "choices": [
            {
                "index": index,
                "message": write_message(answer, uses_functions=uses_functions),
                "logprobs": write_logprobs(answer.logprobs),
                "finish_reason": finish_reason_of(answer.finish_reason, uses_functions=uses_functions),
            }
            for index, answer in enumerate(answers)
        ],
        "usage": response.usage and write_usage(response.usage),
    }


def new_id() -> str:
    """Return an identifier for a completion whose provider sends none."""
    return f"chatcmpl-{secrets.token_hex(12)}"


def finish_reason_of(reason: str | None, *, uses_functions: bool) -> str | None:
    """Return a finish reason as the form of the request has it."""
    return "function_call" if reason == "tool_calls" and uses_functions else reason


def write_message(answer: LLMResponse, *, uses_functions: bool) -> dict[str, Any]:
    """Return the message of an answer. What its provider wants back is in ``reasoning_content``, ``provider_state``."""
    calls = answer.tool_calls
    message: dict[str, Any] = {
        "role": "assistant", "content": answer.content or (None if calls or answer.refusal else ""),
        "refusal": answer.refusal,
    }  # fmt: skip
    if annotations := write_citations(answer.citations):
        message["annotations"] = annotations
    if calls and uses_functions:
        message["function_call"] = {"name": calls[0].name, "arguments": calls[0].raw_arguments}
    elif calls:
        message["tool_calls"] = write_calls(calls)
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.provider_state is not None:
        message["provider_state"] = answer.provider_state.as_dict()
    return message


def write_calls(calls: Sequence[ToolCall]) -> list[dict[str, Any]]:
    """Return calls of tools."""
    return [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.raw_arguments}}
        for call in calls
    ]


def write_citations(citations: Sequence[Citation]) -> list[dict[str, Any]]:
    """Return the sources that are pages."""
    return [
        {
            "type": "url_citation",
            "url_citation": {
                "url": citation.url, "title": citation.title or "", "start_index": citation.start or 0,
                "end_index": citation.end or 0,
            },
        }
        for citation in citations
        if citation.url
    ]  # fmt: skip


def write_logprobs(logprobs: Sequence[TokenLogprob]) -> dict[str, Any] | None:
    """Return the log probabilities of tokens; None where there are none."""
    if not logprobs:
        return None
    tokens = [
        {
            **_write_token(entry.token, entry.logprob),
            "top_logprobs": [_write_token(token, logprob) for token, logprob in entry.top],
        }
        for entry in logprobs
    ]
    return {"content": tokens, "refusal": None}


def _write_token(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode(errors="replace"))}


def write_usage(usage: Usage) -> dict[str, Any]:
    """Return the tokens used."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_tokens, "cache_write_tokens": usage.cache_write_tokens,
            "audio_tokens": usage.audio_tokens,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens, "audio_tokens": usage.audio_output_tokens,
        },
    }  # fmt: skip
