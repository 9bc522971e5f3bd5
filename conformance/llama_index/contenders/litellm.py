"""``LiteLLM`` of llama-index-llms-litellm, over LiteLLM's own provider for servers of OpenAI's format."""

from __future__ import annotations

import os
from typing import Any

from typing_extensions import override

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else its import downloads a price list from GitHub

from llama_index.llms.litellm import LiteLLM as Base

from conformance.llama_index.contender import Contender


class LiteLLM(Contender):
    """LiteLLM looks up a model's abilities in its own list, by the model's name."""

    name = "LiteLLM"
    packages = ("llama-index-llms-litellm", "litellm")

    @override
    def calling_functions(self, base_url: str, api_key: str, **fields: Any) -> Base:
        return self.of_model("gpt-4o", base_url, api_key, **fields)

    @override
    def without_functions(self, base_url: str, api_key: str, **fields: Any) -> Base:
        return self.of_model("scripted", base_url, api_key, **fields)

    @override
    def of_model(self, model: str, base_url: str, api_key: str, **fields: Any) -> Base:
        extra: dict[str, Any] = {"stream_options": {"include_usage": True}}
        extra |= {"timeout": fields.pop("timeout")} if "timeout" in fields else {}
        return Base(model=f"openai/{model}", api_base=base_url, api_key=api_key, additional_kwargs=extra, **fields)
