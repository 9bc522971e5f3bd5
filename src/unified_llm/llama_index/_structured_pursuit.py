"""The pursuit of an answer of a given shape: whom to ask next, in which way, and when to give up.

Pure decisions: what is asked, and how, is the business of the callers, synchronous, asynchronous and streaming.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

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
    from unified_llm.llama_index.llm import UnifiedLLM

Way: TypeAlias = Literal["json_schema", "forced_tool", "tool", "json_object", "words"]
"""Held to a schema by the provider; as the arguments of a tool, which it must or may call; as JSON by request, held to
JSON or not even that."""

_LONGEST_NAME: Final = 64
# What a call may say of tools, of which there are none but ours here.
_OURS: Final = frozenset({"tools", "tool_choice", "tool_required", "allow_parallel_tool_calls", "response_format"})


@dataclass(frozen=True, slots=True)
class StructuredRequest:
    """What to ask next.

    Attributes:
        llm: The model, narrowed down to those of its targets that are meant.
        messages: The conversation.
        options: Arguments of the call.
    """

    llm: UnifiedLLM
    messages: list[ChatMessage] = field(repr=False)
    options: dict[str, Any] = field(repr=False)


class Pursuit:
    """One answer of a given shape, from a chain of targets.

    ``ask`` is the next question; ``hear`` and ``miss`` say what came of it. When ``ask`` is None, ``result`` has the
    object.
    """

    def __init__(
        self,
        llm: UnifiedLLM,
        output_cls: type[pydantic.BaseModel],
        messages: Sequence[ChatMessage],
        options: Mapping[str, Any],
    ) -> None:
        """Sort out who can be asked in which way."""
        self._llm, self._output_cls, self._messages = llm, output_cls, list(messages)
        self._options = {name: value for name, value in options.items() if name not in _OURS}
        model = self._options.pop("model", None)
        self._left = list(llm.client.links(model))
        self._schema = output_cls.model_json_schema()
        self._name = re.sub(r"[^a-zA-Z0-9_-]", "_", output_cls.__name__)[:_LONGEST_NAME]
        self._deadline = self._options.pop("deadline", llm.deadline)
        self._started = runtime.current().now()
        rules = {**(llm.failover_on or {}), **(options.get("failover_on") or {})}
        self._filters = rules.get("filter", False)  # whether a filter is a reason to ask others
        self._errors: list[LLMError] = []
        self._refused: set[Way] = set()  # by those who are being asked
        self._found: pydantic.BaseModel | None = None
        self._group: list[ResolvedTarget] = []
        self._way: Way = "words"
        self._again = False
        self.ask: StructuredRequest | None = None
        self._next()

    def result(self) -> pydantic.BaseModel:
        """The object.

        Raises:
            LLMError: There is none.
        """
        if self._found is not None:
            return self._found
        if len(self._errors) == 1:
            raise self._errors[0]
        told = "\n".join(f"  {error}" for error in self._errors)
        raise AllTargetsFailedError(
            f"No target gave an answer of the shape of {self._output_cls.__name__}:\n{told}",
            errors=self._errors,
            attempts=[attempt for error in self._errors for attempt in error.attempts],
        )

    def hear(self, response: ChatResponse) -> None:
        """Take in an answer.

        Raises:
            ContentFilterError: The model declined.
        """
        if refusal := response.message.additional_kwargs.get("refusal"):
            raise ContentFilterError("The model declined to answer; its words are in .detail.", detail=str(refusal))
        served = self._served(response)
        try:
            self._found, self.ask = self._read(response), None
        except pydantic.ValidationError as invalid:
            if self._again:
                self._errors.append(self._invalid(served.target, response, invalid))
                self._drop_through(served)
            else:
                self._ask_again(served, response, invalid)

    def miss(self, problem: LLMError) -> None:
        """Take in that no answer came.

        Raises:
            LLMError: It would be the same anywhere else.
        """
        if isinstance(problem, ConfigurationError) or (isinstance(problem, ContentFilterError) and not self._filters):
            raise problem
        refused = isinstance(problem, UnsupportedOperationError | ValidationError)
        if refused and not isinstance(problem, ContextOverflowError) and not self._again:
            self._refused.add(self._way)
            if not self._ways(self._group[0].target):
                if isinstance(problem, ValidationError):
                    raise problem
                self._errors.append(problem)
                self._drop_through(self._group[-1])
            else:
                self._next()
            return
        self._errors += problem.errors if isinstance(problem, AllTargetsFailedError) else [problem]
        if isinstance(problem, ContextOverflowError):
            self._keep_larger(max(each.target.context_window or 0 for each in self._group))
        broken = [each for each in self._group if each.target.model == problem.model]
        self._drop_through(broken[0] if broken and isinstance(problem, StreamInterruptedError) else self._group[-1])

    # Whom to ask

    def _next(self) -> None:
        """Ask those who are left, as many at once as can be asked in the same way."""
        self._again = False
        while self._left and not self._ways(self._left[0].target):
            missing = self._left.pop(0).target
            self._errors.append(UnsupportedOperationError(f"{missing.name}: it cannot call tools."))
        if not self._left:
            self.ask = None
            return
        self._way = self._ways(self._left[0].target)[0]
        self._group = list(takewhile(lambda each: self._ways(each.target)[:1] == [self._way], self._left))
        self._question(self._group, self._messages)

    def _keep_larger(self, window: int) -> None:
        """What is too long for one is too long for all that take no more."""
        self._left = [each for each in self._left if each in self._group or (each.target.context_window or 0) > window]

    def _drop_through(self, last: ResolvedTarget) -> None:
        """Leave out everybody up to this one, and ask the next."""
        self._left = self._left[self._left.index(last) + 1 :]
        self._refused.clear()
        self._next()

    def _ways(self, target: Target) -> list[Way]:
        """How a target can be asked, the best way first."""
        mode, features = self._llm.pydantic_program_mode, target.features
        ways: list[Way] = []
        if mode == PydanticProgramMode.DEFAULT and "json_schema" in features:
            ways.append("json_schema")
        if mode != PydanticProgramMode.LLM and "tools" in features:
            ways.append("forced_tool" if "tool_choice" in features else "tool")
        if mode != PydanticProgramMode.FUNCTION:
            ways.extend(("json_object", "words") if "json_object" in features else ("words",))
        return [way for way in ways if way not in self._refused]

    def _served(self, response: ChatResponse) -> ResolvedTarget:
        name = response.raw[RECORD]["served_by"] if isinstance(response.raw, dict) else ""
        return next((each for each in self._group if each.target.name == name), self._group[0])

    # How to ask

    def _question(self, whom: Sequence[ResolvedTarget], messages: Sequence[ChatMessage]) -> None:
        options = {**self._options, **self._form()}
        if self._deadline is not None:
            spent = runtime.current().now() - self._started
            options["deadline"] = max(self._deadline - spent, 0.001)
        if self._way in {"json_object", "words"}:
            messages = _in_words(messages, self._schema)
        self.ask = StructuredRequest(_narrowed(self._llm, whom), list(messages), options)

    def _form(self) -> dict[str, Any]:
        match self._way:
            case "json_schema":
                named = {"name": self._name, "schema": self._schema}
                return {"response_format": {"type": "json_schema", "json_schema": named}}
            case "forced_tool" | "tool":
                described = self._schema.get("description") or "The answer."
                function = {"name": self._name, "description": described, "parameters": self._schema}
                forced = {"tool_choice": self._name} if self._way == "forced_tool" else {}
                return {"tools": [{"type": "function", "function": function}], **forced}
            case "json_object":
                return {"response_format": {"type": "json_object"}}
            case "words":
                return {}

    def _ask_again(self, served: ResolvedTarget, response: ChatResponse, invalid: pydantic.ValidationError) -> None:
        """Show an answer to whoever gave it, with what is wrong about it."""
        self._again = True
        wrong = "; ".join(f"{_place(error)}: {error['msg']}" for error in invalid.errors(include_url=False))
        told = f"That does not fit the schema: {wrong}. Give the whole answer again."
        calls = [block for block in response.message.blocks if isinstance(block, ToolCallBlock)]
        replies = [
            ChatMessage(role=MessageRole.TOOL, content=told, additional_kwargs={"tool_call_id": call.tool_call_id})
            for call in calls
        ] or [ChatMessage(role=MessageRole.USER, content=told)]
        self._group = [served]
        self._question([served], [*self._messages, response.message, *replies])

    # What came

    def _read(self, response: ChatResponse) -> pydantic.BaseModel:
        """The object in an answer.

        Raises:
            ValidationError: Pydantic's: there is none that fits.
        """
        calls = [block for block in response.message.blocks if isinstance(block, ToolCallBlock)]
        texts = [_arguments(call) for call in calls] or [_json_in(response.message.content or "")]
        for text in texts[:-1]:
            try:
                return self._output_cls.model_validate_json(text)
            except pydantic.ValidationError:
                continue
        return self._output_cls.model_validate_json(texts[-1])

    def _invalid(self, target: Target, response: ChatResponse, invalid: pydantic.ValidationError) -> GenerationError:
        """What is wrong, without the answer itself."""
        wrong = ", ".join(f"{_place(error)}: {error['type']}" for error in invalid.errors(include_input=False))
        cut = isinstance(response.raw, dict) and response.raw.get("finish_reason") == "length"
        return GenerationError(
            f"{target.name}: its answer does not fit {self._output_cls.__name__} ({wrong}), nor did that before it; "
            + ("raise max_tokens=." if cut else "add a fallback that is better at it, or ask for a simpler shape."),
            provider=target.provider,
            model=target.model or None,
        )


def _narrowed(llm: UnifiedLLM, whom: Sequence[ResolvedTarget]) -> UnifiedLLM:
    """The same model with fewer targets, sharing connections, health and callbacks."""
    narrowed = llm.model_copy()
    narrowed._client = llm.client.narrowed(whom)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - its own copy
    return narrowed


def _in_words(messages: Sequence[ChatMessage], schema: Mapping[str, Any]) -> list[ChatMessage]:
    """The conversation with the schema at the end of the last message; the caller's own is not touched."""
    wish = f"Answer with a JSON object that fits this schema, and nothing else:\n{dump(schema)}"
    if not messages or messages[-1].role != MessageRole.USER:
        return [*messages, ChatMessage(role=MessageRole.USER, content=wish)]
    last = messages[-1]
    return [*messages[:-1], last.model_copy(update={"blocks": [*last.blocks, TextBlock(text=wish)]})]


def _arguments(call: ToolCallBlock) -> str:
    return call.tool_kwargs if isinstance(call.tool_kwargs, str) else dump(call.tool_kwargs)


def _json_in(text: str) -> str:
    """The JSON in an answer: models like to put words or fences around it."""
    starts = [place for mark in "{[" if (place := text.find(mark)) >= 0]
    end = max(text.rfind("}"), text.rfind("]"))
    return text[min(starts) : end + 1] if starts and end >= min(starts) else text


def _place(error: Mapping[str, Any]) -> str:
    return ".".join(str(part) for part in error["loc"]) or "the answer"
