"""A tool: the call, its result, and the answer."""

from __future__ import annotations

import json
from typing import Any

from unified_llm.openai_style import OpenAI

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}


def main(base_url: str, api_key: str) -> list[object]:
    messages: list[Any] = [{"role": "user", "content": "How is 'Köln' in 3 days?"}]
    with OpenAI(base_url=base_url, api_key=api_key) as client:
        asked = client.chat.completions.create(model="gpt-4o", messages=messages, tools=[WEATHER])
        call: Any = (asked.choices[0].message.tool_calls or [])[0]
        # The message is sent back as the object that it is.
        messages.append(asked.choices[0].message)
        messages.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps({"sky": "clear"})})
        answered = client.chat.completions.create(model="gpt-4o", messages=messages, tools=[WEATHER])
    return [asked, call.type, call.function.name, json.loads(call.function.arguments), answered]
