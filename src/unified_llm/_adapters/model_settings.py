"""Settings of a framework's own model object that decide how long it may take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

# langchain-openai and langchain-anthropic have aliases; many others and LlamaIndex's LLMs have ``timeout``.
_TIMEOUTS: Final = ("timeout", "request_timeout", "default_request_timeout")
# Fields of OpenAI's, Anthropic's, Gemini's and Ollama's integrations, and those that hold further fields of a body.
_THINKING: Final = (
    "reasoning_effort", "effort", "reasoning", "thinking", "thinking_budget", "thinking_level", "thinking_dict",
    "output_config", "model_kwargs", "additional_kwargs", "extra_body",
)  # fmt: skip


def timeout_of(model: Any) -> float | None:
    """Return the timeout in seconds that the user gave to a model object; None where it has its own default."""
    chosen = [_seconds(getattr(model, name, None)) for name in _TIMEOUTS if name in model.model_fields_set]
    return next((seconds for seconds in chosen if 0 < seconds < float("inf")), None)


def _seconds(timeout: Any) -> float:
    """Return the time to wait for a response, also of an ``httpx.Timeout`` or of its tuple; 0 where there is none."""
    read: Any = getattr(timeout, "read", timeout)
    if isinstance(timeout, tuple):
        read = next(iter(timeout[1:]), 0.0)
    return float(read) if isinstance(read, (int, float)) and not isinstance(read, bool) else 0.0


def thinking_settings(model: Any) -> Mapping[str, Any]:
    """Return the settings of a model object that say how hard it shall think, in the form of fields of a body."""
    settings = {name: getattr(model, name, None) for name in _THINKING}
    return {name: value for name, value in settings.items() if isinstance(value, (str, int, Mapping))}
