"""One client for many LLM providers, with retry, failover, circuit breaking and local inference.

    from unified_llm import LLMClient

    client = LLMClient("openai/gpt-5-mini", fallbacks=["ollama/llama3.2"])
    print(client.generate("What is failover?").content)

The same chain as a LangChain chat model is ``unified_llm.langchain.ChatUnified``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unified_llm._version import __version__

if TYPE_CHECKING:
    from types import ModuleType

    from unified_llm._client.client import LLMClient
    from unified_llm._client.map.async_run import AsyncMapRun
    from unified_llm._client.map.run import MapRun
    from unified_llm._config.llm_config import LLMConfig
    from unified_llm._config.process_defaults import configure
    from unified_llm._config.provider_base import ProviderBase
    from unified_llm._config.user_providers import ChatProvider, register_provider
    from unified_llm._core.mlx_config import MLXConfig
    from unified_llm._core.outcome import FailureKind
    from unified_llm._core.target import BreakerConfig
    from unified_llm._providers.known_models import KnownModelName
    from unified_llm._providers.registry import Provider
    from unified_llm._state.process_health import health_snapshot, reset_health
    from unified_llm.openai_style._facade import ChatCompletion, Completion, Embedding
    from unified_llm.types.map_results import MapResult, MapTotals
    from unified_llm.types.messages import Message, ToolCall
    from unified_llm.types.records import Attempt, Usage
    from unified_llm.types.requests import LLMRequest
    from unified_llm.types.responses import EmbeddingResponse, LLMChunk, LLMResponse, ModelInfo

__all__ = [
    "AsyncMapRun",
    "Attempt",
    "BreakerConfig",
    "ChatCompletion",
    "ChatProvider",
    "Completion",
    "Embedding",
    "EmbeddingResponse",
    "FailureKind",
    "KnownModelName",
    "LLMChunk",
    "LLMClient",
    "LLMConfig",
    "LLMRequest",
    "LLMResponse",
    "MLXConfig",
    "MapResult",
    "MapRun",
    "MapTotals",
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


def __getattr__(name: str) -> Any:  # noqa: C901, PLR0912 - one case for each module
    """Import a public name when it is first used, so that importing the package costs next to nothing.

    Each import is a statement of its own: programs that collect modules (PyInstaller, Nuitka, cx_Freeze) read import
    statements, and miss a module whose name is built at run time.
    """
    if name not in __all__:
        from unified_llm._lib.missing_names import missing_name

        raise missing_name(__name__, name, __all__)
    home: ModuleType
    match name:
        case "LLMClient":
            import unified_llm._client.client as home
        case "AsyncMapRun":
            import unified_llm._client.map.async_run as home
        case "MapResult" | "MapTotals":
            import unified_llm.types.map_results as home
        case "MapRun":
            import unified_llm._client.map.run as home
        case "LLMConfig":
            import unified_llm._config.llm_config as home
        case "configure":
            import unified_llm._config.process_defaults as home
        case "ProviderBase":
            import unified_llm._config.provider_base as home
        case "ChatProvider" | "register_provider":
            import unified_llm._config.user_providers as home
        case "MLXConfig":
            import unified_llm._core.mlx_config as home
        case "FailureKind":
            import unified_llm._core.outcome as home
        case "BreakerConfig":
            import unified_llm._core.target as home
        case "KnownModelName":
            import unified_llm._providers.known_models as home
        case "Provider":
            import unified_llm._providers.registry as home
        case "ChatCompletion" | "Completion" | "Embedding":
            import unified_llm.openai_style._facade as home
        case "health_snapshot" | "reset_health":
            import unified_llm._state.process_health as home
        case _:
            import unified_llm.types as home
    value = globals()[name] = getattr(home, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
