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
    chosen = [getattr(model, name, None) for name in _TIMEOUTS if name in model.model_fields_set]
    numbers = [value for value in chosen if isinstance(value, (int, float)) and not isinstance(value, bool)]
    return next((float(number) for number in numbers if 0 < number < float("inf")), None)


def thinking_settings(model: Any) -> Mapping[str, Any]:
    """Return the settings of a model object that say how hard it shall think, in the form of fields of a body."""
    settings = {name: getattr(model, name, None) for name in _THINKING}
    return {name: value for name, value in settings.items() if isinstance(value, (str, int, Mapping))}
