"""Pictures: generated, edited and varied, as data and as URLs."""

# mypy: disable-error-code="deprecated"

from __future__ import annotations

import base64
import io

from openai import OpenAI

from integration_tests.support.media import PNG


def main(base_url: str, api_key: str) -> list[object]:
    with OpenAI(base_url=base_url, api_key=api_key) as client:
        generated = client.images.generate(
            model="gpt-image-2",
            prompt="a cat",
            n=2,
            size="1536x1024",
            quality="high",
            background="transparent",
            output_format="webp",
            output_compression=80,
            moderation="low",
            user="someone",
        )
        data = generated.data or []
        named = io.BytesIO(PNG)
        named.name = "cat.png"
        return [
            generated,
            base64.b64decode(data[0].b64_json or ""),
            generated.usage and generated.usage.total_tokens,
            client.images.generate(prompt="a cat"),
            client.images.generate(
                model="dall-e-3", prompt="a cat", style="vivid", response_format="url", quality="hd"
            ),
            client.images.generate(model="dall-e-2", prompt="a cat", n=2, response_format="b64_json", size="256x256"),
            client.images.edit(model="gpt-image-2", image=("cat.png", PNG, "image/png"), prompt="a hat", n=1),
            client.images.edit(
                model="gpt-image-1-mini",
                image=[named, ("b.png", PNG)],
                mask=PNG,
                prompt="Ein Hut für die Katze",
                input_fidelity="low",
                size="1024x1024",
            ),
            client.images.edit(
                model="gpt-image-2.5-flare",
                image=named,
                markup=("drawn.png", PNG, "image/png"),
                prompt="along the lines",
                complexity="low",
            ),
            client.images.generate(
                model="gpt-image-2.5-flare",
                prompt="a cat",
                output_format="svg",
                svg={"model": "gpt-6-sol", "reasoning": {"effort": "low"}},
            ),
            client.images.create_variation(image=("cat.png", PNG, "image/png"), n=2, size="256x256"),
        ]
