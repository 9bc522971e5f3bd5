"""Files: uploaded, listed page by page, read and deleted."""

from __future__ import annotations

import io

from integration_tests.openai_style.described import described
from unified_llm.openai_style import NotFoundError, OpenAI


def main(base_url: str, api_key: str) -> list[object]:
    found: list[object] = []
    with OpenAI(base_url=base_url, api_key=api_key) as client:
        text = ("a.jsonl", b'{"a": 1}\r\n\r\n--x--\r\n', "application/jsonl")
        first = client.files.create(file=text, purpose="batch", expires_after={"anchor": "created_at", "seconds": 7200})
        files = [
            client.files.create(file=(f"{name}.txt", io.BytesIO(name.encode())), purpose="user_data") for name in "bcd"
        ]
        files.append(client.files.create(file=b"without a name", purpose="assistants"))
        page = client.files.list(limit=2)
        found += [first, files, page.data, page.has_next_page(), page.get_next_page().data]
        found += [[item.id for item in client.files.list(limit=2)], [*client.files.list(purpose="batch", order="asc")]]
        found += [client.files.retrieve(first.id), client.files.content(first.id).content]
        found += [client.files.content(first.id).text, client.files.wait_for_processing(first.id)]
        found.append(client.files.delete(first.id))
        try:
            client.files.content(first.id)
        except NotFoundError as error:
            found.append(described(error))
    return found
