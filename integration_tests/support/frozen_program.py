"""The program that ``test_frozen`` freezes: it asks a server in every format, and prints the answers."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from unified_llm import LLMClient, LLMConfig, __version__
from unified_llm.langchain import ChatUnified

# A model for every format.
MODELS: dict[str, dict[str, Any]] = {
    "openai_chat": {"model": "openai/gpt-4o"},
    "openai_responses": {"model": "openai/gpt-4o", "api": "responses"},
    "anthropic": {"model": "anthropic/claude-sonnet-4-5"},
    "gemini": {"model": "gemini/gemini-2.5-flash"},
    "ollama": {"model": "ollama/llama3.2"},
    "cohere": {"model": "cohere/command-a-03-2025"},
    "huggingface": {"model": "huggingface/Qwen/Qwen3-8B"},
    "azure": {"model": "azure/gpt-4o", "api_version": "2024-10-21"},
    "azure_responses": {"model": "azure/gpt-4o", "api": "responses"},
}


async def _ask_async(client: LLMClient) -> tuple[str, str]:
    whole = (await client.agenerate("Hello?")).content
    streamed = "".join([chunk.content async for chunk in client.astream("Hello?")])
    return whole, streamed


def main(url: str) -> dict[str, Any]:
    """Ask the server at ``url``, and return the answers."""
    answers: dict[str, Any] = {"version": __version__, "frozen": getattr(sys, "frozen", False)}
    for name, fields in MODELS.items():
        client = LLMClient(LLMConfig(**fields, base_url=url, api_key="sk-test", max_retries=0))
        answers[name] = client.generate("Hello?").content
    client = LLMClient("openai/gpt-4o", base_url=url, api_key="sk-test")
    answers["stream"] = "".join(chunk.content for chunk in client.stream("Hello?"))
    answers["async"], answers["async stream"] = asyncio.run(_ask_async(client))
    model = ChatUnified(model="openai/gpt-4o", base_url=url, api_key="sk-test")
    answers["langchain"] = model.invoke("Hello?").content
    answers["langchain stream"] = "".join(str(chunk.content) for chunk in model.stream("Hello?"))
    return answers


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))  # noqa: T201 - the test reads it
