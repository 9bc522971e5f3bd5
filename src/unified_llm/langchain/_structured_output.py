"""Answers of a given shape: what LangChain calls structured output."""

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
from unified_llm.langchain._call_kwargs import is_pydantic, response_format, tool_schema
from unified_llm.langchain._constants import Method, Schema, ToolLike
from unified_llm.langchain._errors import translate

Output: TypeAlias = Runnable[LanguageModelInput, dict[str, Any] | BaseModel]


def structured_output(
    model: BaseChatModel,
    schema: Schema | None,
    method: str,
    *,
    strict: bool | None,
    tools: Sequence[ToolLike],
    options: dict[str, Any],
) -> tuple[Runnable[LanguageModelInput, AIMessage], Runnable[Any, Any]]:
    """The model bound to answer in a shape, and the parser of its answer.

    Raises:
        ValidationError: There is no such method, or no schema where one is needed.
    """
    if method not in get_args(Method):
        raise ValidationError(f"method must be one of {', '.join(get_args(Method))}.")
    if schema is None and method != "json_mode":
        raise ValidationError(f"with_structured_output(method={method!r}) needs a schema.")
    if method == "json_schema" and is_pydantic(schema) and not issubclass(cast("type", schema), BaseModel):
        method = "function_calling"  # a class of Pydantic 1 has no JSON schema that providers accept
    said = {"method": method} if method == "json_mode" else {"method": method, "strict": strict}
    options = {**options, "ls_structured_output_format": {"kwargs": said, "schema": schema}}
    if method == "function_calling":
        return _by_tool(model, cast("Schema", schema), options, strict=strict)
    if method == "json_mode":
        bound = model.bind(response_format={"type": "json_object"}, **options)
        return bound, _json_parser(schema)
    options["response_format"] = response_format(schema, strict=strict)
    if not tools:
        return model.bind(**options), _json_parser(schema)
    # A call of a tool comes before the answer: then there is nothing to parse yet.
    parser = RunnableBranch((_calls_tools, RunnableLambda(_nothing)), _json_parser(schema))
    return model.bind_tools(cast("Sequence[Any]", tools), **options), parser


def _by_tool(
    model: BaseChatModel, schema: Schema, options: dict[str, Any], *, strict: bool | None
) -> tuple[Runnable[LanguageModelInput, AIMessage], Runnable[Any, Any]]:
    tool = tool_schema(schema, strict=strict)
    name = tool["function"]["name"]
    bound = model.bind_tools([tool], tool_choice=name, parallel_tool_calls=False, **options)
    if is_pydantic(schema):
        return bound, PydanticToolsParser(tools=[cast("type[BaseModel]", schema)], first_tool_only=True)
    return bound, JsonOutputKeyToolsParser(key_name=name, first_tool_only=True)


def _json_parser(schema: Schema | None) -> Runnable[Any, Any]:
    parser: Runnable[Any, Any] = JsonOutputParser()
    if is_pydantic(schema):
        parser = PydanticOutputParser(pydantic_object=cast("type[BaseModel]", schema))
    return RunnableGenerator(_unless_refused, _aunless_refused) | parser


def _unless_refused(messages: Iterator[AIMessage]) -> Iterator[AIMessage]:
    """Say that the model declined, rather than that its answer is no JSON."""
    for message in messages:
        _check_refusal(message)
        yield message


async def _aunless_refused(messages: AsyncIterator[AIMessage]) -> AsyncIterator[AIMessage]:
    async for message in messages:
        _check_refusal(message)
        yield message


def _check_refusal(message: AIMessage) -> None:
    if refusal := message.additional_kwargs.get("refusal"):
        raise translate(ContentFilterError("The model declined to answer; its words are in .detail.", detail=refusal))


def _calls_tools(message: AIMessage) -> bool:
    return bool(message.tool_calls)


def _nothing(_: AIMessage) -> None:
    return None


def with_raw(model: Runnable[LanguageModelInput, AIMessage], parser: Runnable[Any, Any]) -> Output:
    """Both the message and what was parsed from it; a parser's error becomes a value."""
    parsed = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=model) | parsed.with_fallbacks([failed], exception_key="parsing_error")
