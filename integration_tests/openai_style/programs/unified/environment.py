"""Settings from the environment, and a key that is a function."""

from __future__ import annotations

import os

from unified_llm.openai_style import OpenAI


def main(base_url: str, api_key: str) -> list[object]:
    settings = {
        "OPENAI_API_KEY": api_key,
        "OPENAI_BASE_URL": base_url,
        "OPENAI_ORG_ID": "org-1",
        "OPENAI_PROJECT_ID": "proj-1",
    }
    before = dict(os.environ)
    os.environ.update(settings)
    try:
        found: list[object] = [
            OpenAI().moderations.create(input="a"),
            OpenAI(organization="org-2").files.list(limit=1).data,
        ]
        found.append(OpenAI(api_key=lambda: api_key).embeddings.create(model="text-embedding-3-small", input="a"))
        found.append(OpenAI().chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "x"}]))
    finally:
        os.environ.clear()
        os.environ.update(before)
    return found
