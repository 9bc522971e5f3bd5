"""``UnifiedLLM`` of unified-llm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from typing_extensions import override

import unified_llm
from conformance.llama_index.contender import Contender
from unified_llm.llama_index import UnifiedLLM


class Unified(Contender):
    """A chain of one target, comparable with the others; failover is tested elsewhere."""

    name = "UnifiedLLM"
    packages = ("unified-llm",)

    @override
    def calling_functions(self, base_url: str, api_key: str, **fields: Any) -> UnifiedLLM:
        return self.of_model("scripted", base_url, api_key, **fields)

    @override
    def without_functions(self, base_url: str, api_key: str, **fields: Any) -> UnifiedLLM:
        return self.of_model("scripted", base_url, api_key, is_function_calling_model=False, **fields)

    @override
    def of_model(self, model: str, base_url: str, api_key: str, **fields: Any) -> UnifiedLLM:
        fields = {"merge_messages": False, **fields}  # the tests compare the messages that are sent
        return UnifiedLLM(model=f"openai-compatible/{model}", base_url=base_url, api_key=api_key, **fields)

    @override
    def for_workers(self, base_url: str, api_key: str, setenv: Callable[[str, str], None], **fields: Any) -> UnifiedLLM:
        """Set key and address in the environment: pickles have no key, and a key is sent to its own address only."""
        setenv("OPENAI_COMPATIBLE_BASE_URL", base_url)
        setenv("OPENAI_COMPATIBLE_API_KEY", api_key)
        return UnifiedLLM(model="openai-compatible/scripted", **fields)

    @override
    def forget(self) -> None:
        unified_llm.reset_health()
