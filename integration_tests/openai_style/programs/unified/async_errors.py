"""Errors with asyncio: of every status, of connections, and of streams that break."""

from __future__ import annotations

from typing import Any

from integration_tests.openai_style.described import described
from unified_llm.openai_style import APIConnectionError, APIStatusError, APITimeoutError, AsyncOpenAI


async def main(base_url: str, api_key: str) -> list[object]:
    question: Any = [{"role": "user", "content": "x"}]
    found: list[object] = []
    host = base_url.removesuffix("/v1")
    for status in (400, 401, 403, 404, 409, 422, 429, 500):
        async with AsyncOpenAI(base_url=f"{host}/status/{status}/v1", api_key=api_key, max_retries=0) as client:
            try:
                await client.chat.completions.create(model="gpt-4o", messages=question)
            except APIStatusError as error:
                found.append(described(error))
            try:
                await client.chat.completions.create(model="gpt-4o", messages=question, stream=True)
            except APIStatusError as error:
                found.append(described(error))
    async with AsyncOpenAI(base_url=f"{host}/slow/v1", api_key=api_key, max_retries=0) as client:
        try:
            await client.chat.completions.create(model="gpt-4o", messages=question, timeout=0.1)
        except APITimeoutError as error:
            found.append(described(error))
    async with AsyncOpenAI(base_url="http://127.0.0.1:9/v1", api_key=api_key, max_retries=0) as client:
        try:
            await client.models.list()
        except APIConnectionError as error:
            found.append(described(error))
    return found
