"""Settings of clients and of calls: headers, query, fields of a server's own, time limits."""

from __future__ import annotations

from typing import Any

from unified_llm.openai_style import OpenAI, Timeout


def main(base_url: str, api_key: str) -> list[object]:
    question: Any = [{"role": "user", "content": "x"}]
    client = OpenAI(
        base_url=base_url,
        api_key=api_key,
        organization="org-1",
        project="proj-1",
        default_headers={"X-Team": "a", "X-Both": "client"},
        default_query={"version": "1"},
        timeout=Timeout(20, connect=5),
        max_retries=1,
    )
    other = client.with_options(default_headers={"X-More": "b"}, timeout=5, max_retries=0)
    replaced = client.copy(default_headers={"X-Both": "copy"}, default_query={"version": "2", "more": "1"})
    found: list[object] = [
        client.chat.completions.create(model="gpt-4o", messages=question),
        client.chat.completions.create(
            model="gpt-4o",
            messages=question,
            extra_headers={"X-Both": "call", "X-Call": "d"},
            extra_query={"trace": "1"},
            extra_body={"x_server": {"depth": [1, None]}},
            timeout=10,
        ),
        other.chat.completions.create(model="gpt-4o", messages=question, timeout=None),
        replaced.chat.completions.create(model="gpt-4o", messages=question),
        client.embeddings.create(
            model="text-embedding-3-small", input="a", extra_headers={"X-Call": "e"}, extra_body={"x_kind": "query"}
        ),
        client.completions.create(model="gpt-3.5-turbo-instruct", prompt="a", extra_query={"trace": "2"}),
        [*client.chat.completions.create(model="gpt-4o", messages=question, stream=True, extra_body={"x_a": 1})],
    ]
    client.close()
    return found
