"""Pictures that become finer while they come."""

from __future__ import annotations

from integration_tests.support.media import PNG
from unified_llm.openai_style import OpenAI


def main(base_url: str, api_key: str) -> list[object]:
    found: list[object] = []
    with OpenAI(base_url=base_url, api_key=api_key) as client:
        generated = [*client.images.generate(model="gpt-image-2", prompt="a cat", stream=True, partial_images=2)]
        with client.images.edit(
            model="gpt-image-2",
            image=[("a.png", PNG, "image/png"), ("b.png", PNG, "image/png")],
            prompt="a hat",
            stream=True,
            partial_images=1,
        ) as stream:
            edited = [*stream]
        found += [generated, [event.type for event in generated], edited, edited[-1].b64_json]
    return found
