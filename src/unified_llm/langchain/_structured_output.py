"""Structured output: bind a schema to the model, and parse its response."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from operator import itemgetter
from typing import Any, TypeAlias, cast, get_args

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.openai_tools import JsonOutputKeyToolsParser, PydanticToolsParser
from langchain_core.runnables import (
    Runnable,
    RunnableBranch,
    RunnableGenerator,
    RunnableLambda,
    RunnableMap,
    RunnablePassthrough,
)
from pydantic import BaseModel

from unified_llm.exceptions import ContentFilterError, ValidationError
from unified_llm.langchain._call_kwargs import convert_tool, is_pydantic_class, read_response_format
from unified_llm.langchain._constants import Method, Schema, ToolLike
from unified_llm.langchain._errors import translate

Output: TypeAlias = Runnable[LanguageModelInput, dict[str, Any] | BaseModel]


def bind_structured_output(
    model: BaseChatModel,
    schema: Schema | None,
    method: str,
    *,
    strict: bool | None,
    tools: Sequence[ToolLike],
    options: dict[str, Any],
) -> tuple[Runnable[LanguageModelInput, AIMessage], Runnable[Any, Any]]:
    """Bind a schema to a model.

    Args:
        model: The chat model.
        schema: A Pydantic class, a TypedDict or a JSON schema; None only for ``json_mode``.
        method: ``json_schema``, ``function_calling`` or ``json_mode``.
        strict: Ask the provider to enforce the schema.
        tools: Tools to offer as well, with ``json_schema``.
        options: Further keyword arguments to bind.

    Returns:
        The bound model, and the parser of its response.

    Raises:
        ValidationError: The method is unknown, or there is no schema where one is needed.
    """
    if method not in get_args(Method):
        raise ValidationError(f"method must be one of {', '.join(get_args(Method))}.")
    if schema is None and method != "json_mode":
        raise ValidationError(f"with_structured_output(method={method!r}) needs a schema.")
    if method == "json_schema" and is_pydantic_class(schema) and not issubclass(cast("type", schema), BaseModel):
        method = "function_calling"  # a class of Pydantic 1 has no JSON schema that providers accept
    trace_kwargs = {"method": method} if method == "json_mode" else {"method": method, "strict": strict}
    options = {**options, "ls_structured_output_format": {"kwargs": trace_kwargs, "schema": schema}}
    if method == "function_calling":
        return _bind_schema_as_tool(model, cast("Schema", schema), options, strict=strict)
    if method == "json_mode":
        bound = model.bind(response_format={"type": "json_object"}, **options)
        return bound, _make_json_parser(schema)
    options["response_format"] = read_response_format(schema, strict=strict)
    if not tools:
        return model.bind(**options), _make_json_parser(schema)
    # A response that calls tools comes before the structured one: it has nothing to parse yet.
    parser = RunnableBranch((_calls_tools, RunnableLambda(_return_none)), _make_json_parser(schema))
    return model.bind_tools(cast("Sequence[Any]", tools), **options), parser


def _bind_schema_as_tool(
    model: BaseChatModel, schema: Schema, options: dict[str, Any], *, strict: bool | None
) -> tuple[Runnable[LanguageModelInput, AIMessage], Runnable[Any, Any]]:
    tool = convert_tool(schema, strict=strict)
    name = tool["function"]["name"]
    bound = model.bind_tools([tool], tool_choice=name, parallel_tool_calls=False, **options)
    if is_pydantic_class(schema):
        return bound, PydanticToolsParser(tools=[cast("type[BaseModel]", schema)], first_tool_only=True)
    return bound, JsonOutputKeyToolsParser(key_name=name, first_tool_only=True)


def _make_json_parser(schema: Schema | None) -> Runnable[Any, Any]:
    parser: Runnable[Any, Any] = JsonOutputParser()
    if is_pydantic_class(schema):
        parser = PydanticOutputParser(pydantic_object=cast("type[BaseModel]", schema))
    return RunnableGenerator(_raise_on_refusal, _araise_on_refusal) | parser


def _raise_on_refusal(messages: Iterator[AIMessage]) -> Iterator[AIMessage]:
    """Raise if the model declined, before the parser complains that the response is no JSON.

    Raises:
        ContentFilterError: A message has a refusal.
    """
    for message in messages:
        _check_refusal(message)
        yield message


async def _araise_on_refusal(messages: AsyncIterator[AIMessage]) -> AsyncIterator[AIMessage]:
    async for message in messages:
        _check_refusal(message)
        yield message


def _check_refusal(message: AIMessage) -> None:
    if refusal := message.additional_kwargs.get("refusal"):
        raise translate(ContentFilterError("The model declined to answer; its reason is in .detail.", detail=refusal))


def _calls_tools(message: AIMessage) -> bool:
    return bool(message.tool_calls)


def _return_none(_: AIMessage) -> None:
    return None


def with_raw(model: Runnable[LanguageModelInput, AIMessage], parser: Runnable[Any, Any]) -> Output:
    """Return a runnable whose output is a dict: ``raw`` (the message), ``parsed`` and ``parsing_error``."""
    parsed = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=model) | parsed.with_fallbacks([failed], exception_key="parsing_error")
