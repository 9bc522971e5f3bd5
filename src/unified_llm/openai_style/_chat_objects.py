"""Chat completions in OpenAI's shape: the provider's own where it has that shape, else made of our response."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from unified_llm._core import runtime
from unified_llm._formats.custom_tools import arguments_of, input_of
from unified_llm.openai_style._records import with_record
from unified_llm.openai_style.types.chat.chat_completion import ChatCompletion
from unified_llm.types.messages import ToolCall
from unified_llm.types.records import Usage
from unified_llm.types.responses import Citation, LLMResponse, TokenLogprob


class AnswerForm(NamedTuple):
    """The form in which a request wants the calls of its answer.

    Attributes:
        uses_functions: It had ``functions``, the older form of tools.
        custom: The names of tools that take text.
    """

    uses_functions: bool = False
    custom: frozenset[str] = frozenset()

    def finish_reason(self, reason: str | None) -> str | None:
        """Return a finish reason as this form has it."""
        return "function_call" if reason == "tool_calls" and self.uses_functions else reason


def completion_of(response: LLMResponse, form: AnswerForm) -> ChatCompletion:
    """Return a response as a chat completion.

    Args:
        response: The response.
        form: The form of its calls.
    """
    answers = (response, *response.alternatives)
    choices = _choices_of(response.raw, len(answers), form)
    if choices is None:
        body: Mapping[str, Any] = _make(response, answers, form)
    else:
        laid_over = [_lay_over(choice, answer, form) for choice, answer in zip(choices, answers, strict=True)]
        is_unchanged = all(new is old for new, old in zip(laid_over, choices, strict=True))
        body = response.raw if is_unchanged else {**response.raw, "choices": laid_over}
    return with_record(ChatCompletion.from_json(body), response)


def _choices_of(raw: Any, count: int, form: AnswerForm) -> list[Mapping[str, Any]] | None:
    """Return the choices of a body in OpenAI's shape; None for any other, and where calls have the other form."""
    choices = raw.get("choices") if isinstance(raw, dict) else None
    if not isinstance(choices, list) or len(choices) != count:
        return None
    for choice in choices:
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(message, dict) or (form.uses_functions and message.get("tool_calls")):
            return None
    return choices


def _lay_over(choice: Mapping[str, Any], answer: LLMResponse, form: AnswerForm) -> Mapping[str, Any]:
    """Return a choice of the provider with what was changed in its answer here: reasoning, names of tools, JSON."""
    message: Mapping[str, Any] = choice["message"]
    changed: dict[str, Any] = {}
    content = message.get("content") or ""  # a list of parts at Mistral, where a model reasons
    if content != answer.content and not message.get("audio"):  # whose transcript is ours
        changed["content"] = answer.content or None
    if not message.get("function_call") and _facts_of_calls(message.get("tool_calls")) != [
        (call.name, call.raw_arguments) for call in answer.tool_calls
    ]:
        changed["tool_calls"] = write_calls(answer.tool_calls, form) or None
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
            case {"custom": {"name": name, "input": str(text)}}:
                facts.append((name, arguments_of(text)))
            case _:
                facts.append((None, None))
    return facts


def _make(response: LLMResponse, answers: Sequence[LLMResponse], form: AnswerForm) -> dict[str, Any]:
    return {
        "id": response.response_id or new_id(),
        "object": "chat.completion",
        "created": int(runtime.current().wall()),
        "model": response.model,
        "choices": [
            {
                "index": index,
                "message": write_message(answer, form),
                "logprobs": write_logprobs(answer.logprobs),
                "finish_reason": form.finish_reason(answer.finish_reason),
            }
            for index, answer in enumerate(answers)
        ],
        "usage": response.usage and write_usage(response.usage),
    }


def new_id(prefix: str = "chatcmpl") -> str:
    """Return an identifier for a completion whose provider sends none."""
    return f"{prefix}-{secrets.token_hex(12)}"


def write_message(answer: LLMResponse, form: AnswerForm) -> dict[str, Any]:
    """Return the message of an answer. What its provider wants back is in ``reasoning_content``, ``provider_state``."""
    calls = answer.tool_calls
    message: dict[str, Any] = {
        "role": "assistant", "content": answer.content or (None if calls or answer.refusal else ""),
        "refusal": answer.refusal,
    }  # fmt: skip
    if annotations := write_citations(answer.citations):
        message["annotations"] = annotations
    if calls and form.uses_functions:
        message["function_call"] = {"name": calls[0].name, "arguments": calls[0].raw_arguments}
    elif calls:
        message["tool_calls"] = write_calls(calls, form)
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.provider_state is not None:
        message["provider_state"] = answer.provider_state.as_dict()
    return message


def write_calls(calls: Sequence[ToolCall], form: AnswerForm) -> list[dict[str, Any]]:
    """Return calls of tools."""
    return [
        {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": input_of(call)}}
        if call.name in form.custom
        else {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.raw_arguments}}
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
