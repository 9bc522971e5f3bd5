"""Retry logic of structured output: which targets to ask next, in which output mode, and when to give up.

Decisions only: the sync, async and streaming callers send the requests.

For each target, in the order of the chain::

    best mode ──► answer fits ──────────► done
      ▲   │
      │   ├─────► answer does not fit ──► same target once more, with the errors ──► next target
      │   └─────► mode refused ─────────┐
      └────────────── next best mode ◄──┘   (none left: next target)
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, Self, TypeAlias

import pydantic
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole, TextBlock, ToolCallBlock
from llama_index.core.types import PydanticProgramMode

from unified_llm._config.resolve import ResolvedTarget
from unified_llm._core import runtime
from unified_llm._core.target import Target
from unified_llm._lib.bounded_json import dump
from unified_llm.exceptions import (
    AllTargetsFailedError,
    ConfigurationError,
    ContentFilterError,
    ContextOverflowError,
    GenerationError,
    LLMError,
    StreamInterruptedError,
    UnsupportedOperationError,
    ValidationError,
)
from unified_llm.llama_index._constants import RECORD

if TYPE_CHECKING:
    from llama_index.core.base.llms.types import ChatResponseAsyncGen, ChatResponseGen

    from unified_llm._client.client import LLMClient

OutputMode: TypeAlias = Literal["json_schema", "forced_tool", "tool", "json_object", "prompt"]
"""How a target is made to answer in JSON.

``json_schema``: the provider enforces the schema. ``forced_tool``, ``tool``: the answer is the arguments of a tool that
the model must or may call. ``json_object``, ``prompt``: the prompt has the schema, and the provider enforces valid JSON
or nothing.
"""

_LONGEST_NAME: Final = 64
# Options that are set here; those of the caller are dropped.
_OUR_OPTIONS: Final = frozenset(
    {"tools", "tool_choice", "tool_required", "allow_parallel_tool_calls", "response_format"}
)


class ChatModel(Protocol):
    """What is needed of ``UnifiedLLM``, whose module imports this one."""

    pydantic_program_mode: PydanticProgramMode
    deadline: float | None
    failover_on: Mapping[str, bool] | None
    _client: LLMClient | None

    @property
    def client(self) -> LLMClient:
        """The client of the chain."""
        ...

    def model_copy(self) -> Self:
        """Copy the model; connections, health and callbacks are shared."""
        ...

    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Send a chat request."""
        ...

    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Send a chat request."""
        ...

    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """Stream a chat response."""
        ...

    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        """Stream a chat response."""
        ...


@dataclass(frozen=True, slots=True)
class StructuredRequest:
    """The next request to send.

    Attributes:
        llm: The model, with the targets of this request only.
        messages: The conversation.
        options: Arguments of the call.
    """

    llm: ChatModel
    messages: list[ChatMessage] = field(repr=False)
    options: dict[str, Any] = field(repr=False)


class StructuredCall:
    """State of one structured-output call over a chain of targets.

    The caller sends ``request`` and reports the outcome to ``on_response`` or ``on_error``, until ``request`` is None;
    then ``result`` returns the object.

    Args:
        llm: The model.
        output_cls: The Pydantic class of the answer.
        messages: The conversation.
        options: Arguments of the call, as for ``chat``.
    """

    def __init__(
        self,
        llm: ChatModel,
        output_cls: type[pydantic.BaseModel],
        messages: Sequence[ChatMessage],
        options: Mapping[str, Any],
    ) -> None:
        self._llm, self._output_cls, self._messages = llm, output_cls, list(messages)
        self._options = {name: value for name, value in options.items() if name not in _OUR_OPTIONS}
        model = self._options.pop("model", None)
        self._remaining = list(llm.client.links(model))
        self._schema = output_cls.model_json_schema()
        self._name = re.sub(r"[^a-zA-Z0-9_-]", "_", output_cls.__name__)[:_LONGEST_NAME]
        self._deadline = self._options.pop("deadline", llm.deadline)
        self._started = runtime.current().now()
        rules = {**(llm.failover_on or {}), **(options.get("failover_on") or {})}
        self._filters = rules.get("filter", False)  # whether a content filter fails over
        self._errors: list[LLMError] = []
        self._refused_modes: set[OutputMode] = set()  # by the current targets
        self._answer: pydantic.BaseModel | None = None
        self._current: list[ResolvedTarget] = []
        self._mode: OutputMode = "prompt"
        self._retried = False
        self.request: StructuredRequest | None = None
        self._start_next()

    def result(self) -> pydantic.BaseModel:
        """Return the object.

        Raises:
            LLMError: No target gave one.
        """
        if self._answer is not None:
            return self._answer
        if len(self._errors) == 1:
            raise self._errors[0]
        reasons = "\n".join(f"  {error}" for error in self._errors)
        raise AllTargetsFailedError(
            f"No target gave an answer that fits {self._output_cls.__name__}:\n{reasons}",
            errors=self._errors,
            attempts=[attempt for error in self._errors for attempt in error.attempts],
        )

    def on_response(self, response: ChatResponse) -> None:
        """Validate an answer: finish, request a correction from the same target, or go on to the next one.

        Raises:
            ContentFilterError: The model declined.
        """
        if refusal := response.message.additional_kwargs.get("refusal"):
            raise ContentFilterError("The model declined to answer; its words are in .detail.", detail=str(refusal))
        link = self._link_of(response)
        try:
            self._answer, self.request = self._read_object(response), None
        except pydantic.ValidationError as invalid:
            if self._retried:
                self._errors.append(self._describe_misfit(link.target, response, invalid))
                self._drop_until(link)
            else:
                self._request_correction(link, response, invalid)

    def on_error(self, error: LLMError) -> None:
        """Choose the next output mode or target after a failed request.

        Raises:
            LLMError: Every other target would fail in the same way.
        """
        if isinstance(error, ConfigurationError) or (isinstance(error, ContentFilterError) and not self._filters):
            raise error
        refused = isinstance(error, UnsupportedOperationError | ValidationError)
        if refused and not isinstance(error, ContextOverflowError) and not self._retried:
            self._refused_modes.add(self._mode)
            if not self._modes(self._current[0].target):
                if isinstance(error, ValidationError):
                    raise error
                self._errors.append(error)
                self._drop_until(self._current[-1])
            else:
                self._start_next()
            return
        self._errors += error.errors if isinstance(error, AllTargetsFailedError) else [error]
        if isinstance(error, ContextOverflowError):
            self._drop_smaller_windows(max(link.target.context_window or 0 for link in self._current))
        broken = [link for link in self._current if link.target.model == error.model]
        self._drop_until(broken[0] if broken and isinstance(error, StreamInterruptedError) else self._current[-1])

    # Targets and modes

    def _start_next(self) -> None:
        """Prepare a request to the next targets: to all in a row that have the same best mode."""
        self._retried = False
        while self._remaining and not self._modes(self._remaining[0].target):
            target = self._remaining.pop(0).target
            self._errors.append(UnsupportedOperationError(f"{target.name}: it cannot call tools."))
        if not self._remaining:
            self.request = None
            return
        self._mode = self._modes(self._remaining[0].target)[0]
        self._current = list(takewhile(lambda link: self._modes(link.target)[:1] == [self._mode], self._remaining))
        self._set_request(self._current, self._messages)

    def _drop_smaller_windows(self, window: int) -> None:
        """Drop the targets whose context window is not larger than ``window``; the current ones stay."""
        self._remaining = [
            link for link in self._remaining if link in self._current or (link.target.context_window or 0) > window
        ]

    def _drop_until(self, last: ResolvedTarget) -> None:
        """Drop the targets up to and including ``last``, and go on to the next."""
        self._remaining = self._remaining[self._remaining.index(last) + 1 :]
        self._refused_modes.clear()
        self._start_next()

    def _modes(self, target: Target) -> list[OutputMode]:
        """Return the output modes that are left for a target, best first."""
        program_mode, features = self._llm.pydantic_program_mode, target.features
        modes: list[OutputMode] = []
        if program_mode == PydanticProgramMode.DEFAULT and "json_schema" in features:
            modes.append("json_schema")
        if program_mode != PydanticProgramMode.LLM and "tools" in features:
            modes.append("forced_tool" if "tool_choice" in features else "tool")
        if program_mode != PydanticProgramMode.FUNCTION:
            modes.extend(("json_object", "prompt") if "json_object" in features else ("prompt",))
        return [mode for mode in modes if mode not in self._refused_modes]

    def _link_of(self, response: ChatResponse) -> ResolvedTarget:
        name = response.raw[RECORD]["served_by"] if isinstance(response.raw, dict) else ""
        return next((link for link in self._current if link.target.name == name), self._current[0])

    # Requests

    def _set_request(self, links: Sequence[ResolvedTarget], messages: Sequence[ChatMessage]) -> None:
        options = {**self._options, **self._output_options()}
        if self._deadline is not None:
            spent = runtime.current().now() - self._started
            options["deadline"] = max(self._deadline - spent, 0.001)
        if self._mode in {"json_object", "prompt"}:
            messages = _with_schema_prompt(messages, self._schema)
        self.request = StructuredRequest(_with_links(self._llm, links), list(messages), options)

    def _output_options(self) -> dict[str, Any]:
        match self._mode:
            case "json_schema":
                schema = {"name": self._name, "schema": self._schema}
                return {"response_format": {"type": "json_schema", "json_schema": schema}}
            case "forced_tool" | "tool":
                description = self._schema.get("description") or "The answer."
                function = {"name": self._name, "description": description, "parameters": self._schema}
                forced = {"tool_choice": self._name} if self._mode == "forced_tool" else {}
                return {"tools": [{"type": "function", "function": function}], **forced}
            case "json_object":
                return {"response_format": {"type": "json_object"}}
            case "prompt":
                return {}

    def _request_correction(
        self, link: ResolvedTarget, response: ChatResponse, invalid: pydantic.ValidationError
    ) -> None:
        """Send an answer back to the target that gave it, with the validation errors."""
        self._retried = True
        wrong = "; ".join(f"{_field_path(error)}: {error['msg']}" for error in invalid.errors(include_url=False))
        correction = f"That does not fit the schema: {wrong}. Give the whole answer again."
        calls = [block for block in response.message.blocks if isinstance(block, ToolCallBlock)]
        replies = [
            ChatMessage(
                role=MessageRole.TOOL, content=correction, additional_kwargs={"tool_call_id": call.tool_call_id}
            )
            for call in calls
        ] or [ChatMessage(role=MessageRole.USER, content=correction)]
        self._current = [link]
        self._set_request([link], [*self._messages, response.message, *replies])

    # Answers

    def _read_object(self, response: ChatResponse) -> pydantic.BaseModel:
        """Return the object in an answer.

        Raises:
            ValidationError: Pydantic's: the answer does not fit.
        """
        calls = [block for block in response.message.blocks if isinstance(block, ToolCallBlock)]
        texts = [_arguments_json(call) for call in calls] or [_extract_json(response.message.content or "")]
        for text in texts[:-1]:
            try:
                return self._output_cls.model_validate_json(text)
            except pydantic.ValidationError:
                continue
        return self._output_cls.model_validate_json(texts[-1])

    def _describe_misfit(
        self, target: Target, response: ChatResponse, invalid: pydantic.ValidationError
    ) -> GenerationError:
        """Return the error for a second answer that does not fit; it never contains the answer."""
        wrong = ", ".join(f"{_field_path(error)}: {error['type']}" for error in invalid.errors(include_input=False))
        cut = isinstance(response.raw, dict) and response.raw.get("finish_reason") == "length"
        return GenerationError(
            f"{target.name}: two answers in a row did not fit {self._output_cls.__name__} ({wrong}); "
            + ("raise max_tokens=." if cut else "add a more capable fallback, or use a simpler class."),
            provider=target.provider,
            model=target.model or None,
        )


def _with_links(llm: ChatModel, links: Sequence[ResolvedTarget]) -> ChatModel:
    """Copy a model with these targets only; connections, health and callbacks are shared."""
    narrowed = llm.model_copy()
    narrowed._client = llm.client.narrowed(links)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - its own copy
    return narrowed


def _with_schema_prompt(messages: Sequence[ChatMessage], schema: Mapping[str, Any]) -> list[ChatMessage]:
    """Return the conversation with the schema appended to the last message; the caller's messages do not change."""
    instruction = f"Answer with a JSON object that fits this schema, and nothing else:\n{dump(schema)}"
    if not messages or messages[-1].role != MessageRole.USER:
        return [*messages, ChatMessage(role=MessageRole.USER, content=instruction)]
    last = messages[-1]
    return [*messages[:-1], last.model_copy(update={"blocks": [*last.blocks, TextBlock(text=instruction)]})]


def _arguments_json(call: ToolCallBlock) -> str:
    return call.tool_kwargs if isinstance(call.tool_kwargs, str) else dump(call.tool_kwargs)


def _extract_json(text: str) -> str:
    """Return the JSON in an answer, without the text or code fences that models add around it."""
    starts = [index for bracket in "{[" if (index := text.find(bracket)) >= 0]
    end = max(text.rfind("}"), text.rfind("]"))
    return text[min(starts) : end + 1] if starts and end >= min(starts) else text


def _field_path(error: Mapping[str, Any]) -> str:
    return ".".join(str(part) for part in error["loc"]) or "the answer"
