"""Names of the keyword arguments of a call; cheap to import, for the classes that users import."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from unified_llm._client import field_names
from unified_llm._client.call_options import OPTION_NAMES, TARGET_OPTIONS
from unified_llm._config.constructor_names import CALL_ALIASES
from unified_llm._core import not_in_a_body
from unified_llm.exceptions import LLMError

# Other names for the same fields: those of a request, and of the frameworks' own classes.
ALIASES: Final[Mapping[str, str]] = {
    **CALL_ALIASES, "chunk_size": "batch_size", "timeout_override": "timeout", "fallback_configs": "fallbacks",
}  # fmt: skip
# Fields of a request that keep their name.
PLAIN: Final = frozenset({
    "model", "temperature", "max_tokens", "top_p", "seed", "frequency_penalty", "presence_penalty",
    "parallel_tool_calls", "reasoning_effort", "logprobs", "top_logprobs", "reasoning_format", "text_tool_calls",
    "merge_messages", "request_id",
})  # fmt: skip
# Fields of a request that are converted.
_CONVERTED: Final = frozenset({"stop", "tools", "tool_choice", "response_format", "extra_body"})


def request_fields(plain: frozenset[str], not_sent: frozenset[str]) -> frozenset[str]:
    """Return the names of all arguments that a model may have for its calls; others go into the body.

    A call alone may have ``TARGET_OPTIONS`` besides: the constructor has its own.
    """
    return (plain | not_sent | _CONVERTED | {*OPTION_NAMES, *ALIASES}) - {*TARGET_OPTIONS}


def check_body_fields(names: Iterable[str], fields: Collection[str], error: type[LLMError]) -> None:
    """Refuse further arguments that cannot be fields of a body: those of the client, misplaced and misspelled ones.

    Args:
        names: The arguments that are no fields of a request.
        fields: The names of those that are.
        error: The class of the exception.

    Raises:
        LLMError: One of them belongs to the client, to its connection or to a message, or is very like a field.
    """
    not_in_a_body.check_body_fields(names, error)
    field_names.refuse_misplaced(names, fields, error)
