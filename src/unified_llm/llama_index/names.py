"""Names that both directions of the translation need: it costs nothing to import."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# The provider that observers are told, whoever answers.
PROVIDER: Final = "unified-llm"
# The key of ``raw`` under which it is told who answered, and what was tried.
RECORD: Final = "unified_llm"
# The key of a thinking block's ``additional_information`` for what only the author of an answer can read.
SEALED: Final = "sealed"

# Other providers' names for the same fields.
ALIASES: Final[Mapping[str, str]] = {
    "model_name": "model",
    "stop_sequences": "stop",
    "request_timeout": "timeout",
    "max_completion_tokens": "max_tokens",
    "chunk_size": "batch_size",
}
# Fields of a request that travel under their own name.
PLAIN: Final = frozenset({
    "model", "temperature", "max_tokens", "top_p", "seed", "frequency_penalty", "presence_penalty",
    "parallel_tool_calls", "reasoning_effort", "logprobs", "top_logprobs", "as_text",
})  # fmt: skip
# What the client takes beside the request.
RULES: Final = frozenset({"deadline", "failover_on", "hedge_after", "timeout"})
# What only says how the method is called.
NOT_SENT: Final = frozenset({"stream", "formatted", "verbose"})

# Every name that a call may set.
REQUEST_FIELDS: Final = PLAIN | RULES | NOT_SENT | {"stop", "tools", "tool_choice", "response_format", "extra_body"}
