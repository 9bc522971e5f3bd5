"""Azure's addresses, keys and tokens."""

from __future__ import annotations

from typing import Any

from integration_tests.fakes.openai_api.server import TOKEN
from unified_llm.openai_style import AzureOpenAI


def main(base_url: str, api_key: str) -> list[object]:
    host = base_url.removesuffix("/v1")
    version = "2025-04-01-preview"
    question: Any = [{"role": "user", "content": "Grüße"}]
    found: list[object] = []
    with AzureOpenAI(azure_endpoint=host, api_key=api_key, api_version=version) as client:
        found.append(client.chat.completions.create(model="gpt-4o", messages=question))
        found += client.chat.completions.create(model="gpt-4o", messages=question, stream=True)
        found.append(client.embeddings.create(model="text-embedding-3-small", input="a"))
    with AzureOpenAI(
        azure_endpoint=host, azure_deployment="gpt-4o", api_version=version, azure_ad_token=TOKEN
    ) as client:
        found.append(client.chat.completions.create(model="gpt-4o", messages=question))
    with AzureOpenAI(azure_endpoint=host, api_version=version, azure_ad_token_provider=lambda: TOKEN) as client:
        found.append(client.chat.completions.create(model="gpt-4o", messages=question, extra_query={"trace": "1"}))
    return found
