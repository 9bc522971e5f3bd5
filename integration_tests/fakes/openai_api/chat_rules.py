"""What OpenAI's chat endpoint refuses beyond unknown fields: fields that disagree, and calls without results.

Written from the types and docstrings of the SDK, version 3.51.0, not tried against the service.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from integration_tests.fakes.openai_api.known_models import is_reasoning
from integration_tests.fakes.openai_api.replies import JSON, APIError
from integration_tests.support.upstream_checks import check_strict, image_url, media, pdf

_LIMITS = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
    "n": (1, 128),
    "top_logprobs": (0, 20),
    "max_tokens": (1, 1_000_000),
    "max_completion_tokens": (1, 1_000_000),
}
# What the models that reason refuse, unless it is the default.
_NOT_WHERE_REASONING = {"temperature": 1, "top_p": 1, "frequency_penalty": 0, "presence_penalty": 0, "max_tokens": None}


def check_chat(body: JSON) -> None:
    _check_numbers(body)
    _check_fields(body)
    _check_tools(body)
    _check_calls(body["messages"])
    try:
        _check_parts(body["messages"])
        _check_schema(body)
    except ValueError as error:
        raise APIError(400, str(error), code="invalid_value", param="messages") from None


def _check_numbers(body: JSON) -> None:
    for name, (least, most) in _LIMITS.items():
        if body.get(name) is not None and not least <= body[name] <= most:
            message = f"Invalid '{name}': expected a value from {least} to {most}, but got {body[name]} instead."
            raise APIError(400, message, code="decimal_above_max_value", param=name)
    if is_reasoning(body["model"]):
        for name, default in _NOT_WHERE_REASONING.items():
            if body.get(name, default) not in {default, None}:
                message = f"Unsupported parameter: '{name}' is not supported with this model."
                raise APIError(400, message, code="unsupported_parameter", param=name)
    elif body.get("reasoning_effort"):
        raise APIError(400, "Unrecognized request argument supplied: reasoning_effort", param="reasoning_effort")


def _check_fields(body: JSON) -> None:
    if not body["messages"]:
        raise APIError(400, "Invalid 'messages': empty array.", code="empty_array", param="messages")
    stop = body.get("stop") or []
    disagreeing = {
        "stream_options": bool(body.get("stream_options")) and not body.get("stream"),
        "max_tokens": body.get("max_tokens") is not None and body.get("max_completion_tokens") is not None,
        "top_logprobs": body.get("top_logprobs") is not None and not body.get("logprobs"),
        "stop": isinstance(stop, list) and len(stop) > 4,
        "metadata": len(body.get("metadata") or ()) > 16,
        "audio": bool(body.get("audio")) is not ("audio" in (body.get("modalities") or ())),
    }
    for name, is_wrong in disagreeing.items():
        if is_wrong:
            raise APIError(400, f"Invalid '{name}' beside the other fields.", code="invalid_value", param=name)
    form = body.get("response_format") or {}
    if form.get("type") == "json_object" and "json" not in str(body["messages"]).lower():
        raise APIError(400, "'messages' must contain the word 'json' in some form.", param="messages")


def _check_tools(body: JSON) -> None:
    names = [tool[tool["type"]]["name"] for tool in body.get("tools") or ()]
    choice = body.get("tool_choice")
    if len(set(names)) < len(names):
        raise APIError(400, "two tools of one name", param="tools")
    for name in ("tool_choice", "parallel_tool_calls"):
        if not names and body.get(name) is not None:
            raise APIError(400, f"'{name}' is only allowed when 'tools' are specified.", param=name)
    if (
        isinstance(choice, dict)
        and choice["type"] in choice
        and choice[choice["type"]].get("name", names[0]) not in names
    ):
        raise APIError(400, "tool_choice names a tool that is not offered", param="tool_choice")
    for tool in body.get("tools") or ():
        try:
            if tool.get("function", {}).get("strict"):
                check_strict(tool["function"].get("parameters") or {})
        except ValueError as error:
            raise APIError(400, f"Invalid schema for function: {error}", param="tools") from None


def _check_calls(messages: Sequence[JSON]) -> None:
    """Require a result for each call, and a call for each result."""
    waiting: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                raise APIError(400, "a tool message must answer one of the tool_calls before it", param="messages")
            waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            break
        waiting = [call["id"] for call in message.get("tool_calls") or ()]
    if waiting:
        raise APIError(400, "every tool_call_id must be answered by the tool messages that follow", param="messages")


def _check_parts(messages: Sequence[JSON]) -> None:
    for part in parts(messages):
        match part:
            case {"type": "image_url", "image_url": {"url": url}}:
                image_url(url)
            case {"type": "input_audio", "input_audio": {"data": data, "format": form}}:
                media(form, data)
            case {"type": "file", "file": {"file_data": data}}:
                pdf(data)


def parts(messages: Sequence[JSON]) -> Iterator[JSON]:
    for message in messages:
        if isinstance(message.get("content"), list):
            yield from message["content"]


def _check_schema(body: JSON) -> None:
    form = body.get("response_format") or {}
    if form.get("type") == "json_schema" and form["json_schema"].get("strict"):
        check_strict(form["json_schema"].get("schema") or {})
