"""The keyword arguments of a framework's call, by the names that every surface knows, sorted into where they go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from unified_llm.exceptions import ValidationError

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
    "parallel_tool_calls", "reasoning_effort", "logprobs", "top_logprobs",
})  # fmt: skip
# Fields of a request that each framework writes in its own way.
FORMED: Final = frozenset({"stop", "tools", "tool_choice", "response_format", "extra_body"})
# What the client takes beside the request.
RULES: Final = frozenset({"deadline", "failover_on", "hedge_after", "timeout"})


def named(options: Mapping[str, Any], refused: frozenset[str], known: frozenset[str]) -> dict[str, Any]:
    """What a call says, under our names; None says nothing.

    Args:
        options: The keyword arguments of the call.
        refused: Arguments of the constructor. Those that no call takes are refused: a key must not end up in a body.
        known: What a call takes.

    Raises:
        ValidationError: One of them belongs to the constructor.
    """
    given = {ALIASES.get(name, name): value for name, value in options.items() if value is not None}
    for name in given:
        if name in refused and name not in known:
            raise ValidationError(f"{name!r} belongs to the constructor of the model and cannot be passed with a call.")
    return given


def sort(
    given: dict[str, Any], plain: frozenset[str], not_sent: frozenset[str], *, tools: bool
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Fields of the request, what the client takes beside it, and further fields of the body.

    Args:
        given: What is left when the fields that are formed have been taken out, but for ``extra_body``.
        plain: The fields that travel under their own name.
        not_sent: What goes nowhere.
        tools: Whether there are any: without, nothing is said of them.
    """
    body = dict(given.pop("extra_body", None) or {})
    fields = {name: given.pop(name) for name in tuple(given) if name in plain}
    limits = {name: given.pop(name) for name in tuple(given) if name in RULES}
    body.update((name, value) for name, value in given.items() if name not in not_sent)
    if not tools:
        fields.pop("parallel_tool_calls", None)
    return fields, limits, body
