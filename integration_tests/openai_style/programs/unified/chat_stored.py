"""Completions that the service keeps: listed, read, changed and deleted."""

from __future__ import annotations

from unified_llm.openai_style import OpenAI


def main(base_url: str, api_key: str) -> list[object]:
    with OpenAI(base_url=base_url, api_key=api_key) as client:
        kept = [
            client.chat.completions.create(
                model="gpt-4o", messages=[{"role": "user", "content": text}], store=True, metadata={"of": text}
            )
            for text in ("a", "b", "c")
        ]
        first = kept[0].id
        return [
            [item.id for item in client.chat.completions.list(limit=2)],
            [item.id for item in client.chat.completions.list(model="gpt-4o", order="desc").data],
            client.chat.completions.retrieve(first),
            client.chat.completions.update(first, metadata={"of": "x"}),
            [*client.chat.completions.messages.list(first)],
            client.chat.completions.delete(first),
        ]
