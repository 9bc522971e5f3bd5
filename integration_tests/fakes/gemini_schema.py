"""Valid requests to Gemini's API: https://ai.google.dev/api, as far as this package and Google's SDK use it.

Google reads JSON as protocol buffers do: names in camelCase or snake_case, base64 in either alphabet, and nothing that
has no field.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator
from pydantic.alias_generators import to_camel

SKIP = "skip_thought_signature_validator"
_FUNCTION = re.compile(r"[A-Za-z_][\w.:\-]{0,127}", re.ASCII)
_STATUS = {400: "INVALID_ARGUMENT", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE"}
# fmt: off
_KNOWN = frozenset({
    "$id", "$defs", "$ref", "$anchor", "type", "format", "title", "description", "enum", "items", "prefixItems",
    "minItems", "maxItems", "minimum", "maximum", "anyOf", "oneOf", "properties", "additionalProperties", "required",
    "propertyOrdering",
})
# fmt: on


class RefusedError(Exception):
    """A request that Google would not answer."""

    def __init__(self, status: int, message: str, *, reason: str | None = None, details: Any = None) -> None:
        super().__init__(message)
        self.status, self.message = status, message
        info = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}] if reason else []
        self.details = [*info, *(details or [])]

    def body(self) -> dict[str, Any]:
        error: dict[str, Any] = {"code": self.status, "message": self.message, "status": _STATUS[self.status]}
        return {"error": {**error, "details": self.details} if self.details else error}


def _octets(text: str) -> str:
    try:
        return base64.b64encode(base64.b64decode(text.translate({45: 43, 95: 47}), validate=True)).decode()
    except binascii.Error:
        raise ValueError("Base64 decoding failed") from None


def _signature(text: str) -> str:
    return text if text == SKIP else _octets(text)


def _schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Refuse keywords that Gemini does not document: it ignores them, but ours must be among the documented ones."""
    if "$ref" in schema and any(not name.startswith("$") for name in schema):
        raise ValueError("beside $ref only names that begin with $ may stand")
    unknown = set(schema) - _KNOWN
    if unknown:
        raise ValueError(f"unknown words of JSON Schema: {sorted(unknown)}")
    for name in ("properties", "$defs"):
        for inner in schema.get(name, {}).values():
            _schema(inner)
    for inner in (schema.get("items"), schema.get("additionalProperties"), *schema.get("anyOf", ())):
        if isinstance(inner, dict):
            _schema(inner)
    return schema


Octets = Annotated[str, AfterValidator(_octets)]
Schema = Annotated[dict[str, JsonValue], AfterValidator(_schema)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel, populate_by_name=True)


class Blob(_Strict):
    mime_type: str
    data: Octets


class FileData(_Strict):
    file_uri: str
    mime_type: str | None = None


class FunctionCall(_Strict):
    id: str | None = None
    name: str = Field(min_length=1)
    args: dict[str, JsonValue] | None = None


class ResponsePart(_Strict):
    inline_data: Blob


class FunctionResponse(_Strict):
    id: str | None = None
    name: str = Field(min_length=1)
    response: dict[str, JsonValue]
    parts: list[ResponsePart] | None = None


class SpeechMetadata(_Strict):
    speaker: str | None = None
    style: str | None = None


class Part(_Strict):
    text: str | None = None
    speech_metadata: SpeechMetadata | None = None
    thought: bool | None = None
    thought_signature: Annotated[str, AfterValidator(_signature)] | None = None
    inline_data: Blob | None = None
    file_data: FileData | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Part:
        kinds = ("text", "inline_data", "file_data", "function_call", "function_response")
        if sum(getattr(self, kind) is not None for kind in kinds) != 1:
            raise ValueError("a part holds exactly one kind of data")
        if self.text == "" and self.thought_signature is None:
            raise ValueError("a text is empty")
        if self.speech_metadata is not None and self.text is None:
            raise ValueError("a text alone is spoken in a style")
        return self


class Content(_Strict):
    role: Literal["user", "model"] | None = None
    parts: list[Part] = Field(min_length=1)


class Function(_Strict):
    name: str
    description: str | None = None
    parameters_json_schema: Schema | None = None
    parameters: dict[str, JsonValue] | None = (
        None  # Google's own subset of schemas, which langchain-google-genai writes
    )

    @model_validator(mode="after")
    def _one_schema(self) -> Function:
        if self.parameters is not None and self.parameters_json_schema is not None:
            raise ValueError("parameters and parameters_json_schema are mutually exclusive")
        return self


class Tool(_Strict):
    function_declarations: list[Function] | None = None
    google_search: dict[str, JsonValue] | None = None


class CallingConfig(_Strict):
    mode: Literal["AUTO", "ANY", "NONE"]
    allowed_function_names: list[str] | None = None


class ToolConfig(_Strict):
    function_calling_config: CallingConfig


class ThinkingConfig(_Strict):
    include_thoughts: bool | None = None
    thinking_budget: int | None = Field(default=None, ge=-1, le=32768)
    thinking_level: Literal["MINIMAL", "LOW", "MEDIUM", "HIGH"] | None = None


class ImageConfig(_Strict):
    aspect_ratio: Literal["1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9"] | None = None
    image_size: Literal["512", "1K", "2K", "4K"] | None = None


class PrebuiltVoice(_Strict):
    voice_name: Literal["Kore", "Puck", "Zephyr"]


class VoiceConfig(_Strict):
    prebuilt_voice_config: PrebuiltVoice


class SpeechConfig(_Strict):
    voice_config: VoiceConfig


class GenerationConfig(_Strict):
    response_modalities: list[Literal["TEXT", "IMAGE", "AUDIO"]] | None = None
    image_config: ImageConfig | None = None
    speech_config: SpeechConfig | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    max_output_tokens: int | None = Field(default=None, ge=1)
    stop_sequences: list[str] | None = Field(default=None, max_length=5)
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    candidate_count: int | None = Field(default=None, ge=1, le=8)
    response_logprobs: bool | None = None
    logprobs: int | None = Field(default=None, ge=0, le=20)
    response_mime_type: Literal["application/json"] | None = None
    response_json_schema: Schema | None = None
    thinking_config: ThinkingConfig | None = None

    @model_validator(mode="after")
    def _together(self) -> GenerationConfig:
        if self.logprobs is not None and not self.response_logprobs:
            raise ValueError("logprobs needs response_logprobs")
        if self.response_json_schema is not None and self.response_mime_type is None:
            raise ValueError("a schema needs response_mime_type")
        return self


class Generate(_Strict):
    contents: list[Content] = Field(min_length=1)
    system_instruction: Content | None = None
    generation_config: GenerationConfig | None = None
    tools: list[Tool] | None = None
    tool_config: ToolConfig | None = None
    safety_settings: list[dict[str, str]] | None = None


class GenerateNamed(Generate):
    model: str


class Count(_Strict):
    contents: list[Content] | None = None
    generate_content_request: GenerateNamed | None = None


class Embed(_Strict):
    model: str
    content: Content
    task_type: Literal["RETRIEVAL_QUERY", "RETRIEVAL_DOCUMENT"] | None = None
    output_dimensionality: int | None = Field(default=None, ge=1)


class BatchEmbed(_Strict):
    requests: list[Embed] = Field(min_length=1, max_length=100)


BODIES: Mapping[str, type[_Strict]] = {
    "generateContent": Generate,
    "streamGenerateContent": Generate,
    "countTokens": Count,
    "batchEmbedContents": BatchEmbed,
}


def read(method: str, raw: bytes, model: str) -> dict[str, Any]:
    """Validate the body, and return it in one spelling."""
    try:
        parsed = BODIES[method].model_validate_json(raw)
    except ValidationError as problem:
        first = problem.errors()[0]
        path = ".".join(map(str, first["loc"]))
        raise RefusedError(400, f'Invalid JSON payload received. "{path}": {first["msg"]}.') from None
    match parsed:
        case Generate():
            _check_turns(parsed, model)
            _check_tools(parsed)
            _check_combinations(parsed, model)
            _check_media(parsed, model)
        case BatchEmbed() if any(embed.model != f"models/{model}" for embed in parsed.requests):
            raise RefusedError(400, "The models of a batch are that of its address.")
        case _:
            pass
    dumped: dict[str, Any] = parsed.model_dump(by_alias=True, exclude_none=True)
    return dumped


def _check_turns(body: Generate, model: str) -> None:
    waiting = 0
    for index, content in enumerate(body.contents):
        responses = sum(part.function_response is not None for part in content.parts)
        calls = sum(part.function_call is not None for part in content.parts)
        if responses != waiting or (responses and content.role != "user") or (calls and content.role != "model"):
            raise RefusedError(400, "The number of function response parts is not that of the function call parts.")
        if calls and index == 0:
            raise RefusedError(400, "A function call turn comes immediately after a user turn.")
        waiting = calls
    if waiting:
        raise RefusedError(400, "A function call turn needs its responses.")
    if model.startswith("gemini-3"):
        _check_signatures(body)


def _check_signatures(body: Generate) -> None:
    """Refuse a step since the user's last message whose first call has no signature."""
    for content in reversed(body.contents):
        if content.role == "user" and not any(part.function_response for part in content.parts):
            return
        calls = [part for part in content.parts if part.function_call]
        if calls and calls[0].thought_signature is None:
            raise RefusedError(400, "Function call is missing a thought_signature in functionCall parts.")


def _check_tools(body: Generate) -> None:
    functions = {function.name for tool in body.tools or () for function in tool.function_declarations or ()}
    if not all(map(_FUNCTION.fullmatch, functions)):
        raise RefusedError(400, "Invalid function name.")
    config = body.tool_config.function_calling_config if body.tool_config else None
    if config is None:
        return
    allowed = set(config.allowed_function_names or ())
    if not functions or allowed - functions or (allowed and config.mode != "ANY"):
        raise RefusedError(400, "Function calling config does not fit the function declarations.")


def _check_combinations(body: Generate, model: str) -> None:
    if model.startswith("gemini-3") or model.endswith("latest"):
        return
    functions = any(tool.function_declarations for tool in body.tools or ())
    if functions and any(tool.google_search is not None for tool in body.tools or ()):
        raise RefusedError(400, "Built-in tools and function calling cannot be combined in the same request.")
    if functions and body.generation_config and body.generation_config.response_mime_type:
        raise RefusedError(400, "Function calling with a response mime type: 'application/json' is unsupported")


def _check_media(body: Generate, model: str) -> None:
    config = body.generation_config or GenerationConfig()
    made = {kind for kind in ("IMAGE", "AUDIO") if kind in (config.response_modalities or ())}
    wanted = {"image": {"IMAGE"}, "tts": {"AUDIO"}}.get(model.rpartition("-")[2], set())
    if made != wanted:
        raise RefusedError(400, f"Model does not support the requested response modalities: {sorted(made)}.")
    if (config.image_config and not made) or (config.speech_config and "AUDIO" not in made):
        raise RefusedError(400, "A config of media fits no other response.")
    styled = any(part.speech_metadata for content in body.contents for part in content.parts)
    if styled and model != "gemini-3.8-flash-tts":
        raise RefusedError(400, "speech_metadata is not supported by this model.")
