"""The Responses API: texts, parts, a conversation that is kept, and what is kept."""

from __future__ import annotations

import base64

from openai import BadRequestError, NotFoundError, OpenAI

from integration_tests.openai_style.described import described
from integration_tests.support.media import PNG


def main(base_url: str, api_key: str) -> list[object]:
    picture = "data:image/png;base64," + base64.b64encode(PNG).decode()
    found: list[object] = []
    with OpenAI(base_url=base_url, api_key=api_key) as client:
        first = client.responses.create(model="gpt-4o", input="Grüße 你好")
        second = client.responses.create(
            model="gpt-4o",
            instructions="Be brief.",
            previous_response_id=first.id,
            input=[
                {"role": "developer", "content": "Be kind."},
                {
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "What is this?"},
                        {"type": "input_image", "image_url": picture, "detail": "low"},
                    ],
                },
            ],
            max_output_tokens=100,
            temperature=0.5,
            top_p=0.9,
            metadata={"run": "1"},
            truncation="auto",
            user="someone",
        )
        found += [first, first.output_text, first._request_id, second, second.output_text]
        found.append(
            client.responses.create(model="gpt-5-mini", input="hard", reasoning={"effort": "low"}, store=False)
        )
        found += [
            client.responses.retrieve(first.id, include=["reasoning.encrypted_content", "file_search_call.results"]),
            [*client.responses.input_items.list(second.id, order="asc")],
        ]
        found.append([item.id for item in client.responses.input_items.list(second.id, limit=1)])
        later = client.responses.create(model="gpt-4o", input="later", background=True)
        found.append(client.responses.cancel(later.id))
        client.responses.delete(first.id)
        found.append(client.responses.input_tokens.count(model="gpt-4o", input="how many"))
        try:
            client.responses.retrieve(first.id)
        except NotFoundError as error:
            found.append(described(error))
        try:
            client.responses.create(model="gpt-4o", input="x", previous_response_id="resp_nothing")
        except BadRequestError as error:
            found.append(described(error))
    return found
