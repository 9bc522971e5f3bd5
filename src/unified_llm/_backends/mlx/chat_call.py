"""A chat request to an engine: the request as a prompt, and the engine's outputs as chunks and responses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, cast

from unified_llm._backends.mlx.encoder import no_chat_message
from unified_llm._backends.mlx.engine_calls import to_failure
from unified_llm._backends.mlx.engine_types import Finished, OpenedBlock, Output, Payload, Prompt, TextChunk
from unified_llm._backends.mlx.model_names import resolve_folder
from unified_llm._backends.mlx.request_options import read_options
from unified_llm._backends.mlx.vision_images import images_of, write_content
from unified_llm._core.exchange import Event
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.any_model import TextReader, read_whole, reading_rules, with_accepted_order
from unified_llm._formats.history import with_text_results
from unified_llm._formats.request_fields import NOT_IN_FORMAT, log_dropped, prompt_to_continue
from unified_llm.types.messages import Message
from unified_llm.types.records import Usage
from unified_llm.types.requests import LLMRequest
from unified_llm.types.responses import FinishReason, LLMChunk, LLMResponse

# The default of max_tokens for the demo model, which may never end. Any other model has the rest of its window.
_DEMO_TOKENS: Final = 512


def _prompt(request: LLMRequest, target: Target) -> Prompt:
    def effective(name: str, default: Any) -> Any:
        value = getattr(request, name)
        return target.defaults.get(name, default) if value in (None, ()) else value

    options = read_options(request, target)
    log_dropped(NOT_IN_FORMAT["mlx"], request, target)
    turns = _turns(request, target)
    return Prompt(
        messages=tuple({"role": message.role, "content": write_content(message)} for message in turns),
        images=images_of(turns),
        text=prompt_to_continue(request) if request.as_text else None,
        max_tokens=effective("max_tokens", _DEMO_TOKENS if target.demo else None),
        window=target.context_window,
        template_options=options.template,
        sampling=options.sampling,
        constraint=options.constraint,
        stop=effective("stop", ()),
        draft_tokens=0 if target.mlx.draft_model is None else target.mlx.num_draft_tokens,
        kv_bits=target.mlx.kv_bits,
        kv_group_size=target.mlx.kv_group_size,
    )


def _turns(request: LLMRequest, target: Target) -> Sequence[Message]:
    """Return the conversation in the roles of chat templates; the result of a tool is passed on as the user's."""
    turns = [
        replace(message, role="user", tool_call_id=None) if message.role == "tool" else replace(message, tool_calls=())
        for message in with_text_results(request.messages)
    ]
    return cast(
        "LLMRequest", with_accepted_order(replace(request, messages=tuple(turns)), target, keep_empty=True)
    ).messages


class ChatCall:
    """A chat request."""

    def __init__(self, target: Target, request: LLMRequest) -> None:
        self._target = target
        self._request = request
        self._texts: list[str] = []
        self._rules = reading_rules(request, target)
        self._opened: str | None = None
        self._reader: TextReader | None = None

    @property
    def refusal(self) -> Failure | None:
        """Return why the model writes no text."""
        if "embeddings" not in self._target.features:
            return None
        return Failure("unsupported", detail=no_chat_message(resolve_folder(self._target.model)))

    def encode(self) -> Payload:
        """Return the prompt."""
        return _prompt(self._request, self._target)

    def decode(self, output: Output) -> Event | None:
        """Return the chunk of an output, or the end of the response."""
        if isinstance(output, TextChunk):
            self._texts.append(output.text)
            return self._read(LLMChunk(content=output.text)) if self._request.stream else None
        if isinstance(output, OpenedBlock):
            self._opened = output.tag
            return None
        if isinstance(output, Finished):
            return self._finish(output)
        return to_failure(output)

    def _read(self, chunk: LLMChunk) -> LLMChunk | None:
        if self._rules is None:
            return chunk
        if self._reader is None:
            self._reader = TextReader(self._rules, self._opened)
        return chunk if self._reader.decided else self._reader.read(chunk)

    def _finish(self, finished: Finished) -> Event:
        if not self._texts and finished.finish_reason == "stop":
            return Failure("empty")
        usage = Usage(
            prompt_tokens=finished.prompt_tokens,
            completion_tokens=finished.completion_tokens,
            total_tokens=finished.prompt_tokens + finished.completion_tokens,
            cached_tokens=finished.cached_tokens,
        )
        reason: FinishReason = finished.finish_reason
        if self._request.stream:
            last = LLMChunk(finish_reason=reason, usage=usage, model=self._target.model, provider=self._target.provider)
            return Done(last) if self._reader is None else self._reader.join_end(Done(last))
        done = Done(
            LLMResponse(
                content="".join(self._texts),
                model=self._target.model,
                provider=self._target.provider,
                finish_reason=reason,
                usage=usage,
            )
        )
        return read_whole(done, self._rules, opened=self._opened)
