"""Pictures: by URL, as data, with a detail."""

from __future__ import annotations

import base64

from integration_tests.support.media import PNG
from unified_llm.openai_style import OpenAI


def main(base_url: str, api_key: str) -> list[object]:
    data = "data:image/png;base64," + base64.b64encode(PNG).decode()
    with OpenAI(base_url=base_url, api_key=api_key) as client:
        return [
            client.chat.completions.create(
                model="gpt-4o",
                messages=[
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": "What is this?"},
                            {"type": "image_url", "image_url": {"url": data}},
                            {"type": "image_url", "image_url": {"url": data, "detail": "low"}},
                            {
                                "type": "image_url",
                                "image_url": {"url": "https://example.org/cat.png?a=1&b=ü", "detail": "high"},
                            },
                            {"type": "text", "text": "And that?"},
                        ],
                    }
                ],
            ),
        ]
