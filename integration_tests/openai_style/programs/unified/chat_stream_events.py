"""``stream``: events of texts, refusals, calls and parsed objects, and the whole completion at the end."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from unified_llm.openai_style import OpenAI, pydantic_function_tool


class City(BaseModel):
    name: str
    size: int


QUESTIONS: Any = [
    {"messages": [{"role": "user", "content": "Grüße 你好"}], "stream_options": {"include_usage": True}},
    {"messages": [{"role": "user", "content": "Please refuse."}]},
    {"messages": [{"role": "user", "content": "About 'Oslo', 3."}], "response_format": City},
    {"messages": [{"role": "user", "content": "About 'Oslo', 3."}], "tools": [pydantic_function_tool(City)]},
    {"messages": [{"role": "user", "content": "likely"}], "logprobs": True, "top_logprobs": 1, "n": 2},
]


def main(base_url: str, api_key: str) -> list[object]:
    found: list[object] = []
    with OpenAI(base_url=base_url, api_key=api_key) as client:
        for question in QUESTIONS:
            with client.chat.completions.stream(model="gpt-4o", **question) as stream:
                found.append([*stream])
                final = stream.get_final_completion()
            found += [final, final.choices[0].message.parsed]
        with client.chat.completions.stream(model="gpt-4o", messages=[{"role": "user", "content": "until"}]) as stream:
            for event in stream:
                if event.type == "content.done":
                    found.append(event.content)
                    break
            found.append(stream.until_done().get_final_completion())
    return found
