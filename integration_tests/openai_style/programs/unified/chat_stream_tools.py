"""Calls of tools in chunks, one and several."""

from __future__ import annotations

import json
from typing import Any

from unified_llm.openai_style import OpenAI

TOOLS: Any = [
    {
        "type": "function",
        "function": {"name": name, "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
    }
    for name in ("weather", "mayor")
]


def main(base_url: str, api_key: str) -> list[object]:
    found: list[object] = []
    with OpenAI(base_url=base_url, api_key=api_key) as client:
        for prompt in ("How is 'Zürich'?", "Ask every tool about 'Zürich'."):
            chunks = [
                *client.chat.completions.create(
                    model="gpt-4o",
                    messages=[{"role": "user", "content": prompt}],
                    tools=TOOLS,
                    stream=True,
                    stream_options={"include_usage": True},
                )
            ]
            arguments: dict[int, str] = {}
            for chunk in chunks:
                for call in chunk.choices[0].delta.tool_calls or () if chunk.choices else ():
                    assert call.function
                    arguments[call.index] = arguments.get(call.index, "") + (call.function.arguments or "")
            found += [chunks, [json.loads(text) for text in arguments.values()]]
    return found
