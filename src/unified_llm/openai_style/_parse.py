"""Structured output by classes, as OpenAI's SDK has it: strict schemas for requests, objects from answers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, cast

from pydantic import BaseModel, TypeAdapter
from pydantic import ValidationError as PydanticError
from pydantic_core import InitErrorDetails, PydanticCustomError

from unified_llm._lib.bounded_json import JSONError, parse
from unified_llm.exceptions import GenerationError, ValidationError
from unified_llm.openai_style._omitted import is_omitted
from unified_llm.openai_style._records import with_record_of
from unified_llm.openai_style.types.chat.chat_completion import ChatCompletion
from unified_llm.openai_style.types.chat.parsed_chat_completion import ParsedChatCompletion

_NESTED: Final = ("$defs", "definitions")


class FunctionWithModel(dict[str, Any]):
    """The function of a tool, with the class that its arguments are parsed to."""

    model: type[BaseModel]


def pydantic_function_tool(
    model: type[BaseModel], *, name: str | None = None, description: str | None = None
) -> dict[str, Any]:
    """Return a tool whose arguments are the fields of a Pydantic model, for ``parse()`` and ``stream()``.

    Args:
        model: The model. A call's ``parsed_arguments`` is an object of it.
        name: The name of the tool; that of the class unless given.
        description: What it does; the docstring of the class unless given.
    """
    function = FunctionWithModel(name=name or model.__name__, strict=True, parameters=strict_schema(model))
    function.model = model
    description = model.__doc__ if description is None else description
    if description is not None:
        function["description"] = description
    return {"type": "function", "function": function}


def strict_schema(model: Any) -> dict[str, Any]:
    """Return the JSON schema of a class, with every property required and no others, as strict output needs it."""
    schema = model.model_json_schema() if _is_model(model) else TypeAdapter(model).json_schema()
    return _strict(schema, schema)


def _is_model(kind: Any) -> bool:
    return inspect.isclass(kind) and issubclass(kind, BaseModel)


def _strict(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """Make a schema strict in place, and return it."""
    for name in _NESTED:
        for definition in (schema.get(name) or {}).values():
            _strict(definition, root)
    if schema.get("type") == "object":
        schema.setdefault("additionalProperties", False)
    if isinstance(properties := schema.get("properties"), dict):
        schema["required"] = list(properties)
        schema["properties"] = {name: _strict(value, root) for name, value in properties.items()}
    if isinstance(items := schema.get("items"), dict):
        schema["items"] = _strict(cast("dict[str, Any]", items), root)
    if isinstance(any_of := schema.get("anyOf"), list):
        schema["anyOf"] = [_strict(variant, root) for variant in cast("list[dict[str, Any]]", any_of)]
    _make_parts_strict(schema, root)
    if "default" in schema and schema["default"] is None:
        del schema["default"]
    return _with_reference_resolved(schema, root)


def _make_parts_strict(schema: dict[str, Any], root: dict[str, Any]) -> None:
    """Make the schemas of ``allOf`` strict; a single one takes its place."""
    if not isinstance(all_of := schema.get("allOf"), list):
        return
    parts = [_strict(part, root) for part in cast("list[dict[str, Any]]", all_of)]
    if len(parts) > 1:
        schema["allOf"] = parts
        return
    del schema["allOf"]
    schema.update(*parts)


def _with_reference_resolved(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """Replace a reference by its schema where other keywords stand beside it, which strict output does not take."""
    if not (reference := schema.get("$ref")) or len(schema) == 1:
        return schema
    merged = {**_resolve(reference, root), **schema}
    del merged["$ref"]
    schema.clear()
    schema.update(merged)
    return _strict(schema, root)


def _resolve(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    resolved: Any = root
    for key in reference.removeprefix("#/").split("/"):
        resolved = resolved[key]
    return cast("Mapping[str, Any]", resolved)


class Wanted(NamedTuple):
    """Classes that the answers to a request are parsed to.

    Attributes:
        kind: The class of the content, or None.
        functions: The functions of the tools, by name.
    """

    kind: Any
    functions: Mapping[str, Mapping[str, Any]]

    @property
    def check(self) -> Callable[[str], str | None] | None:
        """What says whether a text fits the class: it raises the error of Pydantic, or returns None."""
        if self.kind is None:
            return None

        def check(text: str) -> None:
            _validate(self.kind, text)

        return check

    @property
    def parses(self) -> bool:
        """Whether anything is parsed, so that a cut answer is an error."""
        return self.kind is not None or any(_is_parseable(function) for function in self.functions.values())


def _is_parseable(function: Mapping[str, Any]) -> bool:
    return hasattr(function, "model") or bool(function.get("strict"))


def read_wanted(given: dict[str, Any], *, strict_tools: bool) -> Wanted:
    """Take what is to be parsed from the arguments of a call, which get the schema of the class in its place.

    Args:
        given: The arguments; ``tools`` and ``response_format`` are replaced.
        strict_tools: Whether every tool must be a strict function, as ``parse()`` has it.

    Raises:
        ValidationError: The class is neither a Pydantic model nor a dataclass of Pydantic, or a tool is not strict.
    """
    functions: dict[str, Mapping[str, Any]] = {}
    tools = given.get("tools")
    if isinstance(tools, Iterable) and not isinstance(tools, (str, Mapping)):
        given["tools"] = tools = list(tools)
        for tool in tools:
            function = tool.get("function") if isinstance(tool, Mapping) else None
            if isinstance(function, Mapping):
                functions[str(function.get("name"))] = cast("Mapping[str, Any]", function)
            if strict_tools:
                _check_strict(tool, function)
    kind = given.get("response_format")
    if kind is None or is_omitted(kind) or isinstance(kind, Mapping):
        return Wanted(None, functions)
    if not _is_model(kind) and not hasattr(kind, "__pydantic_config__") and not hasattr(kind, "__dataclass_fields__"):
        raise ValidationError("response_format is a Pydantic model, a dataclass, or a dict in OpenAI's form.")
    json_schema = {"schema": strict_schema(kind), "name": kind.__name__, "strict": True}
    given["response_format"] = {"type": "json_schema", "json_schema": json_schema}
    return Wanted(kind, functions)


def _check_strict(tool: Any, function: Any) -> None:
    kind = tool.get("type") if isinstance(tool, Mapping) else type(tool).__name__
    if kind != "function" or not isinstance(function, Mapping):
        raise ValidationError(f"parse() takes functions as tools, not {kind!r}: call create() for other tools.")
    if cast("Mapping[str, Any]", function).get("strict") is not True:
        name = cast("Mapping[str, Any]", function).get("name")
        raise ValidationError(
            f'The tool {name!r} is not strict: parse() takes tools of pydantic_function_tool(), or with "strict": True.'
        )


def parse_completion(completion: ChatCompletion, wanted: Wanted) -> ParsedChatCompletion[Any]:
    """Return a chat completion with the objects that its answers were asked to be.

    Raises:
        LengthFinishReasonError: An answer was cut at its length limit.
        ContentFilterFinishReasonError: An answer was cut by the content filter.
        GenerationError: A content or arguments do not fit their class.
    """
    check_whole(completion)
    made = ParsedChatCompletion[Any].from_json(_with_plain_calls(completion.to_dict()))
    parsed = with_record_of(made, completion)
    for choice in parsed.choices:
        message = choice.message
        message.parsed = parse_content(message.content, wanted) if message.content and not message.refusal else None
        for call in message.tool_calls or ():
            call.function.parsed_arguments = parse_arguments(call.function, wanted)
    return parsed


def _with_plain_calls(body: dict[str, Any]) -> dict[str, Any]:
    """Return the body with the calls of functions alone, which can be parsed; None where there is none."""
    for choice in body["choices"]:
        message = choice["message"]
        calls = [call for call in message.get("tool_calls") or () if call.get("type") == "function"]
        message["tool_calls"] = calls or None
    return body


def check_whole(completion: ChatCompletion) -> None:
    """Refuse answers that were cut, which cannot be parsed.

    Raises:
        LengthFinishReasonError: One was cut at its length limit.
        ContentFilterFinishReasonError: One was cut by the content filter.
    """
    for choice in completion.choices:
        if choice.finish_reason in {"length", "content_filter"}:
            from unified_llm.openai_style import _errors  # which imports OpenAI's SDK where it is installed

            cut = choice.finish_reason == "length"
            kind = _errors.LengthFinishReasonError if cut else _errors.ContentFilterFinishReasonError
            raise kind(completion=completion)


def parse_content(content: str, wanted: Wanted) -> Any:
    """Return the object that a content is; None where no class was asked for."""
    if wanted.kind is None:
        return None
    return _validate(wanted.kind, content)


def parse_arguments(function: Any, wanted: Wanted) -> Any:
    """Return the arguments of a call as its tool describes them; None where the tool is not strict, or unknown."""
    known = wanted.functions.get(function.name)
    if known is None or not _is_parseable(known):
        return None
    if (model := getattr(known, "model", None)) is not None:
        return _validate(model, function.arguments)
    try:
        return parse(function.arguments)
    except JSONError as error:
        raise GenerationError(f"The arguments of the call of {function.name!r} are no JSON: {error}.") from None


def _validate(kind: Any, text: str) -> Any:
    """Return an object of a class.

    Raises:
        pydantic.ValidationError: The text does not fit it, as with OpenAI's SDK; the message does not quote the text.
    """
    try:
        return kind.model_validate_json(text) if _is_model(kind) else TypeAdapter(kind).validate_json(text)
    except PydanticError as error:
        raise _without_input(error) from None


def _without_input(error: PydanticError) -> PydanticError:
    """Return an error of Pydantic whose message has places and rules alone; ``errors()`` still has the values."""
    details = [
        InitErrorDetails(
            type=PydanticCustomError(cast("Any", detail["type"]), cast("Any", detail["msg"])),
            loc=detail["loc"],
            input=detail["input"],
        )
        for detail in error.errors(include_url=False)
    ]
    return PydanticError.from_exception_data(error.title, details, input_type="json", hide_input=True)
