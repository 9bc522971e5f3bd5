"""Language models that do not stop answering: one core for retry, failover and local inference.

    from unified_llm import LLMClient

    client = LLMClient("openai/gpt-5-mini", fallbacks=["ollama/llama2", "mlx/demo"])
    print(client.generate("What is failover?").content)

The same chain as a LangChain chat model is ``unified_llm.langchain.ChatUnified``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unified_llm._version import __version__

if TYPE_CHECKING:
    from unified_llm.client import LLMClient
    from unified_llm.config import LLMConfig
    from unified_llm.messages import Message, ToolCall
    from unified_llm.own import ChatProvider, register_provider
    from unified_llm.providers.table import Provider
    from unified_llm.registry import health_snapshot, reset_health
    from unified_llm.settings import configure
    from unified_llm.target import BreakerConfig
    from unified_llm.types import (
        Attempt,
        EmbeddingResponse,
        LLMChunk,
        LLMRequest,
        LLMResponse,
        ModelInfo,
        Usage,
    )

__all__ = [
    "Attempt",
    "BreakerConfig",
    "ChatProvider",
    "EmbeddingResponse",
    "LLMChunk",
    "LLMClient",
    "LLMConfig",
    "LLMRequest",
    "LLMResponse",
    "Message",
    "ModelInfo",
    "Provider",
    "ToolCall",
    "Usage",
    "__version__",
    "configure",
    "health_snapshot",
    "register_provider",
    "reset_health",
]

# Where each name lives; it is imported when it is first used, so that importing the package costs next to nothing.
_HOMES = {
    "Attempt": "types",
    "BreakerConfig": "target",
    "ChatProvider": "own",
    "EmbeddingResponse": "types",
    "LLMChunk": "types",
    "LLMClient": "client",
    "LLMConfig": "config",
    "LLMRequest": "types",
    "LLMResponse": "types",
    "Message": "messages",
    "ModelInfo": "types",
    "Provider": "providers.table",
    "ToolCall": "messages",
    "Usage": "types",
    "configure": "settings",
    "health_snapshot": "registry",
    "register_provider": "own",
    "reset_health": "registry",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
