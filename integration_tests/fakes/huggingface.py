"""Hugging Face's router as a fake: OpenAI's chat, models with their providers, and the task feature-extraction.

The task's fields are those of the SDK's own type, and no others.
"""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

from huggingface_hub import FeatureExtractionInput
from typing_extensions import override

from integration_tests.fakes.serving import Fake, Received, RefusedError
from integration_tests.support import upstream_answers as answers
from integration_tests.support.upstream_schema import ChatBody, RequestError, parse

KEY = "hf_CANARYCANARYCANARY"
CHAT = "org/talker"
EMBEDDER = "org/embedder"
DIMENSIONS = 8
_TASK = re.compile(r"/hf-inference/models/(?P<model>[\w.-]+/[\w.-]+)/pipeline/feature-extraction")
_FIELDS = frozenset(field.name for field in dataclasses.fields(FeatureExtractionInput)) | {
    "dimensions",
    "encoding_format",
}
_PROVIDERS = [
    {"provider": "fast", "status": "live", "context_length": 8192, "supports_tools": True},
    {"provider": "slow", "status": "live", "context_length": 131_072, "supports_structured_output": False},
]


class Router(Fake):
    """``/v1/chat/completions``, ``/v1/models``, ``/hf-inference/models/.../pipeline/feature-extraction``."""

    stream_type = "text/event-stream"

    @override
    def answer(self, received: Received) -> Any:
        if received.headers.get("authorization") != f"Bearer {KEY}":
            raise RefusedError(401, {"error": "Invalid username or password."})
        task = _TASK.fullmatch(received.path)
        if task:
            return _vectors(task["model"], received.body)
        match received.path:
            case "/v1/chat/completions":
                return _chat(received.body)
            case "/v1/models":
                model = {"id": CHAT, "object": "model", "created": 1, "owned_by": "org", "providers": _PROVIDERS}
                return {"object": "list", "data": [model]}
            case _:
                raise RefusedError(404, {"error": "Not Found"})


def _vectors(model: str, body: dict[str, Any]) -> Any:
    if model == "org/cold":
        raise RefusedError(503, {"error": f"Model {model} is currently loading", "estimated_time": 20.5})
    if model != EMBEDDER:
        raise RefusedError(404, {"error": f"Model {model} does not exist"})
    inputs = body.get("inputs")
    unknown = set(body) - _FIELDS
    if unknown or not isinstance(inputs, (str, list)) or not inputs:
        raise RefusedError(422, {"error": f"Input validation error: {sorted(unknown)}", "error_type": "validation"})
    # A list would be a stream to the server beneath.
    return tuple(answers.vector(text, DIMENSIONS) for text in ([inputs] if isinstance(inputs, str) else inputs))


def _chat(body: dict[str, Any]) -> Any:
    name = str(body.get("model")).partition(":")[0]
    if name != CHAT:
        message = f"The requested model '{name}' is not supported by any provider you have enabled."
        kind = "invalid_request_error"
        refusal = {"message": message, "type": kind, "param": "model", "code": "model_not_supported"}
        raise RefusedError(400, {"error": refusal})
    try:
        chat_body = parse(ChatBody, json.dumps(body).encode())
    except RequestError as problem:
        raise RefusedError(422, {"error": str(problem), "error_type": "validation"}) from None
    reply = answers.answer(chat_body)
    if not chat_body.stream:
        return answers.completion(chat_body, reply, "000001")
    events = [json.dumps(event) for event in answers.chunks(chat_body, reply, "000001")]
    return [f"data: {event}\n\n".encode() for event in (*events, "[DONE]")]
