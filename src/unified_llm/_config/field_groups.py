"""Groups of the fields of ``LLMConfig``: those of a call, and those that are defaults of a request."""

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
