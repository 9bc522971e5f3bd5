"""What the scripted upstream answers, by rule, so that a test can foresee it.

Tools offered and the conversation does not end with a tool's result: call one. Otherwise, JSON where the request
wants JSON, and text that repeats the last thing said where it does not.
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
    """What the model says, before it is put into one body or into chunks."""

    text: str | None = None
    calls: list[tuple[str, JSON]] = field(default_factory=list)
    finish_reason: str = "stop"


def answer(body: ChatBody) -> Answer:
    tools = _wanted_tools(body)
    if tools:
        prompt = _last_text(body)
        arguments = [(each.function.name, fill(each.function.parameters or {}, prompt)) for each in tools]
        return Answer(calls=arguments, finish_reason="tool_calls")
    match body.response_format:
        case SchemaFormat(json_schema=wanted):
            return Answer(json.dumps(fill(wanted.schema_, _last_text(body)), ensure_ascii=False))
        case ObjectFormat():
            names = _QUOTED.findall(_last_text(body)) or ["answer"]
            return Answer(json.dumps({name: f"a {name}" for name in names}, ensure_ascii=False))
    return _reason(body) or _speak(body)


def _wanted_tools(body: ChatBody) -> list[Tool]:
    """The named tool; else what has not been called since the user spoke, as long as the model must or may call."""
    tools = body.tools or []
    if not tools or body.tool_choice == "none":
        return []
    if isinstance(body.tool_choice, NamedChoice):
        return [each for each in tools if each.function.name == body.tool_choice.function.name]
    if isinstance(body.messages[-1], ToolResult) and body.tool_choice != "required":
        return []
    called = _called_in_this_turn(body)
    fresh = [each for each in tools if each.function.name not in called] or tools[-1:]
    everything = "every tool" in _last_text(body) and body.parallel_tool_calls is not False
    return fresh if everything else fresh[:1]


def _called_in_this_turn(body: ChatBody) -> set[str]:
    called: set[str] = set()
    for message in reversed(body.messages):
        if isinstance(message, Assistant):
            called |= {each.function.name for each in message.tool_calls or ()}
        elif not isinstance(message, ToolResult):
            break
    return called


def _last_text(body: ChatBody) -> str:
    """What the user said last, for the rules to read: text, and a word for anything else."""
    content = next((each.content for each in reversed(body.messages) if isinstance(each, User)), "")
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


def _reason(body: ChatBody) -> Answer | None:
    """A step of an agent whose tools are described in words, as ReAct has it (arxiv.org/abs/2210.03629)."""
    told = next((each.content for each in body.messages if isinstance(each, System)), None)
    offered = _OFFERED.search(told) if isinstance(told, str) else None
    if offered is None:
        return None
    said = _last_text(body)
    if said.startswith("Observation: "):
        return Answer(f"Thought: I can answer now.\nAnswer: It says: {said.removeprefix('Observation: ')}")
    arguments = json.dumps(fill(json.loads(offered["schema"]), said))
    return Answer(f"Thought: I need a tool.\nAction: {offered['name']}\nAction Input: {arguments}\n")


def _speak(body: ChatBody) -> Answer:
    last = body.messages[-1]
    said = last.content if isinstance(last, ToolResult) and isinstance(last.content, str) else _last_text(body)
    text, reason = f"You said: {said[:400]}. This is all I know about it.", "stop"
    for stop in [body.stop] if isinstance(body.stop, str) else body.stop or []:
        text = text.split(stop, 1)[0]
    limit = body.max_completion_tokens or body.max_tokens
    pieces = tokens(text)
    if limit and len(pieces) > limit:
        text, reason = "".join(pieces[:limit]), "length"
    return Answer(text, finish_reason=reason)


def tokens(text: str) -> list[str]:
    """Cut text into what counts as tokens here."""
    return re.findall(r"\s*\S{1,6}|\s+$", text)


def fill(schema: Mapping[str, Any], prompt: str, root: Mapping[str, Any] | None = None, name: str = "value") -> Any:
    """The plainest value of a JSON schema, with a number or a quoted name from the prompt where one fits."""
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
            return {each: fill(inner, prompt, root, each) for each, inner in properties.items()}
        case "array":
            return [fill(schema["items"], prompt, root, name)]
        case kind:
            return _scalar(kind, prompt, name)


def _scalar(kind: str | None, prompt: str, name: str) -> Any:
    match kind:
        case "integer" | "number":
            found = re.search(r"\d+", prompt)
            return int(found[0]) if found else 1
        case "boolean":
            return True
        case "null":
            return None
    quoted = _QUOTED.search(prompt)
    return quoted[1] if quoted else f"a {name}"


def usage(body: ChatBody, given: Answer) -> JSON:
    """Token counts with every detail that OpenAI reports, none of them zero."""
    prompt = 60 + len(tokens(_last_text(body))) + 5 * len(body.messages)
    written = given.text or json.dumps(given.calls)
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


def completion(body: ChatBody, given: Answer, identifier: str) -> JSON:
    """The answer in one body."""
    message: JSON = {"role": "assistant", "content": given.text, "refusal": None, "annotations": []}
    if given.calls:
        message["tool_calls"] = [
            _call(index, identifier, name, json.dumps(args, ensure_ascii=False))
            for index, (name, args) in enumerate(given.calls)
        ]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": given.finish_reason}
    return _envelope(body, identifier, "chat.completion") | {"choices": [choice], "usage": usage(body, given)}


def chunks(body: ChatBody, given: Answer, identifier: str) -> Iterator[JSON]:
    """The answer in the chunks of a stream."""
    include_usage = bool(body.stream_options and body.stream_options.include_usage)
    envelope = _envelope(body, identifier, "chat.completion.chunk") | ({"usage": None} if include_usage else {})

    def chunk(delta: JSON, finish_reason: str | None = None) -> JSON:
        return envelope | {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}]}

    yield chunk({"role": "assistant", "content": "" if given.text is not None else None, "refusal": None})
    for piece in tokens(given.text or ""):
        yield chunk({"content": piece})
    for index, (name, args) in enumerate(given.calls):
        yield chunk({"tool_calls": [{"index": index} | _call(index, identifier, name, "")]})
        # As escapes, so that cutting every third character also cuts through characters of several bytes.
        text = json.dumps(args)
        for start in range(0, len(text), 3):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": text[start : start + 3]}}]})
    yield chunk({}, given.finish_reason)
    if include_usage:
        yield envelope | {"choices": [], "usage": usage(body, given)}


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
    """Vectors of length one that depend on nothing but the text."""
    inputs = [body.input] if isinstance(body.input, str) else body.input
    data: list[JSON] = []
    for index, each in enumerate(inputs):
        values = vector(str(each), body.dimensions or DIMENSIONS)
        packed = base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()
        shown = packed if body.encoding_format == "base64" else values
        data.append({"object": "embedding", "index": index, "embedding": shown})
    spent = sum(len(tokens(str(each))) for each in inputs)
    counted = {"prompt_tokens": spent, "total_tokens": spent}
    return {"object": "list", "data": data, "model": body.model, "usage": counted}


def vector(text: str, dimensions: int) -> list[float]:
    """A vector of length one, from the text's hash."""
    stream = b"".join(hashlib.sha256(f"{block} {text}".encode()).digest() for block in range(dimensions // 16 + 1))
    raw = [value - 32767.5 for value in struct.unpack_from(f"<{dimensions}H", stream)]
    length = sum(value * value for value in raw) ** 0.5
    return [value / length for value in raw]
