"""Chat completions, whole and as chunks, and those that were stored.

Written from the types and docstrings of the SDK, version 3.51.0, not tried against the service. The answer follows
fixed rules: a tool is called where one is offered and the last message is no result, JSON is given where it is wanted,
"refuse" in the last message is refused, and else the last message is repeated.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionDeleted

from integration_tests.fakes.openai_api.chat_rules import check_chat
from integration_tests.fakes.openai_api.known_models import is_reasoning, require_model
from integration_tests.fakes.openai_api.replies import JSON, Reply, as_events, as_json
from integration_tests.fakes.openai_api.requests import Received
from integration_tests.fakes.openai_api.sdk_types import check_request, check_response
from integration_tests.fakes.openai_api.store import CREATED, Store, page
from integration_tests.support.media import WAV
from integration_tests.support.upstream_answers import fill, tokens

# What the service takes though the types lack it: annotations of an earlier answer, and the name of a tool.
_BEYOND_THE_TYPES = {"assistant": "annotations", "tool": "name"}


@dataclass(frozen=True)
class Answer:
    """Content of a choice, before it is written as a message or as chunks."""

    text: str | None = None
    refusal: str | None = None
    calls: Sequence[JSON] = ()
    function_call: JSON | None = None
    audio: JSON | None = None
    finish_reason: str = "stop"
    logprobs: Sequence[JSON] | None = field(default=None)


def complete(store: Store, received: Received) -> Reply:
    body = received.body
    is_stream = body.get("stream") is True
    kind = "Streaming" if is_stream else "NonStreaming"
    check_request(f"chat.completion_create_params:CompletionCreateParams{kind}", _as_the_types_have_it(body))
    require_model(body, "chat")
    check_chat(body)
    envelope = {
        "id": store.new_id("chatcmpl-"),
        "object": "chat.completion.chunk" if is_stream else "chat.completion",
        "created": CREATED,
        "model": body["model"],
        "service_tier": body.get("service_tier") or "default",
        "system_fingerprint": "fp_fake",
    }
    answers = [_answer(body, envelope["id"], number) for number in range(body.get("n") or 1)]
    if is_stream:
        return as_events(_chunks(body, envelope, answers))
    choices = [
        {
            "index": index,
            "message": _message(answer),
            "logprobs": None if answer.logprobs is None else {"content": answer.logprobs, "refusal": None},
            "finish_reason": answer.finish_reason,
        }
        for index, answer in enumerate(answers)
    ]
    whole = envelope | {"choices": choices, "usage": _usage(body, answers)}
    check_response(ChatCompletion, whole)
    if body.get("store"):
        store.add(whole | {"metadata": body.get("metadata") or {}})
        store.contents[whole["id"]] = json.dumps(body["messages"]).encode()
    return as_json(whole)


def _as_the_types_have_it(body: JSON) -> JSON:
    messages = body.get("messages")
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        return body
    known = [
        {name: value for name, value in message.items() if name != _BEYOND_THE_TYPES.get(message.get("role", ""))}
        for message in messages
    ]
    return body | {"messages": known}


def _answer(body: JSON, identifier: str, number: int) -> Answer:
    prompt = last_text(body["messages"])
    if calls := _calls(body, f"{identifier}_{number}", prompt):
        return Answer(calls=calls, finish_reason="tool_calls")
    if function_call := _function_call(body, prompt):
        return Answer(function_call=function_call, finish_reason="function_call")
    if "refuse" in prompt:
        return Answer(refusal="I can't help with that.")
    text, reason = _text(body, prompt), "stop"
    text += f" ({number + 1})" if number else ""
    stops = body.get("stop") or []
    for stop in [stops] if isinstance(stops, str) else stops:
        text = text.split(stop, 1)[0]
    words, limit = tokens(text), body.get("max_completion_tokens") or body.get("max_tokens")
    if limit and len(words) > limit:
        text, reason = "".join(words[:limit]), "length"
    if body.get("audio"):
        sound = base64.b64encode(WAV).decode()
        audio = {"id": "audio_1", "data": sound, "expires_at": CREATED + 3600, "transcript": text}
        return Answer(audio=audio, finish_reason=reason)
    return Answer(text, finish_reason=reason, logprobs=_logprobs(body, text))


def _calls(body: JSON, identifier: str, prompt: str) -> list[JSON]:
    tools, choice = body.get("tools") or [], body.get("tool_choice")
    if choice == "none" or (body["messages"][-1]["role"] == "tool" and choice != "required"):
        return []
    if isinstance(choice, dict) and choice["type"] in {"function", "custom"}:
        tools = [tool for tool in tools if tool[tool["type"]]["name"] == choice[choice["type"]]["name"]]
    elif "every tool" not in prompt or body.get("parallel_tool_calls") is False:
        tools = tools[:1]
    return [_call(tool, f"call_{identifier}_{index}", prompt) for index, tool in enumerate(tools)]


def _call(tool: JSON, identifier: str, prompt: str) -> JSON:
    if tool["type"] == "custom":
        called = {"name": tool["custom"]["name"], "input": f"input for {prompt}"}
        return {"id": identifier, "type": "custom", "custom": called}
    arguments = json.dumps(fill(tool["function"].get("parameters") or {"type": "object"}, prompt), ensure_ascii=False)
    return {
        "id": identifier,
        "type": "function",
        "function": {"name": tool["function"]["name"], "arguments": arguments},
    }


def _function_call(body: JSON, prompt: str) -> JSON | None:
    functions, choice = body.get("functions") or [], body.get("function_call")
    if not functions or choice == "none" or body["messages"][-1]["role"] == "function":
        return None
    function = next(
        (item for item in functions if isinstance(choice, dict) and item["name"] == choice["name"]), functions[0]
    )
    return {"name": function["name"], "arguments": json.dumps(fill(function.get("parameters") or {}, prompt))}


def _text(body: JSON, prompt: str) -> str:
    match body.get("response_format"):
        case {"type": "json_schema", "json_schema": json_schema}:
            return json.dumps(fill(json_schema.get("schema") or {}, prompt), ensure_ascii=False)
        case {"type": "json_object"}:
            return json.dumps({"answer": prompt}, ensure_ascii=False)
    last = body["messages"][-1]
    said = text_of(last["content"]) if last["role"] in {"tool", "function"} else prompt
    return f"You said: {said}. That is all I know."


def last_text(messages: Sequence[JSON]) -> str:
    """Return the text of the last user message, with a placeholder for each other part."""
    content: Any = next((message["content"] for message in reversed(messages) if message["role"] == "user"), "")
    return text_of(content)


def text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    return " ".join(part["text"] if "text" in part else f"[{part['type']}]" for part in content)


def _logprobs(body: JSON, text: str) -> list[JSON] | None:
    if not body.get("logprobs"):
        return None
    top = [{"token": f"~{rank}", "logprob": -1.5, "bytes": None} for rank in range(body.get("top_logprobs") or 0)]
    return [{"token": word, "logprob": -0.25, "bytes": [*word.encode()], "top_logprobs": top} for word in tokens(text)]


def _message(answer: Answer) -> JSON:
    message: JSON = {"role": "assistant", "content": answer.text, "refusal": answer.refusal, "annotations": []}
    optional = {"tool_calls": answer.calls, "function_call": answer.function_call, "audio": answer.audio}
    return message | {name: value for name, value in optional.items() if value}


def _usage(body: JSON, answers: Sequence[Answer]) -> JSON:
    read = 8 + 4 * len(body["messages"]) + len(tokens(last_text(body["messages"])))
    reasoning = 12 if is_reasoning(body["model"]) else 0
    written = reasoning + sum(len(tokens(json.dumps(_message(answer)))) for answer in answers)
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
        "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _chunks(body: JSON, envelope: JSON, answers: Sequence[Answer]) -> Iterator[JSON]:
    options = body.get("stream_options") or {}
    always: JSON = {"usage": None} if options.get("include_usage") else {}
    always |= {"obfuscation": "x7"} if options.get("include_obfuscation") else {}
    for chunk in _choice_chunks(answers):
        whole = envelope | {"choices": [chunk]} | always
        check_response(ChatCompletionChunk, whole)
        yield whole
    if options.get("include_usage"):
        yield envelope | {"choices": [], "usage": _usage(body, answers)}


def _choice_chunks(answers: Sequence[Answer]) -> Iterator[JSON]:
    """Yield the choices of all chunks: those of several choices are mixed, as they come."""
    streams = [[*_deltas(answer)] for answer in answers]
    for position in range(max(map(len, streams))):
        for index, stream in enumerate(streams):
            if position < len(stream):
                delta, logprob, reason = stream[position]
                logprobs = {"content": [logprob], "refusal": None} if logprob else None
                yield {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason}


def _deltas(answer: Answer) -> Iterator[tuple[JSON, JSON | None, str | None]]:
    yield {"role": "assistant", "content": "" if answer.text is not None else None, "refusal": None}, None, None
    for position, word in enumerate(tokens(answer.text or "")):
        yield {"content": word}, answer.logprobs[position] if answer.logprobs else None, None
    for word in tokens(answer.refusal or ""):
        yield {"refusal": word}, None, None
    for index, call in enumerate(answer.calls):
        for delta in _call_deltas(index, call):
            yield {"tool_calls": [delta]}, None, None
    if answer.function_call:
        yield {"function_call": {"name": answer.function_call["name"], "arguments": ""}}, None, None
        for piece in _pieces(answer.function_call["arguments"]):
            yield {"function_call": {"arguments": piece}}, None, None
    if answer.audio:
        yield {"audio": {"id": answer.audio["id"], "transcript": answer.audio["transcript"]}}, None, None
        yield {"audio": {"data": answer.audio["data"]}}, None, None
        yield {"audio": {"expires_at": answer.audio["expires_at"]}}, None, None
    yield {}, None, answer.finish_reason


def _call_deltas(index: int, call: JSON) -> Iterator[JSON]:
    function = call["function"]
    yield {"index": index} | call | {"function": {"name": function["name"], "arguments": ""}}
    for piece in _pieces(function["arguments"]):
        yield {"index": index, "function": {"arguments": piece}}


def _pieces(text: str) -> list[str]:
    return [text[start : start + 3] for start in range(0, len(text), 3)]


def list_(store: Store, received: Received) -> Reply:
    query = received.arguments
    fields = {name: value for name, value in query.items() if name != "metadata"}
    check_request("chat.completion_list_params:CompletionListParams", fields, is_json=False)
    found = [item for item in store.objects.values() if item["object"] == "chat.completion"]
    found = found[::-1] if query.get("order") == "desc" else found
    if "model" in query:
        found = [item for item in found if item["model"] == query["model"]]
    if "after" in query:
        found = found[[item["id"] for item in found].index(query["after"]) + 1 :]
    return as_json(page(found, int(query.get("limit", 20))))


def retrieve(store: Store, received: Received) -> Reply:
    return as_json(store.get("chat.completion", received.path.split("/")[2]))


def update(store: Store, received: Received) -> Reply:
    check_request("chat.completion_update_params:CompletionUpdateParams", received.body)
    found = store.get("chat.completion", received.path.split("/")[2])
    found["metadata"] = received.body["metadata"]
    return as_json(found)


def delete(store: Store, received: Received) -> Reply:
    deleted = store.delete("chat.completion", received.path.split("/")[2], "chat.completion.deleted")
    check_response(ChatCompletionDeleted, deleted)
    return as_json(deleted)


def messages(store: Store, received: Received) -> Reply:
    query = received.arguments
    check_request("chat.completions.message_list_params:MessageListParams", query, is_json=False)
    found = store.get("chat.completion", received.path.split("/")[2])
    listed = [
        {"id": f"{found['id']}-{index}", "content_parts": None} | message
        for index, message in enumerate(json.loads(store.contents[found["id"]]))
    ]
    return as_json(page(listed, int(query.get("limit", 20))))


ROUTES = {
    "POST chat/completions": complete,
    "GET chat/completions": list_,
    "GET chat/completions/{id}": retrieve,
    "POST chat/completions/{id}": update,
    "DELETE chat/completions/{id}": delete,
    "GET chat/completions/{id}/messages": messages,
}
