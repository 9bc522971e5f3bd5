"""The same with asyncio: chat, tools, parsed answers, streams and their events."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import BaseModel

from unified_llm.openai_style import AsyncOpenAI


class City(BaseModel):
    name: str
    size: int


async def main(base_url: str, api_key: str) -> list[object]:
    question: Any = [{"role": "user", "content": "Grüße 'Oslo' 3"}]
    found: list[object] = []
    async with AsyncOpenAI(base_url=base_url, api_key=api_key) as client:
        completion = await client.chat.completions.create(model="gpt-4o", messages=question, temperature=0)
        found += [completion, completion.choices[0].message.content, completion._request_id]
        stream = await client.chat.completions.create(
            model="gpt-4o", messages=question, stream=True, stream_options={"include_usage": True}
        )
        found.append([chunk async for chunk in stream])
        async with await client.chat.completions.create(model="gpt-4o", messages=question, stream=True) as stream:
            async for chunk in stream:
                found.append(chunk)
                break
        parsed: Any = await client.chat.completions.parse(model="gpt-4o", messages=question, response_format=City)
        found += [parsed, parsed.choices[0].message.parsed]
        async with client.chat.completions.stream(model="gpt-4o", messages=question, response_format=City) as events:
            found.append([event async for event in events])
            found.append(await events.get_final_completion())
        several = await asyncio.gather(
            *(client.embeddings.create(model="text-embedding-3-small", input="a", dimensions=size) for size in (2, 2))
        )
        found += [*several, await client.completions.create(model="gpt-3.5-turbo-instruct", prompt=["a", "b"])]
        words = await client.completions.create(model="gpt-3.5-turbo-instruct", prompt="a", stream=True)
        found.append([chunk async for chunk in words])
    return found
