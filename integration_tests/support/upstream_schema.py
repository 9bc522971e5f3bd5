"""Schema of the scripted upstream: OpenAI's chat and embeddings requests, as described in its API reference.

A lenient upstream would make most integration tests meaningless, so everything unknown is rejected.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, NoReturn, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from integration_tests.support.upstream_checks import check_strict, image_url, media, object_schema, pdf


class RequestError(Exception):
    """The request is invalid; the message names the field and the reason."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


Name = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
Speaker = Annotated[str, Field(pattern=r"^[^\s<|\\/>]{1,64}$")]
Schema = Annotated[dict[str, Any], AfterValidator(object_schema)]


class TextPart(Strict):
    type: Literal["text"]
    text: str


class RefusalPart(Strict):
    type: Literal["refusal"]
    refusal: str


class ImageURL(Strict):
    url: Annotated[str, AfterValidator(image_url)]
    detail: Literal["auto", "low", "high"] | None = None


class ImagePart(Strict):
    type: Literal["image_url"]
    image_url: ImageURL


class InputAudio(Strict):
    data: str
    format: Literal["wav", "mp3"]

    @model_validator(mode="after")
    def _decodes(self) -> InputAudio:
        media(self.format, self.data)
        return self


class AudioPart(Strict):
    type: Literal["input_audio"]
    input_audio: InputAudio


class File(Strict):
    filename: Annotated[str, Field(min_length=1)]
    file_data: Annotated[str, AfterValidator(pdf)]


class FilePart(Strict):
    type: Literal["file"]
    file: File


UserPart = Annotated[TextPart | ImagePart | AudioPart | FilePart, Field(discriminator="type")]
AssistantPart = Annotated[TextPart | RefusalPart, Field(discriminator="type")]
TextParts = Annotated[list[TextPart], Field(min_length=1)]


class CalledFunction(Strict):
    name: Name
    arguments: str


class Call(Strict):
    id: Annotated[str, Field(min_length=1, max_length=64)]
    type: Literal["function"]
    function: CalledFunction


class System(Strict):
    role: Literal["system", "developer"]
    content: str | TextParts
    name: Speaker | None = None


class User(Strict):
    role: Literal["user"]
    content: str | Annotated[list[UserPart], Field(min_length=1)]
    name: Speaker | None = None


class Assistant(Strict):
    role: Literal["assistant"]
    content: str | Annotated[list[AssistantPart], Field(min_length=1)] | None = None
    refusal: str | None = None
    name: Speaker | None = None
    tool_calls: Annotated[list[Call], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Assistant:
        if self.content is None and self.refusal is None and not self.tool_calls:
            raise ValueError("an assistant message needs content or tool_calls")
        return self


class ToolResult(Strict):
    role: Literal["tool"]
    content: str | TextParts
    tool_call_id: str
    name: Name | None = None  # that of the tool; not at OpenAI, but at servers that the upstream stands for


Message = Annotated[System | User | Assistant | ToolResult, Field(discriminator="role")]


class Function(Strict):
    name: Name
    description: Annotated[str, Field(max_length=1024)] | None = None
    parameters: Schema | None = None
    strict: bool | None = None

    @model_validator(mode="after")
    def _strict(self) -> Function:
        if self.strict:
            check_strict(self.parameters or {})
        return self


class Tool(Strict):
    type: Literal["function"]
    function: Function


class NamedFunction(Strict):
    name: Name


class NamedChoice(Strict):
    type: Literal["function"]
    function: NamedFunction


class JSONSchema(Strict):
    name: Name
    description: str | None = None
    schema_: Annotated[Schema, Field(alias="schema")]
    strict: bool | None = None

    @model_validator(mode="after")
    def _strict(self) -> JSONSchema:
        if self.strict:
            check_strict(self.schema_)
        return self


class TextFormat(Strict):
    type: Literal["text"]


class ObjectFormat(Strict):
    type: Literal["json_object"]


class SchemaFormat(Strict):
    type: Literal["json_schema"]
    json_schema: JSONSchema


class StreamOptions(Strict):
    include_usage: bool = False


class ChatBody(Strict):
    model: Annotated[str, Field(min_length=1)]
    messages: Annotated[list[Message], Field(min_length=1)]
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    n: Annotated[int, Field(ge=1, le=1)] | None = None
    seed: int | None = None
    stop: str | Annotated[list[str], Field(min_length=1, max_length=4)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    tools: Annotated[list[Tool], Field(min_length=1, max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: Annotated[TextFormat | ObjectFormat | SchemaFormat, Field(discriminator="type")] | None = None
    reasoning_split: bool | None = None  # MiniMax

    @model_validator(mode="after")
    def _fields_agree(self) -> ChatBody:
        if self.stream_options and not self.stream:
            raise ValueError("stream_options is only allowed when stream is true")
        if self.max_tokens and self.max_completion_tokens:
            raise ValueError("max_tokens and max_completion_tokens exclude each other")
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs")
        if (
            isinstance(self.response_format, ObjectFormat)
            and "json" not in self.model_dump_json(include={"messages"}).lower()
        ):
            raise ValueError("messages must contain the word json to use response_format json_object")
        return self

    @model_validator(mode="after")
    def _tools_agree(self) -> ChatBody:
        names = [tool.function.name for tool in self.tools or ()]
        if len(set(names)) < len(names):
            raise ValueError("two tools of one name")
        if not names and (self.tool_choice is not None or self.parallel_tool_calls is not None):
            raise ValueError("tool_choice and parallel_tool_calls are only allowed with tools")
        if isinstance(self.tool_choice, NamedChoice) and self.tool_choice.function.name not in names:
            raise ValueError("tool_choice names a tool that is not offered")
        return self

    @model_validator(mode="after")
    def _calls_are_answered(self) -> ChatBody:
        waiting: list[str] = []
        for message in self.messages:
            if isinstance(message, ToolResult):
                if message.tool_call_id not in waiting:
                    raise ValueError("a tool message must answer one of the tool_calls before it")
                waiting.remove(message.tool_call_id)
                continue
            if waiting:
                raise ValueError("every tool_call_id must be answered by the tool messages that follow")
            if isinstance(message, Assistant) and message.tool_calls:
                waiting = [call.id for call in message.tool_calls]
                if len(set(waiting)) < len(waiting):
                    raise ValueError("two tool calls of one id")
        if waiting:
            raise ValueError("every tool_call_id must be answered by the tool messages that follow")
        return self


Token = Annotated[int, Field(ge=0)]
Text = Annotated[str, Field(min_length=1)]


class EmbeddingBody(Strict):
    model: Annotated[str, Field(min_length=1)]
    input: (
        Text
        | Annotated[list[Text], Field(min_length=1, max_length=2048)]
        | Annotated[list[Annotated[list[Token], Field(min_length=1)]], Field(min_length=1, max_length=2048)]
    )
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, Field(ge=1, le=4096)] | None = None
    user: str | None = None


Body = TypeVar("Body", bound=Strict)


def parse(kind: type[Body], raw: bytes) -> Body:
    """Read a request's body, or raise RequestError."""
    try:
        json.loads(raw, parse_constant=_not_a_number, object_pairs_hook=_no_duplicates)
        return kind.model_validate_json(raw)
    except ValidationError as error:
        # Of the branches of a union, report the one that matched furthest.
        first = max(error.errors(include_url=False, include_input=False), key=lambda detail: len(detail["loc"]))
        raise RequestError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except ValueError as error:
        raise RequestError(f"body: {error}") from None


def _not_a_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("one field twice")
    return dict(pairs)
