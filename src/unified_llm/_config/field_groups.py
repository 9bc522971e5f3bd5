"""Groups of the fields of ``LLMConfig``: by what they belong to, and by where they may be set."""

from __future__ import annotations

from typing import Final

# What belongs to a call rather than to a target: a fallback that names another model inherits these and nothing else.
CALL_FIELDS: Final = (
    "temperature", "max_tokens", "top_p", "stop", "seed", "frequency_penalty", "presence_penalty", "reasoning_effort",
    "dimensions", "reasoning_format", "text_tool_calls", "merge_messages",
    "timeout", "connect_timeout", "max_retries", "retry_delay", "retry_max_delay", "retry_exponential_base", "resend",
    "cache_ttl", "breaker", "max_response_bytes",
)  # fmt: skip
# Request fields that a configuration may set for all calls.
DEFAULT_FIELDS: Final = CALL_FIELDS[: CALL_FIELDS.index("timeout")]
REASONING_FORMATS: Final = ("parsed", "raw", "hidden")
# What makes the key of a target, its address, and what names a target: none of these is a setting of every target.
KEY_FIELDS: Final = frozenset({"api_key"})
CONNECTION_FIELDS: Final = KEY_FIELDS | {"base_url"}
TARGET_FIELDS: Final = frozenset({"model", "provider", "name", "fallbacks"})
# Fields that no UNIFIED_LLM_* sets: lists and mappings, what tells the targets of a chain apart, and what the variables
# of the providers themselves set.
NOT_IN_ENVIRONMENT: Final = CONNECTION_FIELDS | {
    "name", "fallbacks", "default_headers", "extra_body", "breaker", "stop",
}  # fmt: skip
