"""No server, a server that is slow, and connections that break."""

from __future__ import annotations

from typing import Any

from integration_tests.openai_style.described import described
from unified_llm.openai_style import APIConnectionError, APITimeoutError, OpenAI


def main(base_url: str, api_key: str) -> list[object]:
    question: Any = [{"role": "user", "content": "x"}]
    found: list[object] = []
    host = base_url.removesuffix("/v1")
    with OpenAI(base_url="http://127.0.0.1:9/v1", api_key=api_key, max_retries=0) as client:
        try:
            client.chat.completions.create(model="gpt-4o", messages=question)
        except APIConnectionError as error:
            found.append(described(error))
    with OpenAI(base_url=f"{host}/slow/v1", api_key=api_key, max_retries=0, timeout=0.1) as client:
        try:
            client.chat.completions.create(model="gpt-4o", messages=question)
        except APITimeoutError as error:
            found.append(described(error))
        try:
            client.with_options(timeout=10).embeddings.create(model="text-embedding-3-small", input="x", timeout=0.1)
        except APITimeoutError as error:
            found.append(described(error))
    with OpenAI(base_url=f"{host}/cut/v1", api_key=api_key, max_retries=0) as client:
        try:
            client.chat.completions.create(model="gpt-4o", messages=question)
        except APIConnectionError as error:
            found.append(described(error))
    return found
