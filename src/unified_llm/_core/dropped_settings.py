"""Settings of the user's that a target does not take: one WARNING for each target and setting, then DEBUG.

People who set ``temperature=0`` rely on it, so that it is not sent must be known without a debug log. What this package
or a framework adds to a request by itself is no setting of the user's.
"""

from __future__ import annotations

import logging
from typing import Final

from unified_llm._core.repeated_warnings import is_first

CHAT_SETTINGS: Final = (
    "temperature", "top_p", "seed", "frequency_penalty", "presence_penalty", "logprobs", "top_logprobs",
    "reasoning_effort", "max_tokens",
)  # fmt: skip
"""Fields of chat requests that only users set, and that are left out where a target does not take them."""
MEDIA_SETTINGS: Final = (
    "n", "size", "quality", "format", "background", "partial_images", "voice", "speed", "instructions", "language",
    "prompt", "temperature", "timestamps", "seconds",
)  # fmt: skip
"""The same of requests for media; a prompt is one where it stands beside a recording."""
# Fields of a body that change what a model writes, and that only users set.
_BODY_SETTINGS: Final = (
    "allowed_token_ids", "bad_words", "grammar", "guided_choice", "guided_grammar", "guided_json", "guided_regex",
    "logit_bias", "min_p", "min_tokens", "mirostat", "prediction", "repeat_last_n", "repeat_penalty",
    "repetition_penalty", "structured_outputs", "top_k", "typical_p", "xtc_probability",
)  # fmt: skip
SETTINGS: Final = frozenset({*CHAT_SETTINGS, *MEDIA_SETTINGS, *_BODY_SETTINGS, "dimensions"})
"""The same of all requests."""

_log = logging.getLogger("unified_llm")


def level_of_report(target: str, setting: str) -> int:
    """Return the level at which to log that a setting was changed or dropped: WARNING for the first time."""
    return logging.WARNING if is_first(("setting", target, setting)) else logging.DEBUG


def report_dropped(setting: str, target: str, reason: str) -> None:
    """Log that a field of a request is not sent to the target of this name; ``reason`` completes the sentence."""
    level = level_of_report(target, setting) if setting in SETTINGS else logging.DEBUG
    if _log.isEnabledFor(level):
        fields = {"target": target, "field": setting}
        _log.log(level, "%s is not sent to %s, %s", setting, target, reason, extra=fields)
