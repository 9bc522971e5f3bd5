"""A chat request to an engine: the request as a prompt, and the engine's outputs as chunks and responses."""

from __future__ import annotations

from dataclasses import replace

from unified_llm._backends.mlx.chat_prompt import format_of, offered_tools, write_prompt
from unified_llm._backends.mlx.encoder import no_chat_message
from unified_llm._backends.mlx.engine_calls import to_failure
from unified_llm._backends.mlx.engine_types import Finished, OpenedBlock, Output, Payload, TextChunk
from unified_llm._backends.mlx.model_names import resolve_folder
from unified_llm._backends.mlx.tool_formats.reading import CallReader
from unified_llm._core.exchange import Event
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.any_model import reading_rules
from unified_llm._formats.request_fields import effective
from unified_llm._formats.text_reasoning import ReasoningSplitter
from unified_llm.types.messages import ToolCall, ToolCallChunk
from unified_llm.types.records import Usage
from unified_llm.types.requests import LLMRequest
from unified_llm.types.responses import FinishReason, LLMChunk, LLMResponse, TokenLogprob


class ChatCall:
    """A chat request."""

    def __init__(self, target: Target, request: LLMRequest) -> None:
        self._target = target
        self._request = request
        self._reasoning: list[str] = []
        self._texts: list[str] = []
        self._logprobs: list[TokenLogprob] = []
        self._rules = reading_rules(request, target)
        self._splits_reasoning = self._rules is not None and self._rules.splits_reasoning
        self._splitter: ReasoningSplitter | None = None if request.as_text else self._new_splitter()
        self._reasoning_tokens = 0
        self._undecided_tokens = 0  # that may belong to the tag that opens a block of reasoning
        self._calls: CallReader | None = None
        self._has_written = False

    def _new_splitter(self, opened: str | None = None) -> ReasoningSplitter:
        """Return what tells reasoning from text, also where both are passed on as they came: its tokens are counted."""
        if self._rules is None:
            return ReasoningSplitter(opened)
        return ReasoningSplitter(opened, is_mentioned=self._rules.mentions)

    @property
    def refusal(self) -> Failure | None:
        """Return why the model writes no text."""
        if "embeddings" not in self._target.features:
            return None
        return Failure("unsupported", detail=no_chat_message(resolve_folder(self._target.model)))

    def encode(self) -> Payload:
        """Return the prompt."""
        prompt = write_prompt(self._request, self._target)
        # A model whose template takes no tools may write calls of those that a prompt describes.
        described = self._rules.parsed_tools if self._rules is not None else ()
        if tools := offered_tools(self._request, self._target) or described:
            tool_format = format_of(self._target)
            is_required = self._request.tool_choice not in {None, "auto"}
            from_start = bool(described) or is_required or tool_format.is_bare
            quoting = None if is_required else self._request
            self._calls = CallReader(tools, tool_format, quoting, from_start=from_start)
        return prompt

    def decode(self, output: Output) -> Event | None:
        """Return the chunk of an output, or the end of the response."""
        if isinstance(output, TextChunk):
            return self._read(output)
        if isinstance(output, OpenedBlock):
            if self._splitter is not None:
                self._splitter = self._new_splitter(output.tag)
            return None
        if isinstance(output, Finished):
            return self._finish(output)
        return to_failure(output)

    def _read(self, output: TextChunk) -> LLMChunk | None:
        """Split the text of a chunk into reasoning and text; what may be a call of a tool is held back."""
        self._has_written = True
        reasoning, text = "", output.text
        if self._splitter is not None:
            reasoning, text = self._split(self._splitter, output)
        if self._calls is not None and text:
            text = self._calls.feed(text)
        if not self._request.stream:
            self._keep(reasoning, text, output.logprobs)
            return None
        if reasoning or text or output.logprobs:
            self._keep(reasoning, text, ())
            return LLMChunk(text, reasoning, logprobs=output.logprobs)
        # So that no limit for a gap between chunks passes while the text of calls is held.
        return LLMChunk()

    def _split(self, splitter: ReasoningSplitter, output: TextChunk) -> tuple[str, str]:
        """Split the text of a chunk, and count the tokens of reasoning, those of its tags included."""
        was_open = splitter.is_open
        reasoning, text = splitter.feed(output.text)
        self._undecided_tokens += output.tokens
        if was_open or splitter.is_open or reasoning:
            self._reasoning_tokens += self._undecided_tokens
            self._undecided_tokens = 0
        if splitter.decided:
            self._splitter = None
        return (reasoning, text) if self._splits_reasoning else ("", output.text)

    def _keep(self, reasoning: str, text: str, logprobs: tuple[TokenLogprob, ...]) -> None:
        self._logprobs += logprobs
        if reasoning:
            self._reasoning.append(reasoning)
        if text:
            self._texts.append(text)

    def _finish(self, finished: Finished) -> Event:
        reasoning, text, calls = self._read_held(is_cut=finished.finish_reason == "length")
        is_empty = not (calls or text or self._texts)
        if finished.finish_reason == "stop" and is_empty:
            return Failure("empty")
        reason: FinishReason = "tool_calls" if calls and finished.finish_reason == "stop" else finished.finish_reason
        usage = Usage(
            prompt_tokens=finished.prompt_tokens,
            completion_tokens=finished.completion_tokens,
            total_tokens=finished.prompt_tokens + finished.completion_tokens,
            cached_tokens=finished.cached_tokens,
            reasoning_tokens=self._reasoning_tokens,
        )
        if self._request.stream:
            chunk = LLMChunk(text, reasoning, tuple(_chunk_of(index, call) for index, call in enumerate(calls)))
            model, provider = self._target.model, self._target.provider
            return Done(replace(chunk, finish_reason=reason, usage=usage, model=model, provider=provider))
        self._keep(reasoning, text, ())
        return Done(
            LLMResponse(
                content="".join(self._texts),
                model=self._target.model,
                provider=self._target.provider,
                reasoning="".join(self._reasoning) or None,
                tool_calls=tuple(calls),
                finish_reason=reason,
                usage=usage,
                logprobs=tuple(self._logprobs),
            )
        )

    def _read_held(self, *, is_cut: bool) -> tuple[str, str, list[ToolCall]]:
        """Return the reasoning, the text and the calls that were held back until the end."""
        reasoning, text = "", ""
        if self._splitter is not None and self._splits_reasoning:
            reasoning, text = self._splitter.finish()
        if self._calls is None:
            return reasoning, text, []
        text = self._calls.feed(text) if text else ""
        held, calls = self._calls.finish(is_cut=is_cut)
        if effective(self._request, "parallel_tool_calls", self._target) is False:
            del calls[1:]
        return reasoning, text + held, calls


def _chunk_of(index: int, call: ToolCall) -> ToolCallChunk:
    return ToolCallChunk(index, call.id, call.name, call.raw_arguments)
