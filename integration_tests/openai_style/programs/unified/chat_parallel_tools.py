"""Several calls at once, and their results in another order."""

from __future__ import annotations

from typing import Any

from unified_llm.openai_style import OpenAI

TOOLS: Any = [
    {
        "type": "function",
        "function": {"name": name, "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
    }
    for name in ("weather", "population", "mayor")
]


def main(base_url: str, api_key: str) -> list[object]:
    messages: list[Any] = [{"role": "user", "content": "Ask every tool about 'Oslo'."}]
    with OpenAI(base_url=base_url, api_key=api_key) as client:
        asked = client.chat.completions.create(model="gpt-4o", messages=messages, tools=TOOLS, parallel_tool_calls=True)
        message = asked.choices[0].message
        messages.append(message.model_dump(exclude_none=True))
        calls: Any = message.tool_calls
        messages += [
            {"role": "tool", "tool_call_id": call.id, "content": [{"type": "text", "text": call.function.name}]}
            for call in reversed(calls)
        ]
        answered = client.chat.completions.create(model="gpt-4o", messages=messages, tools=TOOLS)
    return [asked, [call.id for call in calls], answered, answered.choices[0].message.content]
