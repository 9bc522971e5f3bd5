"""The Responses API with asyncio."""

from __future__ import annotations

from pydantic import BaseModel

from unified_llm.openai_style import AsyncOpenAI


class City(BaseModel):
    name: str
    size: int


async def main(base_url: str, api_key: str) -> list[object]:
    found: list[object] = []
    async with AsyncOpenAI(base_url=base_url, api_key=api_key) as client:
        first = await client.responses.create(model="gpt-4o", input="Grüße")
        events = await client.responses.create(model="gpt-4o", input="Grüße", stream=True)
        found += [first, first.output_text, [event async for event in events]]
        parsed = await client.responses.parse(model="gpt-4o", input="About 'Oslo', 3.", text_format=City)
        found += [parsed, parsed.output_parsed, await client.responses.retrieve(first.id)]
        found += [item.id async for item in client.responses.input_items.list(first.id)]
        await client.responses.delete(first.id)
    return found
