"""What observers receive: legacy callbacks, instrumentation, token counts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from llama_index.core import Settings
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload, TokenCountingHandler
from llama_index.core.callbacks.base_handler import BaseCallbackHandler
from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined] # its public name
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import llm as events
from llama_index.core.rate_limiter import BaseRateLimiter
from typing_extensions import override

from conformance.llama_index.call_modes import ask, each_mode, each_stream, user
from conformance.llama_index.fixtures import Bench
from conformance.llama_index.script import USAGE, Refuse, Say
from conformance.llama_index.upstream import KEY

_STARTS = (events.LLMChatStartEvent, events.LLMCompletionStartEvent)
_ENDS = (events.LLMChatEndEvent, events.LLMCompletionEndEvent)
_PROGRESS = (events.LLMChatInProgressEvent, events.LLMCompletionInProgressEvent)


class CallbackRecorder(BaseCallbackHandler):
    """Records the payloads of the LLM's callback events."""

    def __init__(self) -> None:
        super().__init__([], [])
        self.starts: list[dict[str, Any]] = []
        self.ends: list[dict[str, Any]] = []

    @override
    def on_event_start(
        self,
        event_type: CBEventType,
        payload: dict[str, Any] | None = None,
        event_id: str = "",
        parent_id: str = "",
        **kwargs: Any,
    ) -> str:
        if event_type == CBEventType.LLM:
            self.starts.append(payload or {})
        return event_id

    @override
    def on_event_end(
        self, event_type: CBEventType, payload: dict[str, Any] | None = None, event_id: str = "", **kwargs: Any
    ) -> None:
        if event_type == CBEventType.LLM:
            self.ends.append(payload or {})

    @override
    def start_trace(self, trace_id: str | None = None) -> None:
        """Ignore traces."""

    @override
    def end_trace(self, trace_id: str | None = None, trace_map: dict[str, list[str]] | None = None) -> None:
        """Ignore traces."""


class EventRecorder(BaseEventHandler):
    """Records the events of the instrumentation."""

    seen: list[Any] = []  # noqa: RUF012 - a field of a Pydantic model, which copies it

    @classmethod
    @override
    def class_name(cls) -> str:
        return "conformance_listener"

    @override
    def handle(self, event: Any, **kwargs: Any) -> Any:
        self.seen.append(event)

    def count(self, kinds: tuple[type, ...]) -> int:
        """Count the events of these kinds."""
        return sum(isinstance(event, kinds) for event in self.seen)


class CountingLimiter(BaseRateLimiter):
    """Never limits, and records for each call whether it was async."""

    def __init__(self) -> None:
        self.acquired_async: list[bool] = []

    @override
    def acquire(self, num_tokens: int = 0) -> None:
        self.acquired_async.append(False)

    @override
    async def async_acquire(self, num_tokens: int = 0) -> None:
        self.acquired_async.append(True)


@contextmanager
def record_events() -> Iterator[EventRecorder]:
    """Record all events that are dispatched inside the block."""
    events_seen = EventRecorder(seen=[])
    root = get_dispatcher()
    root.add_event_handler(events_seen)
    try:
        yield events_seen
    finally:
        root.event_handlers.remove(events_seen)


class TestEvents:
    """A call from outside is one event, whatever happens inside it."""

    @each_mode
    def test_a_call_starts_and_ends_once(self, bench: Bench, mode: str) -> None:
        """Two pairs count every token twice. Needed by callbacks/token_counting.py."""
        recorder = CallbackRecorder()
        llm, _ = bench.start(Say("Hello."), callback_manager=CallbackManager([recorder]))
        ask(llm, mode)
        assert (len(recorder.starts), len(recorder.ends)) == (1, 1)
        assert recorder.ends[0].keys() & {EventPayload.RESPONSE, EventPayload.COMPLETION}

    @each_mode
    def test_a_call_is_dispatched_once(self, bench: Bench, mode: str) -> None:
        """The same for the newer instrumentation. Needed by instrumentation/events/llm.py."""
        llm, _ = bench.start(Say("Hello."))
        with record_events() as events_seen:
            ask(llm, mode)
        assert (events_seen.count(_STARTS), events_seen.count(_ENDS)) == (1, 1)

    @each_stream
    def test_every_chunk_is_reported(self, bench: Bench, mode: str) -> None:
        """Traces show the progress of a stream. Needed by instrumentation/events/llm.py."""
        llm, _ = bench.start(Say("Hello, how do you do?"))
        with record_events() as events_seen:
            chunks = ask(llm, mode)
        assert events_seen.count(_PROGRESS) == len(chunks) > 1

    @each_mode
    def test_a_failure_ends_the_event(self, bench: Bench, mode: str) -> None:
        """With the exception; an event that never ends breaks the trace. Needed by callbacks/base.py."""
        recorder = CallbackRecorder()
        llm, _ = bench.start(Refuse(400), callback_manager=CallbackManager([recorder]))
        with pytest.raises(Exception):  # noqa: B017, PT011 - every LLM has its own exceptions
            ask(llm, mode)
        assert (len(recorder.starts), len(recorder.ends)) == (1, 1)
        assert isinstance(recorder.ends[0][EventPayload.EXCEPTION], Exception)

    @each_stream
    def test_a_stream_may_be_left_early(self, bench: Bench, mode: str) -> None:
        """Closing it raises nothing, and ends the event. Needed by llms/callbacks.py."""
        recorder = CallbackRecorder()
        llm, _ = bench.start(Say("Hello, how do you do?"), callback_manager=CallbackManager([recorder]))
        prompt: Any = user("Hello.") if "chat" in mode else "Hello."

        async def aleave() -> None:
            stream = await getattr(llm, mode)(prompt)
            await anext(stream)
            await stream.aclose()

        if mode.startswith("a"):
            asyncio.run(aleave())
        else:
            stream = getattr(llm, mode)(prompt)
            next(stream)
            stream.close()
        assert (len(recorder.starts), len(recorder.ends)) == (1, 1)

    @each_mode
    def test_tokens_are_counted_as_the_provider_counts_them(self, bench: Bench, mode: str) -> None:
        """In ``raw["usage"]``, where the last chunk of a stream has it too. Needed by callbacks/token_counting.py."""
        counter = TokenCountingHandler(tokenizer=str.split)
        llm, _ = bench.start(Say("Hello."), callback_manager=CallbackManager([counter]))
        ask(llm, mode)
        counted = (counter.prompt_llm_token_count, counter.completion_llm_token_count)
        assert counted == (USAGE["prompt_tokens"], USAGE["completion_tokens"])

    @pytest.mark.parametrize("mode", ["chat", "complete", "astream_chat"])
    def test_no_event_holds_the_key(self, bench: Bench, mode: str) -> None:
        """Payloads are sent to the store of traces. Needed by base/llms/base.py."""
        recorder = CallbackRecorder()
        llm, _ = bench.start(Say("Hello."), callback_manager=CallbackManager([recorder]))
        with record_events() as events_seen:
            ask(llm, mode)
        assert recorder.starts
        assert KEY not in str(recorder.starts) + str(recorder.ends)
        assert KEY not in str([event.model_dump() for event in events_seen.seen])

    def test_an_exception_does_not_show_the_key(self, bench: Bench) -> None:
        """It is part of an event. Needed by instrumentation/events/exception.py."""
        llm, _ = bench.start(Refuse(401))
        with pytest.raises(Exception) as caught:  # noqa: PT011 - every LLM has its own exceptions
            ask(llm, "chat")
        assert KEY not in f"{caught.value!s} {caught.value!r}"

    @pytest.mark.parametrize("mode", ["chat", "astream_chat"])
    def test_the_messages_are_reported(self, bench: Bench, mode: str) -> None:
        """As the caller passed them. Needed by callbacks/llama_debug.py."""
        recorder = CallbackRecorder()
        llm, _ = bench.start(Say("Hello."), callback_manager=CallbackManager([recorder]))
        messages = user("What was it again?")
        ask(llm, mode, messages)
        assert list(recorder.starts[0][EventPayload.MESSAGES]) == messages

    def test_observers_may_come_later(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """``Settings`` sets its callback manager on the LLM at every access. Needed by settings.py."""
        recorder = CallbackRecorder()
        llm, _ = bench.start(Say("Hello."))
        monkeypatch.setattr(Settings, "_callback_manager", CallbackManager([recorder]))
        monkeypatch.setattr(Settings, "_llm", llm)
        assert Settings.llm is llm
        ask(Settings.llm, "chat")
        assert len(recorder.ends) == 1

    @pytest.mark.parametrize("mode", ["chat", "achat", "stream_complete"])
    def test_an_exhausted_budget_reaches_the_caller(self, bench: Bench, mode: str) -> None:
        """An observer raises it; it is not a failure of the model. Needed by callbacks/token_counting.py."""
        counter = TokenCountingHandler(tokenizer=str.split, token_budget=1)
        llm, upstream = bench.start(Say("Hello."), callback_manager=CallbackManager([counter]))
        with pytest.raises(ValueError, match="Token budget exceeded"):
            ask(llm, mode)
        assert len(upstream.bodies) == 1

    @pytest.mark.parametrize("mode", ["chat", "acomplete"])
    def test_a_rate_limiter_is_asked(self, bench: Bench, mode: str) -> None:
        """Once for each call. Needed by rate_limiter.py."""
        limiter = CountingLimiter()
        llm, _ = bench.start(Say("Hello."), rate_limiter=limiter)
        ask(llm, mode)
        assert limiter.acquired_async == [mode.startswith("a")]
