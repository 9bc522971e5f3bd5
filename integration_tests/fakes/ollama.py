"""A strict stand-in for Ollama's server on 127.0.0.1.

Valid requests follow api/types.go of github.com/ollama/ollama; unknown fields are refused, which Ollama ignores.
Words in the user's last text choose the answer.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator
from typing_extensions import override

from integration_tests.fakes.serving import Fake, Received, RefusedError

KEY = "sk-CANARY-fake-ollama"
MODELS = ("llama3.2", "qwen3", "all-minilm")
_CAPABILITIES = {
    "llama3.2": ["completion", "tools", "vision"],
    "qwen3": ["completion", "tools", "thinking"],
    "all-minilm": ["embedding"],
}
_METRICS = {"total_duration": 9_000, "load_duration": 10, "prompt_eval_count": 26, "eval_count": 12}
_CREATED = "2026-08-07T20:32:53.844124Z"


def _picture(text: str) -> str:
    if not base64.b64decode(text, validate=True).startswith(b"\x89PNG"):
        raise ValueError("no image")
    return text


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Options(_Strict):
    num_predict: int | None = None
    num_ctx: int | None = None
    seed: int | None = None
    top_k: int | None = None
    top_p: float | None = None
    temperature: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repeat_penalty: float | None = None
    stop: list[str] | None = None


class CalledFunction(_Strict):
    index: int | None = None
    name: str
    arguments: dict[str, JsonValue]


class Call(_Strict):
    id: str | None = None
    function: CalledFunction


class Message(_Strict):
    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    thinking: str | None = None
    images: list[Annotated[str, AfterValidator(_picture)]] | None = None
    tool_calls: list[Call] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class Parameters(_Strict):
    type: Literal["object"]
    required: list[str] | None = None
    properties: dict[str, dict[str, JsonValue]]


class Function(_Strict):
    name: Annotated[str, Field(min_length=1)]
    description: str | None = None
    parameters: Parameters


class Tool(_Strict):
    type: Literal["function"]
    function: Function


class _Common(_Strict):
    model: str
    stream: bool | None = None
    format: Literal["json"] | dict[str, JsonValue] | None = None
    keep_alive: str | float | None = None
    options: Options | None = None
    think: bool | Literal["low", "medium", "high", "max"] | None = None
    truncate: bool | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None


class Chat(_Common):
    messages: list[Message]
    tools: list[Tool] | None = None

    @model_validator(mode="after")
    def _lets_tools_be_called(self) -> Chat:
        if self.tools and self.format:
            raise ValueError("with a format no call of a tool can be written")
        return self


class Generate(_Common):
    prompt: str
    raw: bool | None = None


class Embed(_Strict):
    model: str
    input: list[str]
    dimensions: int | None = None
    truncate: bool | None = None
    options: Options | None = None
    keep_alive: str | float | None = None


class Show(_Strict):
    model: str


Body = TypeVar("Body", bound=BaseModel)


@dataclass
class FakeOllama(Fake):
    """A running server.

    Attributes:
        signed_in: Whether the owner of the machine has signed in to Ollama's cloud.
    """

    signed_in: bool = True

    @property
    @override
    def stream_type(self) -> str:
        return "application/x-ndjson"

    @override
    def answer(self, received: Received) -> Any:
        if not self.signed_in:
            raise RefusedError(401, {"error": "unauthorized", "signin_url": "https://ollama.com/connect?name=box"})
        if received.headers.get("authorization") not in {None, f"Bearer {KEY}"}:
            raise RefusedError(401, {"error": "unauthorized"})
        match received.method, received.path:
            case "GET", "/api/tags":
                return {"models": [_listed(name) for name in MODELS]}
            case "POST", "/api/show":
                return _show(_read(Show, received.body).model)
            case "POST", "/api/chat":
                return _chat(_read(Chat, received.body))
            case "POST", "/api/generate":
                return _generate(_read(Generate, received.body))
            case "POST", "/api/embed":
                return _embed(_read(Embed, received.body))
        raise RefusedError(404, {"error": "404 page not found"})


def _read(shape: type[Body], body: dict[str, Any]) -> Body:
    try:
        read = shape.model_validate(body)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False, include_context=False)
        raise RefusedError(400, {"error": f"json: {details[0]['msg']} {details[0]['loc']}"}) from None
    model = str(body["model"]).removesuffix(":latest")
    if model not in MODELS:
        raise RefusedError(404, {"error": f"model '{model}' not found"})
    return read


def _chat(request: Chat) -> Any:
    text = next((message.content for message in reversed(request.messages) if message.role == "user"), "")
    capabilities = _CAPABILITIES[request.model]
    if request.tools and "tools" not in capabilities:
        raise RefusedError(400, {"error": f"registry.ollama.ai/library/{request.model}:latest does not support tools"})
    if request.think and "thinking" not in capabilities:
        raise RefusedError(400, {"error": f'"{request.model}" does not support thinking'})
    if "long" in text:
        words = "the prompt is longer than the context length currently available to the model; shorten the prompt"
        raise RefusedError(400, {"error": words})
    if "busy" in text:
        raise RefusedError(503, {"error": "server busy, please try again.  maximum pending requests exceeded"})
    message = _write_message(request, text)
    end = {"done": True, "done_reason": "length" if "cut" in text else "stop", **_METRICS}
    if not request.stream:
        logprobs = {"logprobs": message.pop("logprobs")} if "logprobs" in message else {}
        return {"model": request.model, "created_at": _CREATED, "message": message, **logprobs, **end}
    lines = [_line(request.model, piece) for piece in _pieces(message)]
    if "break" in text:
        return _lines([*lines[:1], {"error": "an error was encountered while running the model"}])
    return _lines([*lines, {**_line(request.model, {"content": ""}), **end}])


def _write_message(request: Chat, text: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": "Grüße aus der Ferne."}
    if request.think:
        message["thinking"] = f"Thought with {request.think}."
    if request.format is not None:
        message["content"] = '{"city": "Oslo"}'
    if request.tools and "weather" in text:
        cities = ("Oslo", "Köln") if "both" in text else ("Oslo",)
        message["content"] = ""
        message["tool_calls"] = [
            {"id": f"call_{index}", "function": {"index": index, "name": "weather", "arguments": {"city": city}}}
            for index, city in enumerate(cities)
        ]
    if request.logprobs:
        top = [{"token": "Gr", "logprob": -0.25}, {"token": "H", "logprob": -2.5}][: request.top_logprobs or 0]
        message["logprobs"] = [{"token": "Gr", "logprob": -0.25, **({"top_logprobs": top} if top else {})}]
    return message


def _pieces(message: dict[str, Any]) -> list[dict[str, Any]]:
    """Cut reasoning and text into two pieces each, and put every call into a line of its own."""
    pieces: list[dict[str, Any]] = []
    for name in ("thinking", "content"):
        text = message.get(name, "")
        half = len(text) // 2
        pieces += [{"content": "", name: part} for part in (text[:half], text[half:]) if part]
    pieces += [{"content": "", "tool_calls": [call]} for call in message.get("tool_calls", ())]
    if "logprobs" in message:
        pieces[0]["logprobs"] = message["logprobs"]
    return pieces


def _line(model: str, message: dict[str, Any]) -> dict[str, Any]:
    logprobs = {"logprobs": message.pop("logprobs")} if "logprobs" in message else {}
    message = {"role": "assistant", **message}
    return {"model": model, "created_at": _CREATED, "message": message, "done": False, **logprobs}


def _lines(values: list[dict[str, Any]]) -> list[bytes]:
    """Cut lines and characters in the middle, as a network may."""
    data = "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values).encode()
    return [data[start : start + 37] for start in range(0, len(data), 37)]


def _generate(request: Generate) -> Any:
    text = f"{request.prompt} a time" if request.raw else "The template was applied."
    end = {"done": True, "done_reason": "stop", **_METRICS}
    start = {"model": request.model, "created_at": _CREATED}
    if request.stream:
        return _lines([{**start, "response": text, "done": False}, {**start, "response": "", **end}])
    return {**start, "response": text, **end}


def _embed(request: Embed) -> Any:
    vectors = [[len(text) / 8 + index for index in range(request.dimensions or 3)] for text in request.input]
    return {"model": request.model, "embeddings": vectors, "total_duration": 9, "prompt_eval_count": 8}


def _listed(name: str) -> dict[str, Any]:
    details = {"format": "gguf", "family": "llama", "parameter_size": "3.2B", "quantization_level": "Q4_K_M"}
    return {"name": f"{name}:latest", "model": f"{name}:latest", "size": 7, "digest": "a", "details": details}


def _show(model: str) -> dict[str, Any]:
    info = {"general.architecture": "llama", "llama.context_length": 131_072}
    return {
        "details": {"family": "llama"},
        "model_info": info,
        "capabilities": _CAPABILITIES[model.removesuffix(":latest")],
    }
