"""Models: the list, one, and one that does not exist."""

from __future__ import annotations

from unified_llm.openai_style import NotFoundError, OpenAI


def main(base_url: str, api_key: str) -> list[object]:
    found: list[object] = []
    with OpenAI(base_url=base_url, api_key=api_key) as client:
        page = client.models.list()
        found += [page.data, [model.id for model in client.models.list()], client.models.retrieve("gpt-4o")]
        try:
            client.models.retrieve("no-such-model")
        except NotFoundError as error:
            found += [type(error).__name__, error.status_code]
    return found
