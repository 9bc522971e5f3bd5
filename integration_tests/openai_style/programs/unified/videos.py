"""Videos: created, polled, downloaded, listed, remixed and deleted."""

# mypy: disable-error-code="deprecated"

from __future__ import annotations

from integration_tests.openai_style.described import described
from integration_tests.support.media import PNG
from unified_llm.openai_style import NotFoundError, OpenAI


def main(base_url: str, api_key: str) -> list[object]:
    found: list[object] = []
    with OpenAI(base_url=base_url, api_key=api_key) as client:
        job = client.videos.create(model="sora-2", prompt="a cat", seconds="8", size="1280x720")
        found += [job, client.videos.retrieve(job.id), client.videos.poll(job.id, poll_interval_ms=1)]
        found += [client.videos.download_content(job.id).content]
        found += [client.videos.download_content(job.id, variant="thumbnail").read()]
        remixed = client.videos.remix(job.id, prompt="with a hat")
        pictured = client.videos.create_and_poll(
            model="sora-2-pro",
            prompt="it will fail",
            input_reference=("a.png", PNG, "image/png"),
            size="1792x1024",
            poll_interval_ms=1,
        )
        found += [remixed, pictured, pictured.error and pictured.error.code]
        found += [client.videos.list(limit=2).data, [item.id for item in client.videos.list(limit=2, order="asc")]]
        found.append(client.videos.delete(job.id))
        try:
            client.videos.retrieve(job.id)
        except NotFoundError as error:
            found.append(described(error))
    return found
