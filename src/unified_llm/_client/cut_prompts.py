"""Warn of prompts that a server has cut: it counted far fewer tokens than were sent, about as many as it can read.

Ollama does that where its version does not know ``truncate``. The answer looks like any other, but the instructions at
the beginning of the prompt are lost first (github.com/ollama/ollama/issues/3839).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

from unified_llm._core.repeated_warnings import count_suppressed, more_since_the_last
from unified_llm._core.target import Target
from unified_llm._lib.bounded_json import JSONError, dump
from unified_llm._state.learned_windows import window_of
from unified_llm.types.content import TextPart
from unified_llm.types.records import Usage
from unified_llm.types.requests import LLMRequest

_log = logging.getLogger("unified_llm")

# The share of the window above which a prompt may have been cut.
_FULL: Final = 0.95
# An estimate is wrong by a fifth or so in most languages; by half only where something is missing.
_FAR_MORE: Final = 1.5
_BYTES_PER_TOKEN: Final = 4


def warn_if_cut(request: LLMRequest, target: Target, usage: Usage | None, now: float) -> None:
    """Log a warning, once a minute for each target, if it has probably read only a part of the prompt."""
    default = target.quirks.default_window
    if default is None or usage is None:
        return
    window = _requested_window(request) or window_of(target) or default
    if usage.prompt_tokens < _FULL * window:
        return
    sent = estimate_tokens(request)
    if sent < _FAR_MORE * usage.prompt_tokens:
        return
    suppressed = count_suppressed(("cut prompt", target.name), now)
    if suppressed is not None:
        _log.warning(
            "%s: it read %d tokens of a prompt of about %d, so it has probably cut the prompt to its context window; "
            "declare a larger one by context_window= of that target, or send less%s",
            target.name,
            usage.prompt_tokens,
            sent,
            more_since_the_last(suppressed),
            extra={"target": target.name, "prompt_tokens": usage.prompt_tokens, "estimate": sent},
        )


def estimate_tokens(request: LLMRequest) -> int:
    """Return about how many tokens the texts and tools of a request are: a quarter of their bytes in UTF-8."""
    size = sum(len(text.encode(errors="replace")) for text in _texts(request))
    return size // _BYTES_PER_TOKEN


def _texts(request: LLMRequest) -> Iterable[str]:
    for message in request.messages:
        if isinstance(message.content, str):
            yield message.content
        else:
            yield from (part.text for part in message.content if isinstance(part, TextPart))
        yield from (call.raw_arguments for call in message.tool_calls)
    for tool in request.tools:
        try:
            yield dump(tool.parameters or {})
        except JSONError:
            continue
        yield tool.description or ""


def _requested_window(request: LLMRequest) -> int | None:
    """Return the window that the fields of this call ask the server for."""
    options = request.extra_body.get("options")
    for fields in (options if isinstance(options, dict) else {}, request.extra_body):
        if isinstance(window := fields.get("num_ctx"), int) and window > 0:
            return window
    return None
