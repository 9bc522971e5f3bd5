"""Structured output: LlamaIndex's ``structured_predict`` and its async and streaming variants.

Each target is asked in the best output mode that it supports: by a JSON schema, by a tool call, or by prompt. An answer
that does not fit the schema is sent back to the same target once, with the validation errors; then the next target is
asked. A returned object has been validated; otherwise an exception is raised. No object has empty fields.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping
from typing import TYPE_CHECKING, Any, cast

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ToolCallBlock
from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined] # its public name
from llama_index.core.instrumentation.events.llm import LLMStructuredPredictEndEvent, LLMStructuredPredictStartEvent
from llama_index.core.types import Model, PydanticProgramMode

from unified_llm._lib.bounded_json import parse_partial
from unified_llm.exceptions import LLMError

if TYPE_CHECKING:
    from llama_index.core.llms.function_calling import FunctionCallingLLM
    from llama_index.core.program.utils import FlexibleModel
    from llama_index.core.prompts import BasePromptTemplate, PromptTemplate
    from pydantic import BaseModel

    from unified_llm.llama_index._structured_retries import ChatModel, StructuredCall

    _Base = FunctionCallingLLM
else:
    _Base = object  # another Pydantic class would add milliseconds to every import

_dispatcher = get_dispatcher(__name__)
# The other modes are implemented by other packages.
_OUR_MODES = frozenset({PydanticProgramMode.DEFAULT, PydanticProgramMode.FUNCTION, PydanticProgramMode.LLM})


class StructuredPrediction(_Base):
    """Methods of a model that answer with an object of a Pydantic class."""

    @_dispatcher.span
    def structured_predict(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Model:
        """Answer with an object of a Pydantic class.

        Args:
            output_cls: The class.
            prompt: The prompt template.
            llm_kwargs: Arguments for the call, as for ``chat``.
            **prompt_args: Values of the template's variables.

        Raises:
            GenerationError: No target gave an answer that fits the class, though each was asked twice.
            LLMError: No target answered.
        """
        if self.pydantic_program_mode not in _OUR_MODES:
            return cast("Model", super().structured_predict(output_cls, prompt, llm_kwargs, **prompt_args))
        _report_start(output_cls, prompt, prompt_args)
        call = self._start_call(output_cls, prompt, llm_kwargs, prompt_args)
        while request := call.request:
            try:
                call.on_response(request.llm.chat(request.messages, **request.options))
            except LLMError as error:
                call.on_error(error)
        return cast("Model", _report_end(call.result()))

    @_dispatcher.span
    async def astructured_predict(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Model:
        """Answer with an object of a Pydantic class; arguments as for ``structured_predict``."""
        if self.pydantic_program_mode not in _OUR_MODES:
            return cast("Model", await super().astructured_predict(output_cls, prompt, llm_kwargs, **prompt_args))
        _report_start(output_cls, prompt, prompt_args)
        call = self._start_call(output_cls, prompt, llm_kwargs, prompt_args)
        while request := call.request:
            try:
                call.on_response(await request.llm.achat(request.messages, **request.options))
            except LLMError as error:
                call.on_error(error)
        return cast("Model", _report_end(call.result()))

    # Streams, called by LlamaIndex's own methods. They yield partial objects, and last the whole one, validated.

    def _structured_stream_call(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Generator[Any, None, None]:
        if self.pydantic_program_mode not in _OUR_MODES:
            return super()._structured_stream_call(output_cls, prompt, llm_kwargs, **prompt_args)
        return self._stream_objects(output_cls, self._start_call(output_cls, prompt, llm_kwargs, prompt_args))

    async def _structured_astream_call(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> AsyncGenerator[Any, None]:
        if self.pydantic_program_mode not in _OUR_MODES:
            return await super()._structured_astream_call(output_cls, prompt, llm_kwargs, **prompt_args)
        return self._astream_objects(output_cls, self._start_call(output_cls, prompt, llm_kwargs, prompt_args))

    def _stream_objects(self, output_cls: type[BaseModel], call: StructuredCall) -> Generator[BaseModel, None, None]:
        while request := call.request:
            partial = _PartialObjects(output_cls)
            try:
                for response in request.llm.stream_chat(request.messages, **request.options):
                    if (snapshot := partial.feed(response)) is not None:
                        yield snapshot
                call.on_response(partial.last)
            except LLMError as error:
                call.on_error(error)
        yield call.result()

    async def _astream_objects(
        self, output_cls: type[BaseModel], call: StructuredCall
    ) -> AsyncGenerator[BaseModel, None]:
        while request := call.request:
            partial = _PartialObjects(output_cls)
            try:
                async for response in await request.llm.astream_chat(request.messages, **request.options):
                    if (snapshot := partial.feed(response)) is not None:
                        yield snapshot
                call.on_response(partial.last)
            except LLMError as error:
                call.on_error(error)
        yield call.result()

    def _start_call(
        self,
        output_cls: type[BaseModel],
        prompt: PromptTemplate,
        llm_kwargs: Mapping[str, Any] | None,
        prompt_args: Mapping[str, Any],
    ) -> StructuredCall:
        from unified_llm.llama_index._structured_retries import StructuredCall

        messages = self._extend_messages(prompt.format_messages(llm=self, **prompt_args))
        return StructuredCall(cast("ChatModel", self), output_cls, messages, llm_kwargs or {})


class _PartialObjects:
    """Reader of one stream: builds a partial object each time the JSON received so far has more in it."""

    def __init__(self, output_cls: type[BaseModel]) -> None:
        from llama_index.core.program.utils import create_flexible_model

        self._flexible = create_flexible_model(output_cls)
        self._fields: dict[str, Any] = {}
        self.last = ChatResponse(message=ChatMessage())

    def feed(self, response: ChatResponse) -> FlexibleModel | None:
        self.last = response
        fields = parse_partial(_partial_json(response))
        if not isinstance(fields, dict) or fields in ({}, self._fields):
            return None
        self._fields = fields
        return self._flexible.model_validate(fields)


def _partial_json(response: ChatResponse) -> str:
    """Return the JSON received so far, from a tool call, or from the text beginning with its first brace."""
    for block in response.message.blocks:
        if isinstance(block, ToolCallBlock):
            return block.tool_kwargs if isinstance(block.tool_kwargs, str) else ""
    text = response.message.content or ""
    return text[max(text.find("{"), 0) :]


def _report_start(output_cls: type[BaseModel], prompt: BasePromptTemplate, prompt_args: Mapping[str, Any]) -> None:
    _dispatcher.event(
        LLMStructuredPredictStartEvent(output_cls=output_cls, template=prompt, template_args=dict(prompt_args))
    )


def _report_end(output: BaseModel) -> BaseModel:
    _dispatcher.event(LLMStructuredPredictEndEvent(output=output))
    return output
