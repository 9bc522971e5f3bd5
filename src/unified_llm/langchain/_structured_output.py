"""Structured output: bind a schema to the model, and parse its response.

With ``json_schema`` and ``json_mode`` the client checks the response while the call can still ask again or fail over.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from operator import itemgetter
from typing import Any, TypeAlias, cast, get_args

from langchain_core import runnables
from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.openai_tools import JsonOutputKeyToolsParser, PydanticToolsParser
from langchain_core.outputs import Generation
from langchain_core.runnables import (
    Runnable,
    RunnableBinding,
    RunnableBranch,
    RunnableGenerator,
    RunnableLambda,
    RunnablePassthrough,
)
from pydantic import BaseModel

from unified_llm._adapters.call_secrets import guards_keys
from unified_llm._adapters.fragments import Growth
from unified_llm._adapters.structured_output import BoundFormat, PydanticCheck, read_object
from unified_llm._config.llm_config import read_fallbacks
from unified_llm._core.provider_words import quote_detail
from unified_llm._structured.checks import make_check
from unified_llm._structured.extract_json import JSONExtractor, check_json, find_json
from unified_llm._structured.methods import output_schema
from unified_llm.exceptions import ContentFilterError, GenerationError, LLMError, ValidationError
from unified_llm.langchain import _answers
from unified_llm.langchain._binding import DEFAULT_EXCEPTIONS, Fallback, ModelBinding, can_join_chain
from unified_llm.langchain._call_kwargs import convert_tool, is_pydantic_class, read_response_format
from unified_llm.langchain._constants import Method, Schema, ToolLike
from unified_llm.langchain._errors import translate, translate_errors
from unified_llm.types.responses import LLMResponse

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
    bound_format = _make_format(schema, method, strict=strict)
    parser = _make_json_parser(schema, bound_format)
    options["response_format"] = bound_format
    if method == "json_mode" or not tools:
        return model.bind(**options), parser
    # A response that calls tools comes before the structured one: it has nothing to parse yet.
    parser = RunnableBranch((_calls_tools, RunnableLambda(_return_none)), parser)
    return model.bind_tools(cast("Sequence[Any]", tools), **options), parser


def _make_format(schema: Schema | None, method: str, *, strict: bool | None) -> BoundFormat:
    """Return the response format, checked by the class or the schema that the caller has given."""
    by_schema = read_response_format(schema, strict=strict) if schema is not None else None
    if is_pydantic_class(schema):
        check: Any = PydanticCheck(cast("type", schema))
    elif by_schema is not None and method == "json_mode":
        check = partial(check_json, schema=by_schema["json_schema"]["schema"])
    else:
        check = None
    return BoundFormat.of({"type": "json_object"} if method == "json_mode" else cast("Any", by_schema), check)


def _bind_schema_as_tool(
    model: BaseChatModel, schema: Schema, options: dict[str, Any], *, strict: bool | None
) -> tuple[Runnable[LanguageModelInput, AIMessage], Runnable[Any, Any]]:
    tool = convert_tool(schema, strict=strict)
    name = tool["function"]["name"]
    bound = model.bind_tools([tool], tool_choice=name, parallel_tool_calls=False, **options)
    if is_pydantic_class(schema):
        return bound, PydanticToolsParser(tools=[cast("type[BaseModel]", schema)], first_tool_only=True)
    return bound, JsonOutputKeyToolsParser(key_name=name, first_tool_only=True)


def _make_json_parser(schema: Schema | None, bound_format: BoundFormat) -> Runnable[Any, Any]:
    parser: Runnable[Any, Any] = JsonOutputParser()
    if is_pydantic_class(schema):
        parser = _ObjectParser(pydantic_object=cast("type[BaseModel]", schema))
    reader = _JSONReader(bound_format)
    return RunnableGenerator(reader.read, reader.aread) | parser


class _JSONReader:
    """Leaves only the JSON of a response: a wrapped model, and any model in a stream, may write text around it."""

    def __init__(self, bound_format: BoundFormat) -> None:
        self._schema = output_schema(bound_format.response_format)
        self._check = make_check(bound_format.response_format)

    def read(self, messages: Iterator[AIMessage]) -> Iterator[AIMessage]:
        """Convert the messages of one response.

        Raises:
            ContentFilterError: A message has a refusal, which the parser would call invalid JSON.
        """
        extractor, texts = JSONExtractor(self._schema), _Texts()
        for message in messages:
            if converted := self._convert(message, extractor, texts):
                yield converted
        if held := texts.take_held():
            yield AIMessageChunk(content=held)
        if texts.nothing_emitted:
            yield AIMessageChunk(content=find_json("".join(texts.received), self._schema, self._check))

    async def aread(self, messages: AsyncIterator[AIMessage]) -> AsyncIterator[AIMessage]:
        """Convert the messages of one response, for async callers."""
        extractor, texts = JSONExtractor(self._schema), _Texts()
        async for message in messages:
            if converted := self._convert(message, extractor, texts):
                yield converted
        if held := texts.take_held():
            yield AIMessageChunk(content=held)
        if texts.nothing_emitted:
            yield AIMessageChunk(content=find_json("".join(texts.received), self._schema, self._check))

    def _convert(self, message: AIMessage, extractor: JSONExtractor, texts: _Texts) -> AIMessage | None:
        """Convert a message; return None if its text is held: the parser reads all of the text for each message."""
        _check_refusal(message)
        text = str(message.text)
        if not isinstance(message, AIMessageChunk):
            return message.model_copy(update={"content": find_json(text, self._schema, self._check)})
        emitted = extractor.feed(text) if text else ""
        texts.received.append(text)
        texts.emitted = texts.emitted or bool(emitted)
        if not texts.hold(emitted) or _has_more_than_text(message):
            return message.model_copy(update={"content": texts.take_held()})
        return None


class _Texts:
    """Texts that a stream has received and emitted so far."""

    def __init__(self) -> None:
        self.received: list[str] = []
        self.emitted = False
        self._held: list[str] = []
        self._growth = Growth(parts=64)

    def hold(self, text: str) -> bool:
        """Hold a text; return whether to hold it longer."""
        self._held.append(text)
        return not self._growth.add(len(text))

    def take_held(self) -> str:
        """Return the texts that are held, and hold them no longer."""
        text, self._held = "".join(self._held), []
        return text

    @property
    def nothing_emitted(self) -> bool:
        return bool(self.received) and not self.emitted


class _ObjectParser(PydanticOutputParser[Any]):
    """Accepts of a whole response what the check accepts; LangChain's own parser completes JSON that was cut off."""

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        """Return the object; of a stream, the object so far, or None.

        Raises:
            OutputParserException: The text is no JSON of that class.
        """
        if partial:
            return super().parse_result(result, partial=True)
        text = result[0].text
        try:
            return read_object(self.pydantic_object, text)
        except ValueError as error:
            name = self.pydantic_object.__name__
            raise OutputParserException(f"Failed to parse {name} from: {text}\n{error}", llm_output=text) from error


def _has_more_than_text(message: AIMessageChunk) -> bool:
    """Return whether a chunk has anything but text, such as the metadata of the last one."""
    others = (message.additional_kwargs, message.response_metadata, message.usage_metadata, message.tool_call_chunks)
    return message.chunk_position is not None or any(others)


def _check_refusal(message: AIMessage) -> None:
    if refusal := message.additional_kwargs.get("refusal"):
        text = f"The model declined to answer; .detail holds its words.{quote_detail(refusal)}"
        raise translate(ContentFilterError(text, detail=refusal))


def _calls_tools(message: AIMessage) -> bool:
    return bool(message.tool_calls)


def _return_none(_: AIMessage) -> None:
    return None


def with_parser(model: Runnable[LanguageModelInput, AIMessage], parser: Runnable[Any, Any]) -> Output:
    """Return a runnable whose output is what the parser makes of the response."""
    return _sequence(model, parser)


def with_raw(model: Runnable[LanguageModelInput, AIMessage], parser: Runnable[Any, Any]) -> Output:
    """Return a runnable whose output is a dict: ``raw`` (the message), ``parsed`` and ``parsing_error``."""
    parsed = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    if isinstance(model, ModelBinding):
        model = _RawBinding(bound=model.bound, kwargs=model.kwargs, config=model.config)
    return _sequence(RunnableParallel.of(model), parsed.with_fallbacks([failed], exception_key="parsing_error"))


# This class and the next have LangChain's names, which traces and dumps contain.
class RunnableParallel(runnables.RunnableParallel[LanguageModelInput]):
    """The message of a model as ``raw``; the model gets the arguments of a call, which LangChain's own class drops."""

    @classmethod
    def of(cls, model: Any) -> RunnableParallel:
        """Make one of a model."""
        return cls(raw=model)  # type: ignore[call-arg] # its constructor takes steps by name

    def _with(self, arguments: dict[str, Any]) -> RunnableParallel:
        if not arguments:
            return self
        return self.of(RunnableBinding(bound=self.steps__["raw"], kwargs=arguments))

    def invoke(self, input: LanguageModelInput, config: Any = None, **kwargs: Any) -> dict[str, Any]:  # noqa: A002
        """Return the message."""
        return super(RunnableParallel, self._with(kwargs)).invoke(input, config)

    async def ainvoke(self, input: LanguageModelInput, config: Any = None, **kwargs: Any) -> dict[str, Any]:  # noqa: A002
        """Return the message."""
        return await super(RunnableParallel, self._with(kwargs)).ainvoke(input, config)

    def transform(self, input: Iterator[Any], config: Any = None, **kwargs: Any) -> Iterator[dict[str, Any]]:  # noqa: A002
        """Stream the message."""
        return super(RunnableParallel, self._with(kwargs)).transform(input, config)

    def atransform(
        self,
        input: AsyncIterator[Any],  # noqa: A002
        config: Any = None,
        **kwargs: Any,
    ) -> AsyncIterator[dict[str, Any]]:
        """Stream the message."""
        return super(RunnableParallel, self._with(kwargs)).atransform(input, config)


@guards_keys(("invoke", "ainvoke", "stream", "astream", "batch", "abatch"))
class RunnableSequence(runnables.RunnableSequence[LanguageModelInput, Any]):
    """A model and what parses its response: fallbacks added to it become targets of the model's chain."""

    @classmethod
    def translated(cls) -> AbstractContextManager[None]:
        """Return a context manager that raises our errors as LangChain's too."""
        return translate_errors()

    def with_fallbacks(  # type: ignore[override] # takes model strings too
        self,
        fallbacks: Sequence[Fallback],
        *,
        exceptions_to_handle: tuple[type[BaseException], ...] = DEFAULT_EXCEPTIONS,
        exception_key: str | None = None,
    ) -> Output:
        """Add fallbacks as ``ChatUnified.with_fallbacks`` does; the schema applies to every fallback."""
        links = read_fallbacks(fallbacks)
        if not can_join_chain(links, exceptions_to_handle, exception_key):
            return super().with_fallbacks(links, exceptions_to_handle=exceptions_to_handle, exception_key=exception_key)
        model: Any = self.first
        if isinstance(model, RunnableParallel):
            joined: Any = RunnableParallel.of(model.steps__["raw"].with_fallbacks(links))
        else:
            joined = model.with_fallbacks(links)
        return _sequence(joined, *self.steps[1:], name=self.name)


def _sequence(*steps: Runnable[Any, Any], name: str | None = None) -> RunnableSequence:
    flat = runnables.RunnableSequence[Any, Any](*steps, name=name)
    return RunnableSequence(first=flat.first, middle=flat.middle, last=flat.last, name=name)


class _RawBinding(ModelBinding):  # type: ignore[no-redef] # as its base
    """Returns the last answer where no target gave one that conforms: it is for the parser to say what is wrong."""

    def invoke(self, input: LanguageModelInput, config: Any = None, **kwargs: Any) -> AIMessage:  # noqa: A002
        """Return the response, or the answer that was not accepted."""
        try:
            return super().invoke(input, config, **kwargs)
        except LLMError as error:
            return _rejected_answer(error)

    async def ainvoke(self, input: LanguageModelInput, config: Any = None, **kwargs: Any) -> AIMessage:  # noqa: A002
        """Return the response, or the answer that was not accepted."""
        try:
            return await super().ainvoke(input, config, **kwargs)
        except LLMError as error:
            return _rejected_answer(error)

    def transform(self, input: Iterator[Any], config: Any = None, **kwargs: Any) -> Iterator[AIMessage]:  # noqa: A002
        """Stream the response, or the answer that was not accepted."""
        emitted = False
        try:
            for chunk in super().transform(input, config, **kwargs):
                yield chunk
                emitted = True
        except LLMError as error:
            answer = _rejected_answer(error)
            if not emitted:
                yield AIMessageChunk(content=answer.content, response_metadata=answer.response_metadata)

    async def atransform(
        self,
        input: AsyncIterator[Any],  # noqa: A002
        config: Any = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessage]:
        """Stream the response, or the answer that was not accepted."""
        emitted = False
        try:
            async for chunk in super().atransform(input, config, **kwargs):
                yield chunk
                emitted = True
        except LLMError as error:
            answer = _rejected_answer(error)
            if not emitted:
                yield AIMessageChunk(content=answer.content, response_metadata=answer.response_metadata)


def _rejected_answer(error: LLMError) -> AIMessage:
    """Return the last answer that was not accepted, with the usual metadata.

    Raises:
        LLMError: The error itself: it is of another kind.
    """
    causes = [error, error.__cause__, *getattr(error, "errors", ())]
    rejections = [cause for cause in causes if isinstance(cause, GenerationError) and cause.answer is not None]
    if not rejections:
        raise error
    last = rejections[-1]
    asked = [attempt.target for attempt in error.attempts]
    answered = [attempt.target for attempt in error.attempts if attempt.outcome == "invalid"]
    response = LLMResponse(
        content=last.answer or "",
        model=last.model or "",
        provider=last.provider or "",
        used_fallback=answered[-1:] != asked[:1],
        attempts=error.attempts,
    )
    return cast("AIMessage", _answers.read_response(response).generations[0].message)
