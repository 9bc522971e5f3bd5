"""Groups of the fields of ``LLMConfig``: by what they belong to, and by where they may be set."""

from __future__ import annotations

from collections.abc import Mapping
from ssl import SSLContext
from typing import Any, Final

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
# What makes the key of a target (one of these at most), its address, and what names a target: none of these is a
# setting of every target. The account goes with its key.
KEY_FIELDS: Final = frozenset({"api_key", "api_key_env"})
KEY_AND_ACCOUNT: Final = KEY_FIELDS | {"account"}
CONNECTION_FIELDS: Final = KEY_FIELDS | {"base_url"}
TARGET_FIELDS: Final = frozenset({"model", "provider", "name", "fallbacks"})
# Fields that no UNIFIED_LLM_* sets: lists and mappings, what tells the targets of a chain apart, and what the variables
# of the providers themselves set.
NOT_IN_ENVIRONMENT: Final = CONNECTION_FIELDS | {
    "name", "fallbacks", "default_headers", "extra_body", "breaker", "mlx", "stop",
}  # fmt: skip


def beneath(inherited: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields with those of their own above what they inherit: a key replaces whatever says which key it is."""
    if any(own.get(name) is not None for name in KEY_FIELDS):
        inherited = {name: value for name, value in inherited.items() if name not in KEY_AND_ACCOUNT}
    if isinstance(own.get("verify_ssl"), SSLContext):  # which has its own client certificate, if any
        inherited = {name: value for name, value in inherited.items() if name != "client_cert"}
    return {**inherited, **own}
