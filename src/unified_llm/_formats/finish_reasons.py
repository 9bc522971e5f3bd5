"""Table of finish reasons of all formats, looked up without regard to how a word is spelled.

Gateways pass on the words of the provider behind them, or names of constants of its SDK, so no format has only its own:
``content-filter`` (sdk.vercel.ai), ``MaxTokens``, ``FinishReason.STOP`` and ``FINISH_REASON_STOP`` are read as well. A
word that is not in the table is read in the most careful way, as ``length``: a response that was cut looks whole under
``stop``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from unified_llm._core.outcome import Failure, FailureKind
from unified_llm._core.repeated_warnings import warn_once
from unified_llm._core.target import Target
from unified_llm._formats.json_values import is_object
from unified_llm.types.responses import FinishReason

# The source is named beside each word: the documentation of the Chat Completions API (openai), of stop reasons
# (anthropic), of FinishReason (gemini), of the chat endpoint (cohere, mistral, deepseek, zai), of the API (ollama,
# openrouter), of Converse (bedrock), of text-generation-inference (tgi), or the server's code (vllm, sglang). A word
# with a question mark is unverified.
MEANINGS: Final[Mapping[str, FinishReason]] = {
    # The model ended.
    "stop": "stop",  # openai, gemini, ollama
    "end_turn": "stop",  # anthropic, bedrock
    "stop_sequence": "stop",  # anthropic, cohere, tgi
    "complete": "stop",  # cohere
    "completed": "stop",  # openai (status of the Responses API)
    "eos": "stop",  # docs.together.ai/reference/chat-completions
    "eos_token": "stop",  # tgi
    "stop_token": "stop",  # ?
    "no_image": "stop",  # gemini: there is text in place of an image
    # It called tools.
    "tool_calls": "tool_calls",  # openai
    "tool_call": "tool_calls",  # cohere
    "tool_use": "tool_calls",  # anthropic, bedrock
    "function_call": "tool_calls",  # openai
    # It was cut.
    "length": "length",  # openai, ollama, tgi
    "max_tokens": "length",  # anthropic, gemini, cohere, bedrock
    "max_output_tokens": "length",  # openai (Responses)
    "max_length": "length",  # ?
    "model_length": "length",  # mistral
    "model_context_window_exceeded": "length",  # anthropic, zai, bedrock
    "context_length_exceeded": "length",  # ?
    "context_window_exceeded": "length",  # ?
    "continuation": "length",  # gemini
    "pause_turn": "length",  # anthropic: a long turn was paused; sent back unchanged, it continues
    "incomplete": "length",  # openai (status of the Responses API)
    "max_messages": "length",  # openai (Responses)
    "steered": "length",  # openai (Responses)
    "repetition_truncation": "length",  # ?
    # A filter cut it.
    "content_filter": "content_filter",  # openai
    "content_filtered": "content_filter",  # bedrock
    "guardrail_intervened": "content_filter",  # bedrock
    "refusal": "content_filter",  # anthropic
    "sensitive": "content_filter",  # zai
    "moderation": "content_filter",  # ?
    "safety": "content_filter",  # gemini
    "recitation": "content_filter",  # gemini
    "language": "content_filter",  # gemini
    "blocklist": "content_filter",  # gemini
    "prohibited_content": "content_filter",  # gemini
    "spii": "content_filter",  # gemini
    "model_armor": "content_filter",  # gemini
    "escalation": "content_filter",  # gemini
    "image_safety": "content_filter",  # gemini
    "image_prohibited_content": "content_filter",  # gemini
    "image_recitation": "content_filter",  # gemini
    "error_toxic": "content_filter",  # cohere (v1)
}
# Of a response that the provider did not complete, or that is no valid response, the kind of the failure.
FAILURES: Final[Mapping[str, FailureKind]] = {
    "error": "server",  # openrouter, mistral, cohere
    "timeout": "server",  # cohere
    "network_error": "server",  # zai, openrouter
    "insufficient_system_resource": "server",  # deepseek
    "error_limit": "server",  # cohere (v1)
    "abort": "server",  # vllm, sglang
    "aborted": "server",  # ?
    "cancelled": "server",  # openai (status of the Responses API)
    "user_cancel": "server",  # cohere (v1)
    "failed": "server",  # openai (status of the Responses API)
    "load": "empty",  # ollama: the request only loaded the model
    "unload": "empty",  # ollama
    "malformed_function_call": "invalid",  # gemini
    "unexpected_tool_call": "invalid",  # gemini
    "too_many_tool_calls": "invalid",  # gemini
    "malformed_tool_use": "invalid",  # bedrock
    "malformed_model_output": "invalid",  # bedrock
    "malformed_response": "malformed",  # gemini
    "missing_thought_signature": "bad_request",  # gemini
    "pup_limited_disabled": "permission",  # gemini: the account is limited or disabled
}

# Words that are known to say nothing: read as an unknown one, without a warning.
_UNEXPLAINED: Final = frozenset({"other", "unspecified", "unknown"})  # gemini, sdk.vercel.ai
_LONGEST: Final = 64
_BOUNDARY: Final = re.compile(r"(?<=[a-z])(?=[A-Z])|[\s-]+")
_PREFIX: Final = re.compile(r"finish_?reason[._]")


def read_finish_reason(
    reason: object, target: Target, *, has_content: bool, has_calls: bool, detail: str | None = None
) -> FinishReason | Failure:
    """Return our finish reason, or the failure of a response that the provider did not complete or that is empty.

    Several providers send ``stop`` when they called tools, and ``tool_calls`` when they called none. A missing reason
    is ``stop``.

    Args:
        reason: The provider's, of any type.
        target: The target, for the log.
        has_content: There is a text, a refusal, a call or media; reasoning alone is no answer.
        has_calls: There are tool calls.
        detail: The provider's message, for a failure.
    """
    written = _word_of(reason)
    word = _spelling_of(written[:_LONGEST])
    failure = FAILURES.get(word)
    if failure is not None:
        return Failure(failure, code=written, detail=detail)
    meaning = MEANINGS.get(word) if word else "stop"
    if meaning is None:
        if not has_content:
            return Failure("empty", code=written if word in _UNEXPLAINED else None)
        _log_unknown(word, target)
        return "length"
    if meaning in {"stop", "tool_calls"}:
        if not has_content:
            return Failure("empty")
        return "tool_calls" if has_calls else "stop"
    return meaning


def is_answer(text: str, reasoning: object) -> bool:
    """Return whether a text is an answer: not empty, and not only the blank lines that follow some reasoning."""
    return bool(text) and not (reasoning and text.isspace())


def read_interruption(reason: object) -> FailureKind | None:
    """Return the kind of failure that a reason stands for; None for any other reason."""
    return FAILURES.get(_spelling_of(_word_of(reason)[:_LONGEST]))


def finish_reason_of(reason: object, *, has_calls: bool) -> FinishReason:
    """Return our finish reason for one that a framework's model object reports, whose failures are exceptions."""
    word = _spelling_of(_word_of(reason)[:_LONGEST])
    meaning = MEANINGS.get(word, "length") if word else "stop"
    if meaning in {"stop", "tool_calls"}:
        return "tool_calls" if has_calls else "stop"
    return meaning


def _word_of(reason: object) -> str:
    if is_object(reason):  # SGLang's own API: {"type": "stop", "matched": ...}
        reason = reason.get("type")
    return reason.strip() if isinstance(reason, str) else ""


@lru_cache(maxsize=256)
def _spelling_of(word: str) -> str:
    """Return a word, which is short, as the tables spell it."""
    return _PREFIX.sub("", _BOUNDARY.sub("_", word).lower(), count=1)


def _log_unknown(word: str, target: Target) -> None:
    if word in _UNEXPLAINED:
        return
    # The word is the server's, and may repeat anything that was sent to it.
    warn_once(
        ("finish reason", target.name),
        "%s ended a response with a finish reason that is not known; it is read as length, as if the response was cut",
        target.name,
        target=target.name,
    )
