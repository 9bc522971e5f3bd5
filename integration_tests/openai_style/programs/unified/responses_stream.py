"""The Responses API as events: of texts, refusals, calls; and of a response that is kept."""

from __future__ import annotations

from typing import Any

from unified_llm.openai_style import OpenAI

TOOLS: Any = [
    {
        "type": "function",
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        "strict": False,
    }
]


def main(base_url: str, api_key: str) -> list[object]:
    with OpenAI(base_url=base_url, api_key=api_key) as client:
        events: list[Any] = [*client.responses.create(model="gpt-4o", input="Grüße 你好", stream=True)]
        with client.responses.create(model="gpt-4o", input="Please refuse.", stream=True) as stream:
            refused = [*stream]
        called = [*client.responses.create(model="gpt-5-mini", input="How is 'Zürich'?", tools=TOOLS, stream=True)]
        kept = [*client.responses.retrieve(events[0].response.id, stream=True, starting_after=3)]
        text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        with client.responses.stream(model="gpt-4o", input="as a stream") as stream:
            own = [event.type for event in stream]
            final = stream.get_final_response()
    return [events, text, [event.type for event in refused], refused, called, kept, own, final]
