"""Azure OpenAI as a fake: both of its API styles, with a resource, two deployments, keys, tokens and content filters.

Bodies are validated by the scripted upstream's schema of OpenAI's format, and answered by its rules.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from typing_extensions import override

from integration_tests.fakes.serving import Fake, Received, RefusedError
from integration_tests.support import upstream_answers as answers
from integration_tests.support.upstream_schema import ChatBody, EmbeddingBody, RequestError, parse

KEY = "sk-CANARY-azure-key"
TOKEN = "eyJDQU5BUlk.YXp1cmU.dG9rZW4"
DEPLOYMENTS = {"my-chat": "chat", "my embedding": "embeddings"}
VERSIONS = ("2024-10-21", "2025-04-01-preview")
_DATED = re.compile(r"/openai/deployments/(?P<deployment>[^/]+)/(?P<route>chat/completions|embeddings)")
_V1 = re.compile(r"/openai/v1/(?P<route>chat/completions|embeddings)")
_SAFE = {name: {"filtered": False, "severity": "safe"} for name in ("hate", "self_harm", "sexual", "violence")}


class Azure(Fake):
    """``/openai/deployments/...?api-version=`` and ``/openai/v1/...``."""

    stream_type = "text/event-stream; charset=utf-8"

    @override
    def answer(self, received: Received) -> Any:
        is_v1 = received.path.startswith("/openai/v1/")
        _check_access(received, is_v1=is_v1)
        version = received.query.get("api-version")
        if not is_v1 and version not in VERSIONS:
            raise error(404, "404", "Resource not found")
        if received.path in {"/openai/models", "/openai/v1/models"}:
            return {"object": "list", "data": [{"id": "gpt-4o", "object": "model", "created": 1, "owned_by": "azure"}]}
        match = (_V1 if is_v1 else _DATED).fullmatch(received.path)
        if not match:
            raise error(404, "404", "Resource not found")
        deployment = str(received.body.get("model")) if is_v1 else match["deployment"]
        return _serve(match["route"], deployment, received.body)


def error(status: int, code: str, message: str, /, **fields: Any) -> RefusedError:
    return RefusedError(status, {"error": {"code": code, "message": message, **fields}})


def _check_access(received: Received, *, is_v1: bool) -> None:
    """Accept a key in its header, or a token; the newer API accepts a key as a token too."""
    key, bearer = received.headers.get("api-key"), received.headers.get("authorization")
    if key is not None and bearer is not None:
        raise error(401, "401", "Two credentials were sent.")
    allowed = key == KEY or bearer == f"Bearer {TOKEN}" or (is_v1 and bearer == f"Bearer {KEY}")
    if not allowed:
        raise error(401, "401", "Access denied due to invalid subscription key or wrong API endpoint.")


def _serve(route: str, deployment: str, body: dict[str, Any]) -> Any:
    if deployment not in DEPLOYMENTS:
        raise error(404, "DeploymentNotFound", "The API deployment for this resource does not exist.")
    if DEPLOYMENTS[deployment] != route.partition("/")[0]:
        message = f"The {route} operation does not work with the specified model, {deployment}."
        raise error(400, "OperationNotSupported", message)
    raw = json.dumps(body).encode()
    try:
        if route == "embeddings":
            return answers.embeddings(parse(EmbeddingBody, raw))
        return _chat(parse(ChatBody, raw))
    except RequestError as invalid:
        raise error(400, "BadRequest", str(invalid), type="invalid_request_error", param=None) from None


def _chat(body: ChatBody) -> Any:
    reply = answers.answer(body)
    if "a filtered prompt" in (reply.text or ""):
        inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": _SAFE}
        raise error(400, "content_filter", "The response was filtered.", param="prompt", status=400, innererror=inner)
    if not body.stream:
        completion = answers.completion(body, reply, "000001")
        for choice in completion["choices"]:
            choice["content_filter_results"] = _SAFE
        return {**completion, "prompt_filter_results": _prompt()}
    return list(_events(body, reply))


def _events(body: ChatBody, reply: answers.Answer) -> Iterator[bytes]:
    yield _encode_event(
        {"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": _prompt()}
    )
    for event in answers.chunks(body, reply, "000001"):
        for choice in event["choices"]:
            choice["content_filter_results"] = _SAFE if choice["delta"].get("content") else {}
        yield _encode_event(event)
    yield b"data: [DONE]\n\n"


def _prompt() -> list[Any]:
    return [{"prompt_index": 0, "content_filter_results": _SAFE}]


def _encode_event(event: Any) -> bytes:
    return f"data: {json.dumps(event, ensure_ascii=False)}\n\n".encode()
