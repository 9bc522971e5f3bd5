"""Messages of a conversation, the tools offered in it, and the calls that models make.

``Message.from_dict`` reads dicts in the shape of OpenAI's chat API; nothing else here belongs to one provider.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self, TypeAlias, get_args

from unified_llm._lib.bounded_json import JSONError, dump, parse_arguments, scrub, without_nan
from unified_llm._lib.short_repr import count, short_repr
from unified_llm.exceptions import ValidationError
from unified_llm.types.content import AudioPart, FilePart, ImagePart, Part, TextPart, parse_content
from unified_llm.types.local_parts import Audio, Files, Images, user_content

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]

_ROLES: tuple[Role, ...] = get_args(Role)
# Older and newer names of the same roles in OpenAI's API.
_ALIASES: Mapping[str, Role] = {"developer": "system", "human": "user", "ai": "assistant", "function": "tool"}
# Parts of a message, as its repr counts them.
_MEDIA: Mapping[type, str] = {ImagePart: "image", AudioPart: "recording", FilePart: "file"}


@dataclass(frozen=True, slots=True)
class ProviderState:
    """Opaque provider state (thought signatures, encrypted reasoning), returned only to the provider that issued it.

    Attributes:
        provider: The provider that issued it.
        format: The wire format in which it was read; it is written in no other.
        data: JSON values, as that format's codec reads and writes them.
    """

    provider: str
    format: str
    data: Any = field(repr=False)

    def restore(self, provider: str, wire_format: str) -> Any:
        """Return the data if this provider issued it in this format, else None."""
        return self.data if (provider, wire_format) == (self.provider, self.format) else None

    def as_dict(self) -> dict[str, Any]:
        """Return a plain dict, for the messages of a framework."""
        return {"provider": self.provider, "format": self.format, "data": self.data}

    @classmethod
    def from_dict(cls, provider_state: object) -> Self | None:
        """Read what ``as_dict`` wrote; return None for anything else, since stored histories get edited."""
        match provider_state:
            case {"provider": str(provider), "format": str(wire_format), "data": data}:
                return cls(provider, wire_format, data)
            case _:
                return None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One function call requested by a model.

    Attributes:
        id: The provider's identifier, or a generated one where the provider sends none.
        name: The tool's name.
        arguments: The parsed arguments; empty if the text was not a JSON object. Text that models write without regard
            to strict JSON is accepted: line feeds and tabs inside strings, ``NaN``, ``null`` for no arguments, an
            object that is JSON text once more.
        raw_arguments: The text exactly as the model wrote it.
        error: Why ``raw_arguments`` could not be parsed, or None.
        from_text: The model wrote the call as text, which the server did not recognise as a call.
    """

    id: str
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    raw_arguments: str = field(default="", repr=False)
    error: str | None = None
    from_text: bool = False

    @classmethod
    def parse(cls, identifier: str, name: str, raw_arguments: str, *, from_text: bool = False) -> Self:
        """Parse the arguments that a model wrote; where they are not a JSON object, set ``error`` and never raise."""
        arguments: Mapping[str, Any] = {}
        problem = None
        try:
            arguments = parse_arguments(raw_arguments)
        except JSONError as error:
            problem = str(error)
        return cls(identifier, name, arguments, raw_arguments, problem, from_text)

    @classmethod
    def from_arguments(cls, identifier: str, name: str, arguments: Mapping[str, Any]) -> Self:
        """Make a call of an earlier response.

        ``NaN`` and infinity, which JSON lacks and models write, become null; half of a surrogate pair becomes U+FFFD.

        Raises:
            ValidationError: The arguments are no JSON values.
        """
        try:
            text = dump(arguments)
        except JSONError:
            arguments = scrub(without_nan(arguments))
            try:
                text = dump(arguments)
            except JSONError as error:
                raise ValidationError(f"The arguments of the tool call {name!r}: {error}.") from None
        return cls(identifier, name, arguments, text)

    @classmethod
    def from_dict(cls, call: Mapping[str, Any]) -> Self:
        """Read a call in OpenAI's shape: ``{"id", "type": "function", "function": {"name", "arguments"}}``.

        Raises:
            ValidationError: The name is missing, or the arguments are neither text nor a mapping of JSON values.
        """
        match call:
            case {"function": {"name": str(name), **function}}:
                identifier, arguments = str(call.get("id") or ""), function.get("arguments")
            case _:
                raise ValidationError('A tool call needs {"function": {"name": ..., "arguments": ...}}.')
        match arguments:
            case None | str():
                return cls.parse(identifier, name, arguments or "")
            case Mapping():
                arguments = scrub(dict(arguments))
                try:
                    return cls(identifier, name, arguments, dump(arguments))
                except JSONError as error:
                    raise ValidationError(f"The arguments of the tool call {name!r}: {error}.") from None
            case _:
                raise ValidationError(f"The arguments of the tool call {name!r} are neither text nor a mapping.")


@dataclass(frozen=True, slots=True)
class ToolCallChunk:
    """A fragment of a tool call in a stream; fragments with one ``index`` belong to one call.

    ``id`` and ``name`` come on the first fragment, ``arguments`` is text to append. ``from_text`` is that of the
    call.
    """

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = field(default="", repr=False)
    from_text: bool = False


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call.

    Attributes:
        name: The function's name.
        description: What it does, for the model.
        parameters: JSON schema of its arguments.
        strict: Ask the provider to enforce the schema; None leaves the provider's default.
        builtin: A provider's own tool (web search ...), passed through unchanged; the other fields are then unused.
    """

    name: str
    description: str = field(default="", repr=False)
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    strict: bool | None = None
    builtin: Mapping[str, Any] | None = field(default=None, repr=False)

    @classmethod
    def from_dict(cls, tool: Mapping[str, Any]) -> Self:
        """Read a tool in OpenAI's shape; one of another type than ``function`` is the provider's own.

        Raises:
            ValidationError: It has no name, or its parameters are not a JSON schema.
        """
        function, custom = tool.get("function"), tool.get("custom")
        kind = tool.get("type")
        if not isinstance(function, Mapping) and kind in {None, "function"} and "parameters" in tool:
            function = {field: value for field, value in tool.items() if field != "type"}  # as in the Responses API
        if not isinstance(function, Mapping) and (kind == "function" or not _is_builtin(tool)):
            raise ValidationError(
                'A tool needs a type and a function: {"type": "function", "function": {"name": "...", "description": '
                '"...", "parameters": {...}}}.'
            )
        if kind not in {None, "function"} or not isinstance(function, Mapping):
            name = tool.get("name") or (custom.get("name") if isinstance(custom, Mapping) else None)
            return cls(str(name or tool.get("type") or "tool"), builtin=dict(tool))
        if not isinstance(function.get("name"), str) or not function["name"]:
            raise ValidationError("A function tool needs a name.")
        parameters = function.get("parameters") or {"type": "object", "properties": {}}
        if not isinstance(parameters, Mapping):
            raise ValidationError(f"The parameters of the tool {function['name']!r} are a JSON schema, as a mapping.")
        return cls(function["name"], function.get("description") or "", parameters, function.get("strict"))


_OF_A_FUNCTION = frozenset({"name", "description", "title", "properties", "required", "strict"})


def _is_builtin(tool: Mapping[str, Any]) -> bool:
    """Return whether a dict without a function is a provider's own tool.

    Gemini's have no type (``{"google_search": {}}``), and Anthropic's own form of a function has ``input_schema``.
    """
    if isinstance(tool.get("type"), str) or isinstance(tool.get("input_schema"), Mapping):
        return True
    return bool(tool) and _OF_A_FUNCTION.isdisjoint(tool)


OutputMethod: TypeAlias = Literal["native", "tool", "prompt"]
"""Method of asking a target for JSON: by its own JSON output, by a tool that it must call, or by an instruction."""

_METHODS: tuple[OutputMethod, ...] = get_args(OutputMethod)


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """A request for JSON output: of this schema, or any object where ``schema`` is None.

    Attributes:
        schema: A JSON schema.
        name: What the output is called where a provider or a tool needs a name.
        strict: Ask the provider to enforce the schema; None leaves the provider's default.
        validate: True: the output must be JSON and conform to the schema. False: it is not checked. A function: it gets
            the JSON text, and returns a sentence that says what is wrong with it, which the model is told, or None. A
            ``ValueError`` that it raises (Pydantic's ``ValidationError`` is one) says what is wrong too. It replaces
            the check against the schema, and takes no part in comparisons.
        methods: The ways in which a target may be asked, in order; those that it does not support are left out.
    """

    schema: Mapping[str, Any] | None = None
    name: str = "answer"
    strict: bool | None = None
    validate: bool | Callable[[str], str | None] = field(default=True, compare=False, repr=False)
    methods: tuple[OutputMethod, ...] = field(default=_METHODS, repr=False)

    def __post_init__(self) -> None:
        """Check the settings that no provider checks.

        Raises:
            ValidationError: One of them has a wrong type.
        """
        if not isinstance(self.validate, bool) and not callable(self.validate):
            raise ValidationError("validate of a response_format is True, False, or a function of the JSON text.")
        if not self.methods or not set(self.methods) <= set(_METHODS):
            raise ValidationError(f"methods of a response_format are one or more of {', '.join(_METHODS)}.")

    @classmethod
    def from_dict(cls, response_format: Mapping[str, Any]) -> Self | None:
        """Read OpenAI's ``response_format``, which may have ``validate`` as well; return None for plain text."""
        validate = response_format.get("validate", True)
        match response_format.get("type"):
            case "text":
                return None
            case "json_object":
                return cls(validate=validate)
            case "json_schema":
                wrapped = response_format.get("json_schema")
                if isinstance(wrapped, Mapping) and isinstance(wrapped.get("schema"), Mapping):
                    name, strict = str(wrapped.get("name") or "answer"), wrapped.get("strict")
                    return cls(wrapped["schema"], name, strict, validate)
            case _:
                pass
        raise ValidationError(
            'A response_format is {"type": "json_object"} or '
            '{"type": "json_schema", "json_schema": {"name": ..., "schema": {...}}}.'
        )


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation. Its repr and ``str(message)`` have no text: that is in ``message.text``.

    Attributes:
        role: ``system``, ``user``, ``assistant`` or ``tool``.
        content: Text, or a tuple of parts (text, image, audio, file).
        name: The speaker's name, where the provider takes one; in a ``tool`` message the tool's.
        tool_calls: The calls that an assistant requested.
        tool_call_id: The id of the call whose result a ``tool`` message contains.
        is_error: Whether the tool failed; ``content`` then describes the error.
        reasoning: The assistant's visible reasoning, where its provider requires it to be sent back.
        provider_state: Opaque state of the provider that generated the message, to be sent back to that provider.
    """

    role: Role
    content: str | tuple[Part, ...] = field(default="", repr=False)
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    is_error: bool = False
    reasoning: str | None = field(default=None, repr=False)
    provider_state: ProviderState | None = None

    def __post_init__(self) -> None:
        """Check the role, which may be a text by mistake.

        Raises:
            ValidationError: It is none of the roles.
        """
        if self.role not in _ROLES:
            raise ValidationError(
                f"The role of a message is one of {', '.join(_ROLES)}; for a text alone write Message.user(text)."
            )

    def __repr__(self) -> str:
        """Return the role, and what the message contains; no text."""
        return short_repr(self, self._facts())

    def _facts(self) -> Iterator[str]:
        yield self.role
        yield f"name={self.name!r}" if self.name else ""
        parts = [TextPart(self.content)] if isinstance(self.content, str) else self.content
        yield count(sum(len(part.text) for part in parts if isinstance(part, TextPart)), "character")
        kinds = Counter(map(type, parts))
        yield from (count(kinds[kind], noun) for kind, noun in _MEDIA.items())
        yield count(len(self.tool_calls), "tool call")
        yield f"tool_call_id={self.tool_call_id!r}" if self.tool_call_id else ""
        yield "is_error=True" if self.is_error else ""

    @property
    def text(self) -> str:
        """The text of all text parts, joined."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content if isinstance(part, TextPart))

    @classmethod
    def system(cls, content: str) -> Self:
        """Make a message with instructions for the model."""
        return cls("system", content)

    @classmethod
    def user(cls, content: str, *, images: Images = (), audio: Audio = (), files: Files = ()) -> Self:
        """Make a message of the user, with images, recordings and files.

        Each takes one or several: paths, bytes, files open in binary mode, ``data:`` URLs, parts of ``types``. A path
        is read on this machine: pass none from untrusted input. One in the text or in a URL is never read.

        Args:
            content: The text.
            images: Also ``http(s)://`` URLs, and images of Pillow.
            audio: Recordings; their first bytes tell the format, else their name.
            files: Documents; also ``http(s)://`` URLs. A text file is added to the text, under its name.

        Raises:
            ValidationError: One is no regular file of at most 64 MiB, or its type is not recognised.
        """
        return cls("user", user_content(content, images, audio, files))

    @classmethod
    def assistant(cls, content: str = "", *, tool_calls: Sequence[ToolCall] = ()) -> Self:
        """Make a message of the assistant: an earlier response of a model."""
        return cls("assistant", content, tool_calls=tuple(tool_calls))

    @classmethod
    def tool(cls, content: str, tool_call_id: str, *, name: str | None = None, is_error: bool = False) -> Self:
        """Make a message with a tool's result for the call of that id.

        Args:
            content: The result.
            tool_call_id: The ``id`` of the call.
            name: The tool's name. Servers that want it get the name in the call, so this is for providers of your own.
            is_error: Whether the tool failed.
        """
        return cls("tool", content, name, tool_call_id=tool_call_id, is_error=is_error)

    @classmethod
    def from_dict(cls, message: Mapping[str, Any]) -> Self:
        """Read a message in the shape of OpenAI's chat API (string content or content parts).

        Raises:
            ValidationError: The role is missing or unknown, a content part has no known type, or a field is no string.
        """
        given = message.get("role")
        role: Any = _ALIASES.get(given, given) if isinstance(given, str) else None
        if role not in _ROLES:
            raise ValidationError(f"A message needs a role, one of {', '.join(_ROLES)}.")
        content = message.get("content")
        if role in {"system", "user"} and "content" not in message:
            raise ValidationError(f'A {role} message needs "content": {{"role": "{role}", "content": "..."}}.')
        return cls(
            role=role,
            content="" if content is None else parse_content(content),
            name=_optional_text(message, "name"),
            tool_calls=_tool_calls(message.get("tool_calls") or ()),
            tool_call_id=_optional_text(message, "tool_call_id"),
            reasoning=_optional_text(message, "reasoning_content"),
            provider_state=ProviderState.from_dict(message.get("provider_state")),
        )


def _tool_calls(calls: Any) -> tuple[ToolCall, ...]:
    if isinstance(calls, (str, Mapping)) or not isinstance(calls, Sequence):
        raise ValidationError("The tool_calls of a message are a list.")
    return tuple(call if isinstance(call, ToolCall) else ToolCall.from_dict(call) for call in calls)


def _optional_text(message: Mapping[str, Any], name: str) -> str | None:
    value = message.get(name)
    if value is not None and not isinstance(value, str):
        raise ValidationError(f"The {name} of a message is a string.")
    return value
