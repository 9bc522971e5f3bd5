"""Tools in the Responses API: the calls, their results and the answer; and JSON of a schema."""

from __future__ import annotations

import json
from typing import Any

from unified_llm.openai_style import OpenAI

SCHEMA: Any = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOLS: Any = [
    {"type": "function", "name": name, "description": "A fact.", "parameters": SCHEMA, "strict": True}
    for name in ("weather", "mayor")
]


def main(base_url: str, api_key: str) -> list[object]:
    items: list[Any] = [{"role": "user", "content": "Ask every tool about 'Köln'."}]
    with OpenAI(base_url=base_url, api_key=api_key) as client:
        asked = client.responses.create(model="gpt-4o", input=items, tools=TOOLS, parallel_tool_calls=True)
        calls = [item for item in asked.output if item.type == "function_call"]
        # The items are sent back as the objects that they are.
        items += asked.output
        items += [{"type": "function_call_output", "call_id": call.call_id, "output": "clear"} for call in calls]
        answered = client.responses.create(model="gpt-4o", input=items, tools=TOOLS)
        named = client.responses.create(
            model="gpt-4o", input="x", tools=TOOLS, tool_choice={"type": "function", "name": "mayor"}
        )
        form: Any = {"type": "json_schema", "name": "place", "schema": SCHEMA, "strict": True}
        formatted = client.responses.create(model="gpt-4o", input="About 'Oslo'.", text={"format": form})
    arguments = [json.loads(call.arguments) for call in calls]
    return [asked, arguments, answered, answered.output_text, named, formatted, json.loads(formatted.output_text)]
