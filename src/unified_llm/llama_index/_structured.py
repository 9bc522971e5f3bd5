"""Structured output: LlamaIndex's ``structured_predict`` and its async and streaming variants.

The client asks each target as it can be asked, checks the answer with the Pydantic class, and asks again or fails over.
A returned object has been validated; otherwise an exception is raised. No object has empty fields.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined] # its public name
from llama_index.core.instrumentation.events.llm import LLMStructuredPredictEndEvent, LLMStructuredPredictStartEvent
from llama_index.core.types import Model, PydanticProgramMode

from unified_llm._adapters.fragments import Growth
from unified_llm._adapters.structured_output import BoundFormat, PydanticCheck
from unified_llm._core import runtime
from unified_llm._core.hidden import Hidden
from unified_llm._core.provider_words import quote_detail
from unified_llm._lib.bounded_json import parse_partial
from unified_llm._structured.checks import describe_error, make_check
from unified_llm._structured.extract_json import JSONExtractor, find_json
from unified_llm._structured.methods import output_schema
from unified_llm.exceptions import ContentFilterError, GenerationError, StreamInterruptedError
from unified_llm.llama_index._constants import RECORD
from unified_llm.types.messages import OutputMethod

if TYPE_CHECKING:
    from llama_index.core.llms.function_calling import FunctionCallingLLM
    from llama_index.core.program.utils import FlexibleModel
    from llama_index.core.prompts import BasePromptTemplate, PromptTemplate
    from pydantic import BaseModel

    _Base = FunctionCallingLLM
else:
    _Base = object  # another Pydantic class would add milliseconds to every import

_dispatcher = get_dispatcher(__name__)
# How targets may be asked in each mode; the other modes are implemented by other packages.
_METHODS: Final[Mapping[PydanticProgramMode, tuple[OutputMethod, ...]]] = {
    PydanticProgramMode.DEFAULT: ("native", "tool", "prompt"),
    PydanticProgramMode.FUNCTION: ("tool",),
    PydanticProgramMode.LLM: ("prompt",),
}
# Options that are set here; those of the caller are dropped.
_OUR_OPTIONS: Final = frozenset(
    {"tools", "tool_choice", "tool_required", "allow_parallel_tool_calls", "response_format"}
)
_LONGEST_NAME: Final = 64


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
            GenerationError: The answer does not fit the class, or was cut off.
            LLMError: No target answered, or none gave an answer that fits the class.
        """
        given = Hidden((prompt, llm_kwargs, prompt_args))
        del prompt, llm_kwargs, prompt_args
        if self.pydantic_program_mode not in _METHODS:
            return cast("Model", super().structured_predict(output_cls, *given.value[:2], **given.value[2]))
        _report_start(output_cls, given.value[0], given.value[2])
        call = self._structured_call(output_cls, given)
        return cast("Model", _report_end(call.read(self.chat(call.messages, **call.options))))

    @_dispatcher.span
    async def astructured_predict(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Model:
        """Answer with an object of a Pydantic class; arguments as for ``structured_predict``."""
        given = Hidden((prompt, llm_kwargs, prompt_args))
        del prompt, llm_kwargs, prompt_args
        if self.pydantic_program_mode not in _METHODS:
            return cast("Model", await super().astructured_predict(output_cls, *given.value[:2], **given.value[2]))
        _report_start(output_cls, given.value[0], given.value[2])
        call = self._structured_call(output_cls, given)
        return cast("Model", _report_end(call.read(await self.achat(call.messages, **call.options))))

    # Streams, called by LlamaIndex's own methods. They yield partial objects, and last the whole one, validated. Since
    # each object replaces the one before, a stream that breaks is followed by a whole answer.

    def _structured_stream_call(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Generator[Any, None, None]:
        given = Hidden((prompt, llm_kwargs, prompt_args))
        del prompt, llm_kwargs, prompt_args
        if self.pydantic_program_mode not in _METHODS:
            return super()._structured_stream_call(output_cls, *given.value[:2], **given.value[2])
        return self._stream_objects(self._structured_call(output_cls, given))

    async def _structured_astream_call(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> AsyncGenerator[Any, None]:
        given = Hidden((prompt, llm_kwargs, prompt_args))
        del prompt, llm_kwargs, prompt_args
        if self.pydantic_program_mode not in _METHODS:
            return await super()._structured_astream_call(output_cls, *given.value[:2], **given.value[2])
        return self._astream_objects(self._structured_call(output_cls, given))

    def _stream_objects(self, call: _StructuredCall) -> Generator[BaseModel, None, None]:
        partial = _PartialObjects(call)
        try:
            for response in self.stream_chat(call.messages, **call.options):
                snapshot = partial.feed(response)
                del response  # no variable has it while the next is waited for
                if snapshot is not None:
                    yield snapshot
                del snapshot
            last = partial.last
        except StreamInterruptedError:
            last = self.chat(call.messages, **call.remaining_options())
        yield call.read(last)

    async def _astream_objects(self, call: _StructuredCall) -> AsyncGenerator[BaseModel, None]:
        partial = _PartialObjects(call)
        try:
            async for response in await self.astream_chat(call.messages, **call.options):
                snapshot = partial.feed(response)
                del response  # no variable has it while the next is waited for
                if snapshot is not None:
                    yield snapshot
                del snapshot
            last = partial.last
        except StreamInterruptedError:
            last = await self.achat(call.messages, **call.remaining_options())
        yield call.read(last)

    def _structured_call(
        self,
        output_cls: type[BaseModel],
        given: Hidden[tuple[PromptTemplate, dict[str, Any] | None, dict[str, Any]]],
    ) -> _StructuredCall:
        prompt, llm_kwargs, prompt_args = given.value
        messages = self._extend_messages(prompt.format_messages(llm=self, **prompt_args))
        options = {name: value for name, value in (llm_kwargs or {}).items() if name not in _OUR_OPTIONS}
        options.setdefault("deadline", cast("Any", self).deadline)
        json_schema = {"name": _format_name(output_cls), "schema": output_cls.model_json_schema()}
        bound_format = BoundFormat.of(
            {"type": "json_schema", "json_schema": json_schema},
            PydanticCheck(output_cls),
            _METHODS[self.pydantic_program_mode],
        )
        return _StructuredCall(output_cls, messages, {**options, "response_format": bound_format}, bound_format)


@dataclass(frozen=True, slots=True)
class _StructuredCall:
    """One call for an object of a class.

    Attributes:
        output_cls: The Pydantic class.
        messages: The conversation.
        options: Arguments of ``chat``.
        bound_format: The response format among them.
        started: The instant at which the call began.
    """

    output_cls: type[BaseModel]
    messages: Sequence[ChatMessage] = field(repr=False)
    options: Mapping[str, Any] = field(repr=False)
    bound_format: BoundFormat = field(repr=False)
    started: float = field(default_factory=lambda: runtime.current().now())

    @property
    def schema(self) -> Mapping[str, Any]:
        """The JSON schema of the class."""
        return output_schema(self.bound_format.response_format)

    def remaining_options(self) -> dict[str, Any]:
        """Return the arguments for another request within the same deadline."""
        deadline = self.options["deadline"]
        if deadline is None:
            return dict(self.options)
        return {**self.options, "deadline": max(deadline - (runtime.current().now() - self.started), 0.001)}

    def read(self, response: ChatResponse) -> BaseModel:
        """Return the object in an answer; the client has not checked one that was cut off, or is of a wrapped LLM.

        Raises:
            ContentFilterError: The model declined.
            GenerationError: It is no object of the class.
        """
        if refusal := response.message.additional_kwargs.get("refusal"):
            words = str(refusal)
            message = f"The model declined to answer; .detail holds its words.{quote_detail(words)}"
            raise ContentFilterError(message, detail=words)
        text = find_json(response.message.content or "", self.schema, make_check(self.bound_format.response_format))
        try:
            return self.output_cls.model_validate_json(text)
        except ValueError as error:
            raise self._describe_mismatch(response, text, error) from None

    def _describe_mismatch(self, response: ChatResponse, text: str, error: ValueError) -> GenerationError:
        raw: Mapping[str, Any] = response.raw if isinstance(response.raw, dict) else {}
        detail = describe_error(error)
        mismatch = GenerationError(
            f"{raw.get(RECORD, {}).get('served_by', 'The model')}: "
            + (
                "the answer was cut off before it was complete; raise max_tokens=."
                if raw.get("finish_reason") == "length"
                else f"the answer does not fit {self.output_cls.__name__}; .detail says where.{quote_detail(detail)}"
            ),
            model=raw.get("model_name") or None,
            detail=detail,
        )
        mismatch.answer = text
        return mismatch


def _format_name(output_cls: type[BaseModel]) -> str:
    return re.sub(r"[^a-zA-Z0-9_-]", "_", output_cls.__name__)[:_LONGEST_NAME]


class _PartialObjects:
    """Reader of one stream: builds a partial object each time the JSON received so far has more in it.

    The longer the JSON is, the more must have come for another object, since each is parsed from the beginning.
    """

    def __init__(self, call: _StructuredCall) -> None:
        from llama_index.core.program.utils import create_flexible_model

        self._flexible = create_flexible_model(call.output_cls)
        self._extractor = JSONExtractor(call.schema)
        self._json: list[str] = []
        self._growth = Growth(parts=64)
        self._fields: dict[str, Any] = {}
        self.last = ChatResponse(message=ChatMessage())

    def feed(self, response: ChatResponse) -> FlexibleModel | None:
        self.last = response
        if text := self._extractor.feed(response.delta or ""):
            self._json.append(text)
        if not self._growth.add(len(text)):
            return None
        self._json = ["".join(self._json)]
        fields = parse_partial(self._json[0])
        if not isinstance(fields, dict) or fields in ({}, self._fields):
            return None
        self._fields = fields
        return self._flexible.model_validate(fields)


def _report_start(output_cls: type[BaseModel], prompt: BasePromptTemplate, prompt_args: Mapping[str, Any]) -> None:
    _dispatcher.event(
        LLMStructuredPredictStartEvent(output_cls=output_cls, template=prompt, template_args=dict(prompt_args))
    )


def _report_end(output: BaseModel) -> BaseModel:
    _dispatcher.event(LLMStructuredPredictEndEvent(output=output))
    return output
