"""One client for many LLM providers, with retry, failover, circuit breaking and local inference.

    from unified_llm import LLMClient

    client = LLMClient("openai/gpt-5-mini", fallbacks=["ollama/llama2", "mlx/demo"])
    print(client.generate("What is failover?").content)

The same chain as a LangChain chat model is ``unified_llm.langchain.ChatUnified``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unified_llm._version import __version__

if TYPE_CHECKING:
    from unified_llm._client.client import LLMClient
    from unified_llm._config.llm_config import LLMConfig
    from unified_llm._config.process_defaults import configure
    from unified_llm._config.user_providers import ChatProvider, ProviderBase, register_provider
    from unified_llm._core.outcome import FailureKind
    from unified_llm._core.target import BreakerConfig
    from unified_llm._providers.registry import Provider
    from unified_llm._state.process_health import health_snapshot, reset_health
    from unified_llm.types.messages import Message, ToolCall
    from unified_llm.types.records import Attempt, Usage
    from unified_llm.types.requests import LLMRequest
    from unified_llm.types.responses import EmbeddingResponse, LLMChunk, LLMResponse, ModelInfo

__all__ = [
    "Attempt",
    "BreakerConfig",
    "ChatProvider",
    "EmbeddingResponse",
    "FailureKind",
    "LLMChunk",
    "LLMClient",
    "LLMConfig",
    "LLMRequest",
    "LLMResponse",
    "Message",
    "ModelInfo",
    "Provider",
    "ProviderBase",
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
    "Attempt": "types.records",
    "BreakerConfig": "_core.target",
    "ChatProvider": "_config.user_providers",
    "EmbeddingResponse": "types.responses",
    "FailureKind": "_core.outcome",
    "LLMChunk": "types.responses",
    "LLMClient": "_client.client",
    "LLMConfig": "_config.llm_config",
    "LLMRequest": "types.requests",
    "LLMResponse": "types.responses",
    "Message": "types.messages",
    "ModelInfo": "types.responses",
    "Provider": "_providers.registry",
    "ProviderBase": "_config.user_providers",
    "ToolCall": "types.messages",
    "Usage": "types.records",
    "configure": "_config.process_defaults",
    "health_snapshot": "_state.process_health",
    "register_provider": "_config.user_providers",
    "reset_health": "_state.process_health",
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
