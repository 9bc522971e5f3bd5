"""``OpenAILike`` of llama-index-llms-openai-like, configured as documented for a server with tools."""

from __future__ import annotations

from typing import Any

from llama_index.llms.openai_like import OpenAILike as Base
from typing_extensions import override

from conformance.llama_index.contender import Contender


class OpenAILike(Contender):
    """OpenAILike does not know models: its user sets what a model can do."""

    name = "OpenAILike"
    packages = ("llama-index-llms-openai-like", "llama-index-llms-openai", "openai")

    @override
    def calling_functions(self, base_url: str, api_key: str, **fields: Any) -> Base:
        return self.of_model("scripted", base_url, api_key, is_function_calling_model=True, **fields)

    @override
    def without_functions(self, base_url: str, api_key: str, **fields: Any) -> Base:
        return self.of_model("scripted", base_url, api_key, **fields)

    @override
    def of_model(self, model: str, base_url: str, api_key: str, **fields: Any) -> Base:
        usage = {"stream_options": {"include_usage": True}}  # for token counts
        return Base(
            model=model, api_base=base_url, api_key=api_key, is_chat_model=True, additional_kwargs=usage, **fields
        )
