"""Keyword arguments of a framework's call, renamed and split into request fields, client options and extra body."""

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
# Fields of a request that keep their name.
PLAIN: Final = frozenset({
    "model", "temperature", "max_tokens", "top_p", "seed", "frequency_penalty", "presence_penalty",
    "parallel_tool_calls", "reasoning_effort", "logprobs", "top_logprobs",
})  # fmt: skip
# Fields of a request that each adapter converts.
FORMED: Final = frozenset({"stop", "tools", "tool_choice", "response_format", "extra_body"})
# Options of the call that are no fields of the request.
OPTIONS: Final = frozenset({"deadline", "failover_on", "hedge_after", "timeout"})


def rename_kwargs(options: Mapping[str, Any], refused: frozenset[str], known: frozenset[str]) -> dict[str, Any]:
    """Rename the arguments of a call to our names, without those that are None.

    Args:
        options: The keyword arguments of the call.
        refused: Arguments of the constructor. Those that no call takes are refused: a key must not end up in a body.
        known: Arguments that a call takes.

    Raises:
        ValidationError: One of them belongs to the constructor.
    """
    given = {ALIASES.get(name, name): value for name, value in options.items() if value is not None}
    for name in given:
        if name in refused and name not in known:
            raise ValidationError(f"{name!r} belongs to the constructor of the model and cannot be passed with a call.")
    return given


def split_kwargs(
    given: dict[str, Any], plain: frozenset[str], not_sent: frozenset[str], *, tools: bool
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Split arguments into fields of the request, options of the call, and further fields of the body.

    Args:
        given: The arguments without those in ``FORMED``, except ``extra_body``.
        plain: The fields that keep their name.
        not_sent: Arguments that are dropped.
        tools: Whether the request has tools; without, ``parallel_tool_calls`` is dropped.
    """
    body = dict(given.pop("extra_body", None) or {})
    fields = {name: given.pop(name) for name in tuple(given) if name in plain}
    options = {name: given.pop(name) for name in tuple(given) if name in OPTIONS}
    body.update((name, value) for name, value in given.items() if name not in not_sent)
    if not tools:
        fields.pop("parallel_tool_calls", None)
    return fields, options, body
