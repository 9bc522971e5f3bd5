"""Responses of the scripted upstream, by fixed rules, so that a test can predict them.

If the request offers tools and the conversation does not end with a tool's result, it calls one. Otherwise, it returns
JSON if the request asks for JSON, else text that repeats the last message.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from integration_tests.support.upstream_schema import (
    Assistant,
    AudioPart,
    ChatBody,
    EmbeddingBody,
    FilePart,
    ImagePart,
    NamedChoice,
    ObjectFormat,
    SchemaFormat,
    System,
    TextPart,
    Tool,
    ToolResult,
    User,
)

JSON = dict[str, Any]
DIMENSIONS = 16
_OFFERED = re.compile(r"> Tool Name: (?P<name>\S+)$.*?^Tool Args: (?P<schema>\{.*?\})$", re.MULTILINE | re.DOTALL)
_QUOTED = re.compile(r"""['"]([^'"]+)['"]""")


@dataclass(frozen=True)
class Answer:
    """Content of a response, before it is written as one body or as chunks."""

    text: str | None = None
    calls: list[tuple[str, JSON]] = field(default_factory=list)
    finish_reason: str = "stop"


def answer(body: ChatBody) -> Answer:
    tools = _tools_to_call(body)
    if tools:
        prompt = _last_text(body)
        arguments = [(tool.function.name, fill(tool.function.parameters or {}, prompt)) for tool in tools]
        return Answer(calls=arguments, finish_reason="tool_calls")
    match body.response_format:
        case SchemaFormat(json_schema=json_schema):
            return Answer(json.dumps(fill(json_schema.schema_, _last_text(body)), ensure_ascii=False))
        case ObjectFormat():
            names = _QUOTED.findall(_last_text(body)) or ["answer"]
            return Answer(json.dumps({name: f"a {name}" for name in names}, ensure_ascii=False))
    return _by_instruction(body) or _react_step(body) or _echo(body)


def _tools_to_call(body: ChatBody) -> list[Tool]:
    """Return the named tool; else those not called since the last user message, if the model must or may call."""
    tools = body.tools or []
    if not tools or body.tool_choice == "none":
        return []
    if isinstance(body.tool_choice, NamedChoice):
        return [tool for tool in tools if tool.function.name == body.tool_choice.function.name]
    if isinstance(body.messages[-1], ToolResult) and body.tool_choice != "required":
        return []
    called = _called_in_this_turn(body)
    fresh = [tool for tool in tools if tool.function.name not in called] or tools[-1:]
    everything = "every tool" in _last_text(body) and body.parallel_tool_calls is not False
    return fresh if everything else fresh[:1]


def _called_in_this_turn(body: ChatBody) -> set[str]:
    called: set[str] = set()
    for message in reversed(body.messages):
        if isinstance(message, Assistant):
            called |= {call.function.name for call in message.tool_calls or ()}
        elif not isinstance(message, ToolResult):
            break
    return called


def _last_text(body: ChatBody) -> str:
    """Return the text of the last user message, with a placeholder for each other part."""
    content = next((message.content for message in reversed(body.messages) if isinstance(message, User)), "")
    if not isinstance(content, list):
        return content or ""
    words: list[str] = []
    for part in content:
        match part:
            case TextPart():
                words.append(part.text)
            case ImagePart():
                words.append("[image]")
            case AudioPart():
                words.append(f"[{part.input_audio.format}]")
            case FilePart():
                words.append(f"[{part.file.filename}]")
    return " ".join(words)


def _by_instruction(body: ChatBody) -> Answer | None:
    """Return JSON of the schema that the system prompt asks for, where it is not asked for by ``response_format``."""
    system = next((message.content for message in body.messages if isinstance(message, System)), None)
    _, found, rest = system.partition(" JSON schema:\n") if isinstance(system, str) else ("", "", "")
    if not found:
        return None
    schema, _ = json.JSONDecoder().raw_decode(rest)
    return Answer(json.dumps(fill(schema, _last_text(body), schema), ensure_ascii=False))


def _react_step(body: ChatBody) -> Answer | None:
    """Return a step of a ReAct agent, whose tools are described in the system prompt (arxiv.org/abs/2210.03629)."""
    system = next((message.content for message in body.messages if isinstance(message, System)), None)
    offered = _OFFERED.search(system) if isinstance(system, str) else None
    if offered is None:
        return None
    prompt = _last_text(body)
    if prompt.startswith("Observation: "):
        return Answer(f"Thought: I can answer now.\nAnswer: It says: {prompt.removeprefix('Observation: ')}")
    arguments = json.dumps(fill(json.loads(offered["schema"]), prompt))
    return Answer(f"Thought: I need a tool.\nAction: {offered['name']}\nAction Input: {arguments}\n")


def _echo(body: ChatBody) -> Answer:
    last = body.messages[-1]
    prompt = last.content if isinstance(last, ToolResult) and isinstance(last.content, str) else _last_text(body)
    text, reason = f"You said: {prompt[:400]}. This is all I know about it.", "stop"
    for stop in [body.stop] if isinstance(body.stop, str) else body.stop or []:
        text = text.split(stop, 1)[0]
    limit = body.max_completion_tokens or body.max_tokens
    words = tokens(text)
    if limit and len(words) > limit:
        text, reason = "".join(words[:limit]), "length"
    return Answer(text, finish_reason=reason)


def tokens(text: str) -> list[str]:
    """Split text into the tokens of this server."""
    return re.findall(r"\s*\S{1,6}|\s+$", text)


def fill(schema: Mapping[str, Any], prompt: str, root: Mapping[str, Any] | None = None, name: str = "value") -> Any:
    """Return a minimal value of a JSON schema, with a number or a quoted name from the prompt if one fits."""
    root = root or schema
    if "$ref" in schema:
        return fill(root["$defs"][schema["$ref"].rsplit("/", 1)[1]], prompt, root, name)
    options = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
    if options:
        return fill(options[0], prompt, root, name)
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    match schema.get("type"):
        case "object":
            properties = schema.get("properties", {})
            return {key: fill(inner, prompt, root, key) for key, inner in properties.items()}
        case "array":
            return [fill(schema["items"], prompt, root, name)]
        case kind:
            return _scalar(kind, prompt, name)


def _scalar(kind: str | None, prompt: str, name: str) -> Any:
    match kind:
        case "integer" | "number":
            digits = re.search(r"\d+", prompt)
            return int(digits[0]) if digits else 1
        case "boolean":
            return True
        case "null":
            return None
    quoted = _QUOTED.search(prompt)
    return quoted[1] if quoted else f"a {name}"


def usage(body: ChatBody, content: Answer) -> JSON:
    """Return token counts with every detail that OpenAI reports."""
    prompt = 60 + len(tokens(_last_text(body))) + 5 * len(body.messages)
    written = content.text or json.dumps(content.calls)
    completion = 20 + len(tokens(written))
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": 24, "cache_write_tokens": 16, "audio_tokens": 8},
        "completion_tokens_details": {
            "reasoning_tokens": 12,
            "audio_tokens": 4,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def completion(body: ChatBody, content: Answer, identifier: str) -> JSON:
    """Return the answer as one body."""
    message: JSON = {"role": "assistant", "content": content.text, "refusal": None, "annotations": []}
    if content.calls:
        message["tool_calls"] = [
            _call(index, identifier, name, json.dumps(args, ensure_ascii=False))
            for index, (name, args) in enumerate(content.calls)
        ]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": content.finish_reason}
    return _envelope(body, identifier, "chat.completion") | {"choices": [choice], "usage": usage(body, content)}


def chunks(body: ChatBody, content: Answer, identifier: str) -> Iterator[JSON]:
    """Yield the answer as the chunks of a stream."""
    include_usage = bool(body.stream_options and body.stream_options.include_usage)
    envelope = _envelope(body, identifier, "chat.completion.chunk") | ({"usage": None} if include_usage else {})

    def chunk(delta: JSON, finish_reason: str | None = None) -> JSON:
        return envelope | {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}]}

    yield chunk({"role": "assistant", "content": "" if content.text is not None else None, "refusal": None})
    for token in tokens(content.text or ""):
        yield chunk({"content": token})
    for index, (name, args) in enumerate(content.calls):
        yield chunk({"tool_calls": [{"index": index} | _call(index, identifier, name, "")]})
        # As escapes, so that splitting after every third character also splits escaped characters.
        text = json.dumps(args)
        for start in range(0, len(text), 3):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": text[start : start + 3]}}]})
    yield chunk({}, content.finish_reason)
    if include_usage:
        yield envelope | {"choices": [], "usage": usage(body, content)}


def _call(index: int, identifier: str, name: str, arguments: str) -> JSON:
    function = {"name": name, "arguments": arguments}
    return {"id": f"call_{identifier}_{index}", "type": "function", "function": function}


def _envelope(body: ChatBody, identifier: str, kind: str) -> JSON:
    return {
        "id": f"chatcmpl-{identifier}",
        "object": kind,
        "created": 1_760_000_000,
        "model": body.model,
        "service_tier": "default",
        "system_fingerprint": "fp_scripted",
    }


def embeddings(body: EmbeddingBody) -> JSON:
    """Return vectors of length one that depend only on the text."""
    inputs = [body.input] if isinstance(body.input, str) else body.input
    data: list[JSON] = []
    for index, text in enumerate(inputs):
        values = vector(str(text), body.dimensions or DIMENSIONS)
        packed = base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()
        embedding = packed if body.encoding_format == "base64" else values
        data.append({"object": "embedding", "index": index, "embedding": embedding})
    total = sum(len(tokens(str(text))) for text in inputs)
    counts = {"prompt_tokens": total, "total_tokens": total}
    return {"object": "list", "data": data, "model": body.model, "usage": counts}


def vector(text: str, dimensions: int) -> list[float]:
    """Return a vector of length one, from the text's hash."""
    stream = b"".join(hashlib.sha256(f"{block} {text}".encode()).digest() for block in range(dimensions // 16 + 1))
    raw = [value - 32767.5 for value in struct.unpack_from(f"<{dimensions}H", stream)]
    length = sum(value * value for value in raw) ** 0.5
    return [value / length for value in raw]
