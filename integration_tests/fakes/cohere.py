"""A strict stand-in for Cohere's API on 127.0.0.1.

Valid requests follow cohere-openapi.yaml of github.com/cohere-ai/cohere-developer-experience, refusals follow
docs.cohere.com/reference/errors; not tried against the service. Words in the user's last text choose the answer.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator
from typing_extensions import override

from integration_tests.fakes.serving import Fake, Received, RefusedError

KEY = "sk-CANARY-fake-cohere"
MODELS = ("command-a-03-2025", "command-a-reasoning-08-2025", "command-a-vision-07-2025", "embed-v4.0", "rerank-v3.5")
TRANSCRIBER = "cohere-transcribe-03-2026"  # which is in no list of models here
USAGE = {
    "billed_units": {"input_tokens": 5.0, "output_tokens": 9.0},
    "tokens": {"input_tokens": 71.0, "output_tokens": 12.0},
    "cached_tokens": 64.0,
}
_PLAN = "I will look."
Text = Annotated[str, Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class TextBlock(_Strict):
    type: Literal["text"]
    text: str


class ThinkingBlock(_Strict):
    type: Literal["thinking"]
    thinking: Text


class ImageURL(_Strict):
    url: Annotated[str, Field(pattern=r"^(https?://|data:image/(png|jpeg|webp|gif);base64,)")]
    detail: Literal["auto", "low", "high"] | None = None


class ImageBlock(_Strict):
    type: Literal["image_url"]
    image_url: ImageURL


class CalledFunction(_Strict):
    name: str
    arguments: str


class Call(_Strict):
    id: Text
    type: Literal["function"]
    function: CalledFunction


class System(_Strict):
    role: Literal["system"]
    content: Text | list[TextBlock]


class User(_Strict):
    role: Literal["user"]
    content: Text | Annotated[list[TextBlock | ImageBlock], Field(min_length=1)]


class Assistant(_Strict):
    role: Literal["assistant"]
    content: Text | Annotated[list[TextBlock | ThinkingBlock], Field(min_length=1)] | None = None
    tool_calls: Annotated[list[Call], Field(min_length=1)] | None = None
    tool_plan: str | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Assistant:
        if not self.content and not self.tool_calls:
            raise ValueError("message must not be empty in a turn")
        return self


class Tool(_Strict):
    role: Literal["tool"]
    tool_call_id: Text
    content: Text


Message = Annotated[System | User | Assistant | Tool, Field(discriminator="role")]


class Function(_Strict):
    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    description: str | None = None
    parameters: dict[str, JsonValue]


class OfferedTool(_Strict):
    type: Literal["function"]
    function: Function


class Thinking(_Strict):
    type: Literal["enabled", "disabled"]
    token_budget: Annotated[int, Field(gt=0)] | None = None


class ResponseFormat(_Strict):
    type: Literal["text", "json_object"]
    json_schema: dict[str, JsonValue] | None = None


class Document(_Strict):
    id: str | None = None
    data: dict[str, JsonValue]


class Chat(_Strict):
    model: Text
    messages: Annotated[list[Message], Field(min_length=1)]
    stream: bool = False
    tools: list[OfferedTool] | None = None
    strict_tools: bool | None = None
    tool_choice: Literal["REQUIRED", "NONE"] | None = None
    documents: list[str | Document] | None = None
    response_format: ResponseFormat | None = None
    safety_mode: Literal["CONTEXTUAL", "STRICT", "OFF"] | None = None
    max_tokens: Annotated[int, Field(gt=0)] | None = None
    stop_sequences: Annotated[list[str], Field(max_length=5)] | None = None
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None
    seed: int | None = None
    frequency_penalty: Annotated[float, Field(ge=0, le=1)] | None = None
    presence_penalty: Annotated[float, Field(ge=0, le=1)] | None = None
    k: Annotated[int, Field(ge=0, le=500)] | None = None
    p: Annotated[float, Field(ge=0.01, le=0.99)] | None = None
    logprobs: bool | None = None
    thinking: Thinking | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Chat:
        if any(message.role == "system" for message in self.messages[1:]):
            raise ValueError("system turn must be the first in the list")
        if self.response_format and (self.tools or self.documents):
            raise ValueError("response_format is not supported with RAG")
        if self.tool_choice and not self.tools:
            raise ValueError("tool_choice requires tools")
        _check_calls(self.messages)
        return self


class Embed(_Strict):
    model: Text
    input_type: Literal["search_document", "search_query", "classification", "clustering", "image"]
    texts: Annotated[list[Text], Field(max_length=96)]
    embedding_types: list[Literal["float", "base64"]] | None = None
    output_dimension: Literal[256, 512, 1024, 1536] | None = None
    truncate: Literal["NONE", "START", "END"] | None = None


class Rerank(_Strict):
    model: Text
    query: Text
    documents: Annotated[list[Text], Field(min_length=1)]
    top_n: Annotated[int, Field(gt=0)] | None = None
    max_tokens_per_doc: int | None = None


Body = TypeVar("Body", bound=BaseModel)


class Upload(_Strict):
    filename: Annotated[str, Field(pattern=r"\.(flac|mp3|mpeg|mpga|ogg|wav)$")]
    data: Annotated[bytes, Field(min_length=1)]


class Transcribe(_Strict):
    model: Literal["cohere-transcribe-03-2026"]
    language: Annotated[str, Field(pattern=r"^[a-z]{2}$")]
    file: Upload
    temperature: Annotated[str, Field(pattern=r"^(0(\.\d+)?|1(\.0+)?)$")] | None = None


def _check_calls(messages: list[Any]) -> None:
    waiting: list[str] = []
    known: set[str] = set()
    for message in messages:
        if isinstance(message, Tool):
            if message.tool_call_id not in known:
                raise ValueError("tool call id not found in previous tool calls")
            waiting.remove(message.tool_call_id)
            continue
        if waiting:
            raise ValueError("every tool call needs its result")
        if isinstance(message, Assistant) and message.tool_calls:
            waiting = [call.id for call in message.tool_calls]
            if known & set(waiting):
                raise ValueError("cannot have duplicate tool ids")
            known |= set(waiting)


class FakeCohere(Fake):
    """A running server."""

    @override
    def answer(self, received: Received) -> Any:
        if received.headers.get("authorization") != f"Bearer {KEY}":
            raise _refused(401, "invalid api token")
        match received.method, received.path.removeprefix("/v1/models/"):
            case "POST", "/v2/chat":
                return _chat(_read(Chat, received.body))
            case "POST", "/v2/embed":
                return _embed(_read(Embed, received.body))
            case "POST", "/v2/rerank":
                return _rerank(_read(Rerank, received.body))
            case "POST", "/v2/audio/transcriptions":
                return {"text": f"{_read(Transcribe, received.body).file.filename} says hello."}
            case "GET", "/v1/models":
                return _models(received.query.get("page_token"))
            case "GET", name if name in MODELS:
                return _model(name)
        raise _refused(404, "404 page not found")


def _refused(status: int, message: str) -> RefusedError:
    return RefusedError(status, {"id": "e7a1", "message": message})


def _read(shape: type[Body], body: dict[str, Any]) -> Body:
    try:
        read = shape.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        name = first["loc"][-1] if first["loc"] else ""
        if first["type"] == "extra_forbidden":
            raise _refused(422, f"unknown field: parameter '{name}' is not a valid field.") from None
        raise _refused(400, f"invalid request: {name} {first['msg']}") from None
    if body["model"] not in {*MODELS, TRANSCRIBER}:
        raise _refused(404, f"model '{body['model']}' not found, make sure the correct model ID was used")
    return read


def _chat(request: Chat) -> Any:
    text = _last_text(request)
    if "long" in text:
        raise _refused(400, "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 4292.")
    if "month" in text:
        raise _refused(429, "You are using a Trial key, which is limited to 1000 API calls / month.")
    if "denied" in text:
        raise _refused(498, "the request holds a token of the deny list")
    message = _write_message(request, text)
    reason = "TOOL_CALL" if "tool_calls" in message else "MAX_TOKENS" if "cut" in text else "COMPLETE"
    logprobs = [{"text": "Grüße", "token_ids": [1, 2], "logprobs": [-0.25, -0.5]}] if request.logprobs else None
    if not request.stream:
        body = {"id": "m-1", "message": {"role": "assistant", **message}, "finish_reason": reason, "usage": USAGE}
        return {**body, "logprobs": logprobs} if logprobs else body
    events = [{"type": "message-start", "id": "m-1", "delta": {"message": {"role": "assistant"}}}]
    events += _events(message, logprobs)
    end: dict[str, Any] = {"finish_reason": reason, "usage": USAGE}
    if "break" in text:
        end = {"finish_reason": "ERROR", "error": "the model broke down"}
    return _sse([*events, {"type": "message-end", "delta": end}])


def _last_text(request: Chat) -> str:
    content = next((turn.content for turn in reversed(request.messages) if isinstance(turn, User)), "")
    if isinstance(content, str):
        return content
    return " ".join(block.text if isinstance(block, TextBlock) else "picture" for block in content)


def _write_message(request: Chat, text: str) -> dict[str, Any]:
    thinks = "reasoning" in request.model and not (request.thinking and request.thinking.type == "disabled")
    thinking = [{"type": "thinking", "thinking": "Hm, so and so."}] if thinks else []
    if request.tools and request.tool_choice != "NONE" and ("weather" in text or request.tool_choice):
        name = request.tools[-1].function.name
        calls = [
            {
                "id": f"{name}_{index}",
                "type": "function",
                "function": {"name": name, "arguments": f'{{"city": "{city}"}}'},
            }
            for index, city in enumerate(("Oslo", "Köln") if "both" in text else ("Oslo",))
        ]
        return {"tool_calls": calls, **({"content": thinking} if thinks else {"tool_plan": _PLAN})}
    words = '{"city": "Oslo"}' if request.response_format else "Grüße aus der Ferne."
    message: dict[str, Any] = {"content": [*thinking, {"type": "text", "text": words}]}
    if request.documents:
        document = {"id": "doc:0", "title": "Greetings", "snippet": "Grüße ...", "url": "https://example.org/1"}
        source = {"type": "document", "id": "doc:0", "document": document}
        message["citations"] = [{"start": 0, "end": 5, "text": "Grüße", "sources": [source], "type": "TEXT_CONTENT"}]
    return message


def _events(message: dict[str, Any], logprobs: list[Any] | None) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    for index, block in enumerate(message.get("content", ())):
        kind = block["type"]
        half = len(block[kind]) // 2
        events.append(_event("content-start", index, content={"type": kind, kind: ""}))
        events += [
            _event("content-delta", index, content={kind: piece}) for piece in (block[kind][:half], block[kind][half:])
        ]
        events.append({"type": "content-end", "index": index})
    if logprobs:
        events[1]["logprobs"] = logprobs[0]
    if "tool_plan" in message:
        events += [{"type": "tool-plan-delta", "delta": {"message": {"tool_plan": p}}} for p in (_PLAN[:3], _PLAN[3:])]
    for index, call in enumerate(message.get("tool_calls", ())):
        arguments = call["function"]["arguments"]
        start = {**call, "function": {**call["function"], "arguments": ""}}
        events.append(_event("tool-call-start", index, tool_calls=start))
        events += [
            _event("tool-call-delta", index, tool_calls={"function": {"arguments": piece}})
            for piece in (arguments[:4], arguments[4:])
        ]
        events.append({"type": "tool-call-end", "index": index})
    for index, citation in enumerate(message.get("citations", ())):
        events += [_event("citation-start", index, citations=citation), {"type": "citation-end", "index": index}]
    return events


def _event(kind: str, index: int, **message: Any) -> dict[str, Any]:
    return {"type": kind, "index": index, "delta": {"message": message}}


def _sse(events: list[dict[str, Any]]) -> list[bytes]:
    """Cut events and characters in the middle, as a network may."""
    texts = (f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n" for event in events)
    data = "".join(texts).encode()
    return [data[start : start + 41] for start in range(0, len(data), 41)]


def _embed(request: Embed) -> Any:
    base = {"search_query": 1.0, "search_document": 2.0}.get(request.input_type, 3.0)
    vectors = [[base, len(text) / 8, *([0.5] * ((request.output_dimension or 4) - 2))] for text in request.texts]
    meta = {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 2.0}}
    return {"id": "v-1", "texts": request.texts, "embeddings": {"float": vectors}, "meta": meta}


def _rerank(request: Rerank) -> Any:
    scored = [{"index": index, "relevance_score": len(text) / 100} for index, text in enumerate(request.documents)]
    scored.sort(key=lambda document: -document["relevance_score"])
    meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": 1.0}}
    return {"id": "r-1", "results": scored[: request.top_n], "meta": meta}


def _models(token: str | None) -> Any:
    if token:
        return {"models": [_model(name) for name in MODELS[3:]]}
    return {"models": [_model(name) for name in MODELS[:3]], "next_page_token": "second page"}


def _model(name: str) -> dict[str, Any]:
    endpoint = "embed" if name.startswith("embed") else "rerank" if name.startswith("rerank") else "chat"
    known = {"name": name, "endpoints": [endpoint], "finetuned": False, "context_length": 256_000.0}
    return {**known, "features": ["tools", "json_schema"] if endpoint == "chat" else []}
