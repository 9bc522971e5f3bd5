"""Vectors: of a text, of several, of tokens, shorter, as numbers and as base64."""

from __future__ import annotations

from unified_llm.openai_style import OpenAI


def main(base_url: str, api_key: str) -> list[object]:
    model = "text-embedding-3-small"
    with OpenAI(base_url=base_url, api_key=api_key) as client:
        one = client.embeddings.create(model=model, input="ein Text")
        return [
            one,
            one.data[0].embedding,
            len(one.data[0].embedding),
            one.usage.total_tokens,
            client.embeddings.create(model=model, input=["a", "ö", "你好"]),
            client.embeddings.create(model=model, input=[1, 2, 3]),
            client.embeddings.create(model=model, input=[[1, 2], [3]]),
            client.embeddings.create(model=model, input=["a"], dimensions=4, user="someone"),
            client.embeddings.create(model=model, input="a", encoding_format="float"),
            client.embeddings.create(model=model, input="a", encoding_format="base64"),
            client.embeddings.create(model="text-embedding-ada-002", input="a"),
        ]
