"""OpenAI's Responses API as a fake: validates requests by the types of OpenAI's own SDK, and sends recorded responses.

The model of a request names the recorded answer (``chat_tools``, ``stream_text`` ...); anything else does not exist.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from typing_extensions import override

from integration_tests.fakes.openai_api.replies import APIError
from integration_tests.fakes.openai_api.sdk_types import check_request
from integration_tests.fakes.serving import Fake, Received, RefusedError

KEY = "sk-CANARY-responses"
_TYPES = {
    "create": "responses.response_create_params:ResponseCreateParamsNonStreaming",
    "count": "responses.input_token_count_params:InputTokenCountParams",
}
RECORDED = Path(__file__).parents[2] / "tests" / "fixtures" / "openai_responses"


class Responses(Fake):
    """``/v1/responses`` and ``/v1/responses/input_tokens``."""

    stream_type = "text/event-stream; charset=utf-8"

    @override
    def answer(self, received: Received) -> Any:
        if received.headers.get("authorization") != f"Bearer {KEY}":
            raise error(401, "Incorrect API key provided.", "invalid_api_key")
        match received.path:
            case "/v1/responses/input_tokens":
                check("count", received.body)
                return {"object": "response.input_tokens", "input_tokens": 7}
            case "/v1/responses":
                check("create", {name: value for name, value in received.body.items() if name != "stream"})
                check_pairs(received.body["input"])
                return recorded(received.body)
            case path:
                raise error(404, f"Invalid URL ({received.method} {path})")


def recorded(body: Mapping[str, Any]) -> Any:
    """Return the recorded response that the model's name selects."""
    file = RECORDED / f"{body['model']}.json"
    if not file.is_file():
        raise error(404, f"The model `{body['model']}` does not exist.", "model_not_found")
    case = json.loads(file.read_text(encoding="utf-8"))
    return [encode_event(event) for event in case["events"]] if body.get("stream") else case["body"]


def encode_event(event: Mapping[str, Any]) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode()


def error(status: int, message: str, code: str | None = None, param: str | None = None) -> RefusedError:
    kind = "invalid_request_error"
    return RefusedError(status, {"error": {"message": message, "type": kind, "param": param, "code": code}})


def check(kind: str, body: Any) -> None:
    """Reject fields that the SDK's types do not have."""
    try:
        check_request(_TYPES[kind], body)
    except APIError as problem:
        raise error(problem.status, str(problem), problem.code, problem.param) from None


def check_pairs(items: Any) -> None:
    """Require a result for each call, a call for each result, and an item after each reasoning item."""
    items = [] if isinstance(items, str) else items
    calls = [item["call_id"] for item in items if item.get("type") == "function_call"]
    results = [item["call_id"] for item in items if item.get("type") == "function_call_output"]
    for identifier in calls:
        if identifier not in results:
            raise error(400, f"No tool output found for function call {identifier}.", param="input")
    for identifier in results:
        if identifier not in calls:
            message = f"No tool call found for function call output with call_id {identifier}."
            raise error(400, message, param="input")
    for item, following in zip_longest(items, items[1:]):
        is_followed = following and (
            following["type"] in {"reasoning", "function_call"} or "assistant" in following.values()
        )
        if item.get("type") == "reasoning" and not is_followed:
            message = f"Item '{item['id']}' of type 'reasoning' was provided without its required following item."
            raise error(400, message, param="input")
