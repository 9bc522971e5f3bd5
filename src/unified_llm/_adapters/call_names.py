"""Names of the keyword arguments of a call; cheap to import, for the classes that users import."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from unified_llm._client.call_options import OPTION_NAMES

# Other providers' names for the same fields.
ALIASES: Final[Mapping[str, str]] = {
    "model_name": "model",
    "stop_sequences": "stop",
    "request_timeout": "timeout",
    "max_completion_tokens": "max_tokens",
    "chunk_size": "batch_size",
}
# Fields of a request that keep their name.
PLAIN: Final = frozenset({
    "model", "temperature", "max_tokens", "top_p", "seed", "frequency_penalty", "presence_penalty",
    "parallel_tool_calls", "reasoning_effort", "logprobs", "top_logprobs", "reasoning_format", "text_tool_calls",
    "merge_messages",
})  # fmt: skip
# Fields of a request that are converted.
_CONVERTED: Final = frozenset({"stop", "tools", "tool_choice", "response_format", "extra_body"})


def request_fields(plain: frozenset[str], not_sent: frozenset[str]) -> frozenset[str]:
    """Return the names of all arguments that a call may have; others go into the body."""
    return plain | not_sent | _CONVERTED | frozenset(OPTION_NAMES)
