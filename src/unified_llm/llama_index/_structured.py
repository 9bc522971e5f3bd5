"""Answers of a given shape: what LlamaIndex calls structured prediction.

Each target is asked in the best way that it has: by a JSON schema, by a tool, or in words. An answer that does not fit
is shown to the same target once more, with what is wrong about it; then the next target is asked. What comes out has
been validated, or an exception is raised: never an object with empty fields.
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

    from unified_llm.llama_index._structured_pursuit import Pursuit
    from unified_llm.llama_index.llm import UnifiedLLM

    _Base = FunctionCallingLLM
else:
    _Base = object  # a Pydantic class more would cost every import some milliseconds

_dispatcher = get_dispatcher(__name__)
# The rest belong to other packages, which have a way of their own.
_OURS = frozenset({PydanticProgramMode.DEFAULT, PydanticProgramMode.FUNCTION, PydanticProgramMode.LLM})


class StructuredAnswers(_Base):
    """The part of a model that answers in the shape of a Pydantic class."""

    @_dispatcher.span
    def structured_predict(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Model:
        """Answer in the shape of a Pydantic class.

        Args:
            output_cls: The class.
            prompt: What is asked.
            llm_kwargs: Arguments for the call, as for ``chat``.
            **prompt_args: What goes into the prompt.

        Raises:
            GenerationError: No target gave an answer of this shape, each having been asked twice.
            LLMError: No target answered.
        """
        if self.pydantic_program_mode not in _OURS:
            return cast("Model", super().structured_predict(output_cls, prompt, llm_kwargs, **prompt_args))
        _begin(output_cls, prompt, prompt_args)
        pursuit = self._pursue(output_cls, prompt, llm_kwargs, prompt_args)
        while ask := pursuit.ask:
            try:
                pursuit.hear(ask.llm.chat(ask.messages, **ask.options))
            except LLMError as problem:
                pursuit.miss(problem)
        return cast("Model", _end(pursuit.result()))

    @_dispatcher.span
    async def astructured_predict(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Model:
        """As ``structured_predict``."""
        if self.pydantic_program_mode not in _OURS:
            return cast("Model", await super().astructured_predict(output_cls, prompt, llm_kwargs, **prompt_args))
        _begin(output_cls, prompt, prompt_args)
        pursuit = self._pursue(output_cls, prompt, llm_kwargs, prompt_args)
        while ask := pursuit.ask:
            try:
                pursuit.hear(await ask.llm.achat(ask.messages, **ask.options))
            except LLMError as problem:
                pursuit.miss(problem)
        return cast("Model", _end(pursuit.result()))

    # Streams: LlamaIndex's own methods call these. Objects with as much as has come, then the whole one, validated.

    def _structured_stream_call(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Generator[Any, None, None]:
        if self.pydantic_program_mode not in _OURS:
            return super()._structured_stream_call(output_cls, prompt, llm_kwargs, **prompt_args)
        return self._pieces(output_cls, self._pursue(output_cls, prompt, llm_kwargs, prompt_args))

    async def _structured_astream_call(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> AsyncGenerator[Any, None]:
        if self.pydantic_program_mode not in _OURS:
            return await super()._structured_astream_call(output_cls, prompt, llm_kwargs, **prompt_args)
        return self._apieces(output_cls, self._pursue(output_cls, prompt, llm_kwargs, prompt_args))

    def _pieces(self, output_cls: type[BaseModel], pursuit: Pursuit) -> Generator[BaseModel, None, None]:
        while ask := pursuit.ask:
            pieces = _Pieces(output_cls)
            try:
                for response in ask.llm.stream_chat(ask.messages, **ask.options):
                    if (piece := pieces.feed(response)) is not None:
                        yield piece
                pursuit.hear(pieces.last)
            except LLMError as problem:
                pursuit.miss(problem)
        yield pursuit.result()

    async def _apieces(self, output_cls: type[BaseModel], pursuit: Pursuit) -> AsyncGenerator[BaseModel, None]:
        while ask := pursuit.ask:
            pieces = _Pieces(output_cls)
            try:
                async for response in await ask.llm.astream_chat(ask.messages, **ask.options):
                    if (piece := pieces.feed(response)) is not None:
                        yield piece
                pursuit.hear(pieces.last)
            except LLMError as problem:
                pursuit.miss(problem)
        yield pursuit.result()

    def _pursue(
        self,
        output_cls: type[BaseModel],
        prompt: PromptTemplate,
        llm_kwargs: Mapping[str, Any] | None,
        prompt_args: Mapping[str, Any],
    ) -> Pursuit:
        from unified_llm.llama_index._structured_pursuit import Pursuit

        messages = self._extend_messages(prompt.format_messages(llm=self, **prompt_args))
        return Pursuit(cast("UnifiedLLM", self), output_cls, messages, llm_kwargs or {})


class _Pieces:
    """Objects with as much of an answer as a stream has brought, one for each change."""

    def __init__(self, output_cls: type[BaseModel]) -> None:
        from llama_index.core.program.utils import create_flexible_model

        self._flexible = create_flexible_model(output_cls)
        self._fields: dict[str, Any] = {}
        self.last = ChatResponse(message=ChatMessage())

    def feed(self, response: ChatResponse) -> FlexibleModel | None:
        self.last = response
        fields = parse_partial(_unfinished(response))
        if not isinstance(fields, dict) or fields in ({}, self._fields):
            return None
        self._fields = fields
        return self._flexible.model_validate(fields)


def _unfinished(response: ChatResponse) -> str:
    """The JSON so far, in a tool call or after whatever words there are."""
    for block in response.message.blocks:
        if isinstance(block, ToolCallBlock):
            return block.tool_kwargs if isinstance(block.tool_kwargs, str) else ""
    text = response.message.content or ""
    return text[max(text.find("{"), 0) :]


def _begin(output_cls: type[BaseModel], prompt: BasePromptTemplate, prompt_args: Mapping[str, Any]) -> None:
    _dispatcher.event(
        LLMStructuredPredictStartEvent(output_cls=output_cls, template=prompt, template_args=dict(prompt_args))
    )


def _end(found: BaseModel) -> BaseModel:
    _dispatcher.event(LLMStructuredPredictEndEvent(output=found))
    return found
