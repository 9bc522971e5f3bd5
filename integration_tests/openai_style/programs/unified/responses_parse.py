"""``parse`` in the Responses API: answers and arguments as objects of a class."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from unified_llm.openai_style import OpenAI, pydantic_function_tool


class City(BaseModel):
    """A city."""

    name: str
    size: int


def main(base_url: str, api_key: str) -> list[object]:
    with OpenAI(base_url=base_url, api_key=api_key) as client:
        parsed = client.responses.parse(model="gpt-4o", input="About 'Oslo', 3.", text_format=City)
        tool: Any = pydantic_function_tool(City)
        flat: Any = {"type": "function", "strict": True, **tool["function"]}
        called: Any = client.responses.parse(model="gpt-4o", input="About 'Oslo', 3.", tools=[flat])
        refused = client.responses.parse(model="gpt-4o", input="Please refuse.", text_format=City)
    return [
        parsed,
        isinstance(parsed.output_parsed, City),
        parsed.output_parsed,
        called,
        called.output[0].parsed_arguments,
        refused,
        refused.output_parsed,
    ]
