"""Batches: created from a file, retrieved, listed and cancelled."""

from __future__ import annotations

import json

from integration_tests.openai_style.described import described
from unified_llm.openai_style import ConflictError, OpenAI


def main(base_url: str, api_key: str) -> list[object]:
    found: list[object] = []
    url = "/v1/chat/completions"
    lines = [
        {"custom_id": str(number), "method": "POST", "url": url, "body": {"model": "gpt-4o"}} for number in range(2)
    ]
    with OpenAI(base_url=base_url, api_key=api_key) as client:
        data = "\n".join(map(json.dumps, lines)).encode()
        file = client.files.create(file=("in.jsonl", data), purpose="batch")
        batch = client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"run": "1"}
        )
        other = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
        found += [batch, client.batches.retrieve(batch.id), client.batches.cancel(other.id)]
        done = client.batches.retrieve(batch.id)
        found += [done, done.request_counts, client.files.content(done.output_file_id or "").text]
        found += [client.batches.list(limit=1).data, [item.id for item in client.batches.list(limit=1)]]
        try:
            client.batches.cancel(batch.id)
        except ConflictError as error:
            found.append(described(error))
    return found
