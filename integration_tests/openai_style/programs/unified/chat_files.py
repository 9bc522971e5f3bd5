"""Documents: as data, and by the identifier of an uploaded file."""

from __future__ import annotations

import base64

from integration_tests.support.media import PDF
from unified_llm.openai_style import OpenAI


def main(base_url: str, api_key: str) -> list[object]:
    data = "data:application/pdf;base64," + base64.b64encode(PDF).decode()
    with OpenAI(base_url=base_url, api_key=api_key) as client:
        return [
            client.chat.completions.create(
                model="gpt-4o",
                messages=[
                    {
                        "role": "user",
                        "content": [
                            {"type": "file", "file": {"filename": "a.pdf", "file_data": data}},
                            {"type": "file", "file": {"file_id": "file-abc"}},
                            {"type": "text", "text": "What do they say?"},
                        ],
                    }
                ],
            ),
        ]
