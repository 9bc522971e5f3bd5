"""The Responses API: create, stream, retrieve, cancel, delete, input items and token counts.

Written from the types and docstrings of the SDK, version 3.51.0, not tried against the service. The answer follows the
same rules as that of chat completions.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from openai.types.responses import Response, ResponseItemList

from integration_tests.fakes.openai_api.known_models import is_reasoning, require_model
from integration_tests.fakes.openai_api.replies import JSON, APIError, Reply, as_events, as_json
from integration_tests.fakes.openai_api.requests import Received
from integration_tests.fakes.openai_api.sdk_types import check_request, check_response
from integration_tests.fakes.openai_api.store import CREATED, Store, page
from integration_tests.support.upstream_answers import fill, tokens
from integration_tests.support.upstream_checks import check_strict

_CREATE = "responses.response_create_params:ResponseCreateParams"
# Fields that a response repeats from its request, and what they are where the request says nothing.
_REPEATED: JSON = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}


def create(store: Store, received: Received) -> Reply:
    body = received.body
    is_stream = body.get("stream") is True
    check_request(_CREATE + ("Streaming" if is_stream else "NonStreaming"), body)
    require_model(body, "chat")
    items = _items(store, body)
    _check(body, items)
    response = _response(store, body, items)
    check_response(Response, response)
    if body.get("store") is not False:
        store.add(response)
        store.contents[response["id"]] = json.dumps(_listed(response["id"], items)).encode()
    return as_events(_events(response), named=True, done=False) if is_stream else as_json(response)


def _items(store: Store, body: JSON) -> list[JSON]:
    """Return the conversation: that of the response before it, then the input."""
    given: Any = body.get("input") or []
    items = [{"role": "user", "content": given}] if isinstance(given, str) else [*given]
    if earlier := body.get("previous_response_id"):
        found = store.objects.get(earlier)
        if found is None:
            message = f"Previous response with id '{earlier}' not found."
            raise APIError(400, message, code="previous_response_not_found", param="previous_response_id")
        return [*json.loads(store.contents[earlier]), *found["output"], *items]
    return items


def _check(body: JSON, items: Sequence[JSON]) -> None:
    if not items:
        raise APIError(400, "Missing required parameter: 'input'.", code="missing_required_parameter", param="input")
    calls = [item["call_id"] for item in items if item.get("type") == "function_call"]
    results = [item["call_id"] for item in items if item.get("type") == "function_call_output"]
    for identifier in {*calls} ^ {*results}:
        which = (
            "tool output found for function call" if identifier in calls else "tool call found for function call output"
        )
        raise APIError(400, f"No {which} {identifier}.", param="input")
    if is_reasoning(body["model"]) and body.get("temperature") not in {None, 1}:
        message = "Unsupported parameter: 'temperature' is not supported with this model."
        raise APIError(400, message, code="unsupported_parameter", param="temperature")
    for tool in body.get("tools") or ():
        if tool["type"] == "function" and tool.get("strict"):
            try:
                check_strict(tool["parameters"])
            except ValueError as error:
                raise APIError(400, f"Invalid schema for function: {error}", param="tools") from None


def _response(store: Store, body: JSON, items: Sequence[JSON]) -> JSON:
    identifier = store.new_id("resp_")
    output = [*_output(body, items, identifier)]
    read = 8 + 4 * len(items) + len(tokens(_last_text(items)))
    written = len(tokens(json.dumps(output)))
    thought = 12 if is_reasoning(body["model"]) else 0
    usage = {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": written + thought,
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": read + written + thought,
    }
    repeated = {name: body[name] if body.get(name) is not None else value for name, value in _REPEATED.items()}
    repeated["text"] = {"format": {"type": "text"}} | _without_nulls(body.get("text") or {})
    return {
        "id": identifier,
        "object": "response",
        "created_at": CREATED,
        "completed_at": CREATED + 1,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "model": body["model"],
        "output": output,
        "tools": [_as_listed(tool) for tool in body.get("tools") or ()],
        "usage": usage,
        **repeated,
    }


def _without_nulls(value: JSON) -> JSON:
    return {name: item for name, item in value.items() if item is not None}


def _as_listed(tool: JSON) -> JSON:
    return {"strict": True, "description": None} | tool if tool["type"] == "function" else tool


def _output(body: JSON, items: Sequence[JSON], identifier: str) -> Iterator[JSON]:
    if is_reasoning(body["model"]):
        yield {"id": f"rs_{identifier}", "type": "reasoning", "summary": []}
    prompt = _last_text(items)
    calls = [*_calls(body, items, prompt, identifier)]
    yield from calls
    if calls:
        return
    content: JSON
    if "refuse" in prompt:
        content = {"type": "refusal", "refusal": "I can't help with that."}
    else:
        content = {"type": "output_text", "text": _text(body, items, prompt), "annotations": [], "logprobs": []}
    yield {
        "id": f"msg_{identifier}", "type": "message", "status": "completed", "role": "assistant", "content": [content],
    }  # fmt: skip


def _calls(body: JSON, items: Sequence[JSON], prompt: str, identifier: str) -> Iterator[JSON]:
    tools = [tool for tool in body.get("tools") or () if tool["type"] == "function"]
    choice = body.get("tool_choice")
    if choice == "none" or (items[-1].get("type") == "function_call_output" and choice != "required"):
        return
    if isinstance(choice, dict) and choice["type"] == "function":
        tools = [tool for tool in tools if tool["name"] == choice["name"]]
    elif "every tool" not in prompt or body.get("parallel_tool_calls") is False:
        tools = tools[:1]
    for index, tool in enumerate(tools):
        yield {
            "id": f"fc_{identifier}_{index}",
            "type": "function_call",
            "status": "completed",
            "call_id": f"call_{identifier}_{index}",
            "name": tool["name"],
            "arguments": json.dumps(fill(tool["parameters"], prompt), ensure_ascii=False),
        }


def _last_text(items: Sequence[JSON]) -> str:
    content: Any = next((item["content"] for item in reversed(items) if item.get("role") == "user"), "")
    if isinstance(content, str):
        return content
    return " ".join(part["text"] if "text" in part else f"[{part['type']}]" for part in content)


def _text(body: JSON, items: Sequence[JSON], prompt: str) -> str:
    match (body.get("text") or {}).get("format"):
        case {"type": "json_schema", "schema": schema}:
            return json.dumps(fill(schema, prompt), ensure_ascii=False)
        case {"type": "json_object"}:
            return json.dumps({"answer": prompt}, ensure_ascii=False)
    last = items[-1]
    return f"You said: {last.get('output', prompt)}. That is all I know."


def _listed(identifier: str, items: Sequence[JSON]) -> list[JSON]:
    """Return the input as the list of a stored response has it."""
    return [_listed_item(item, f"{identifier}_{index}") for index, item in enumerate(items)]


def _listed_item(item: JSON, identifier: str) -> JSON:
    if item.get("type", "message") != "message":
        return {"id": f"item_{identifier}", "status": "completed"} | item
    content = item["content"]
    kind = "output_text" if item["role"] == "assistant" else "input_text"
    parts = [{"type": kind, "text": content}] if isinstance(content, str) else content
    parts = [{"annotations": [], **part} if part["type"] == "output_text" else part for part in parts]
    common = {"id": f"msg_{identifier}", "type": "message", "status": "completed"}
    return common | item | {"content": parts}


def _events(response: JSON) -> Iterator[JSON]:
    started = response | {"status": "in_progress", "output": [], "usage": None, "completed_at": None}
    events: list[JSON] = [
        {"type": "response.created", "response": started},
        {"type": "response.in_progress", "response": started},
    ]
    for index, item in enumerate(response["output"]):
        events += _item_events(index, item)
    events.append({"type": "response.completed", "response": response})
    for number, event in enumerate(events):
        yield event | {"sequence_number": number}


def _item_events(index: int, item: JSON) -> Iterator[JSON]:
    empty = {"content": [], "arguments": ""}
    opened = item | {name: value for name, value in empty.items() if name in item}
    opened |= {"status": "in_progress"} if "status" in item else {}
    yield {"type": "response.output_item.added", "output_index": index, "item": opened}
    where = {"item_id": item["id"], "output_index": index}
    if item["type"] == "function_call":
        kind = "response.function_call_arguments"
        for start in range(0, len(item["arguments"]), 3):
            yield {"type": f"{kind}.delta", "delta": item["arguments"][start : start + 3]} | where
        yield {"type": f"{kind}.done", "arguments": item["arguments"]} | where
    for position, part in enumerate(item.get("content") or ()):
        yield from _part_events(part, where | {"content_index": position})
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _part_events(part: JSON, where: JSON) -> Iterator[JSON]:
    name = "text" if part["type"] == "output_text" else "refusal"
    kind = "response.output_text" if name == "text" else "response.refusal"
    logprobs: JSON = {"logprobs": []} if name == "text" else {}
    yield {"type": "response.content_part.added", "part": part | {name: ""}} | where
    for word in tokens(part[name]):
        yield {"type": f"{kind}.delta", "delta": word} | logprobs | where
    yield {"type": f"{kind}.done", name: part[name]} | logprobs | where
    yield {"type": "response.content_part.done", "part": part} | where


def retrieve(store: Store, received: Received) -> Reply:
    query: JSON = received.arguments
    is_stream = query.get("stream") == "true"
    query |= {"stream": is_stream} if "stream" in query else {}
    kind = f"responses.response_retrieve_params:ResponseRetrieveParams{'' if is_stream else 'Non'}Streaming"
    check_request(kind, query, is_json=False)
    response = store.get("response", received.path.split("/")[1])
    if not is_stream:
        return as_json(response)
    after = int(query.get("starting_after", -1))
    return as_events((event for event in _events(response) if event["sequence_number"] > after), named=True, done=False)


def delete(store: Store, received: Received) -> Reply:
    return as_json(store.delete("response", received.path.split("/")[1]))


def cancel(store: Store, received: Received) -> Reply:
    response = store.get("response", received.path.split("/")[1])
    if not response["background"]:
        raise APIError(400, "Cannot cancel a synchronous response.")
    return as_json(store.add(response | {"status": "cancelled"}))


def list_items(store: Store, received: Received) -> Reply:
    query: JSON = received.arguments
    check_request("responses.input_item_list_params:InputItemListParams", query, is_json=False)
    response = store.get("response", received.path.split("/")[1])
    items = json.loads(store.contents[response["id"]])
    items = items if query.get("order") == "asc" else items[::-1]
    if "after" in query:
        items = items[[item["id"] for item in items].index(query["after"]) + 1 :]
    listed = page(items, int(query.get("limit", 20)))
    check_response(ResponseItemList, listed)
    return as_json(listed)


def count(store: Store, received: Received) -> Reply:
    check_request("responses.input_token_count_params:InputTokenCountParams", received.body)
    read = len(tokens(json.dumps(received.body.get("input") or "")))
    return as_json({"object": "response.input_tokens", "input_tokens": read})


ROUTES = {
    "POST responses": create,
    "POST responses/input_tokens": count,
    "GET responses/{id}": retrieve,
    "DELETE responses/{id}": delete,
    "POST responses/{id}/cancel": cancel,
    "GET responses/{id}/input_items": list_items,
}
