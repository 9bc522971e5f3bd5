"""What observers are told: legacy callbacks, instrumentation, token counts."""

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

from conformance.llama_index.asking import ask, each_mode, each_stream, user
from conformance.llama_index.fixtures import Bench
from conformance.llama_index.script import USAGE, Refuse, Say
from conformance.llama_index.upstream import KEY

_STARTS = (events.LLMChatStartEvent, events.LLMCompletionStartEvent)
_ENDS = (events.LLMChatEndEvent, events.LLMCompletionEndEvent)
_PROGRESS = (events.LLMChatInProgressEvent, events.LLMCompletionInProgressEvent)


class Watch(BaseCallbackHandler):
    """Keeps the payloads of the LLM's events."""

    def __init__(self) -> None:
        """Watch everything."""
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
        """Traces are not watched."""

    @override
    def end_trace(self, trace_id: str | None = None, trace_map: dict[str, list[str]] | None = None) -> None:
        """Traces are not watched."""


class Listener(BaseEventHandler):
    """Keeps the events of the instrumentation."""

    seen: list[Any] = []  # noqa: RUF012 - a field of a Pydantic model, which copies it

    @classmethod
    @override
    def class_name(cls) -> str:
        return "conformance_listener"

    @override
    def handle(self, event: Any, **kwargs: Any) -> Any:
        self.seen.append(event)

    def count(self, kinds: tuple[type, ...]) -> int:
        """How many there were of these kinds."""
        return sum(isinstance(each, kinds) for each in self.seen)


class Limiter(BaseRateLimiter):
    """Lets everybody pass, and keeps count: whether each was asynchronous."""

    def __init__(self) -> None:
        """Nobody has come yet."""
        self.asked: list[bool] = []

    @override
    def acquire(self, num_tokens: int = 0) -> None:
        self.asked.append(False)

    @override
    async def async_acquire(self, num_tokens: int = 0) -> None:
        self.asked.append(True)


@contextmanager
def listening() -> Iterator[Listener]:
    """Listen to everything that is dispatched meanwhile."""
    listener = Listener(seen=[])
    root = get_dispatcher()
    root.add_event_handler(listener)
    try:
        yield listener
    finally:
        root.event_handlers.remove(listener)


class TestEvents:
    """One call from outside is one event, whatever happens in it."""

    @each_mode
    def test_a_call_starts_and_ends_once(self, bench: Bench, mode: str) -> None:
        """Two pairs count every token twice. Needed by callbacks/token_counting.py."""
        watch = Watch()
        llm, _ = bench.start(Say("Hello."), callback_manager=CallbackManager([watch]))
        ask(llm, mode)
        assert (len(watch.starts), len(watch.ends)) == (1, 1)
        assert watch.ends[0].keys() & {EventPayload.RESPONSE, EventPayload.COMPLETION}

    @each_mode
    def test_a_call_is_dispatched_once(self, bench: Bench, mode: str) -> None:
        """The same for the newer instrumentation. Needed by instrumentation/events/llm.py."""
        llm, _ = bench.start(Say("Hello."))
        with listening() as listener:
            ask(llm, mode)
        assert (listener.count(_STARTS), listener.count(_ENDS)) == (1, 1)

    @each_stream
    def test_every_chunk_is_told(self, bench: Bench, mode: str) -> None:
        """Traces show a stream as it comes. Needed by instrumentation/events/llm.py."""
        llm, _ = bench.start(Say("Hello, how do you do?"))
        with listening() as listener:
            chunks = ask(llm, mode)
        assert listener.count(_PROGRESS) == len(chunks) > 1

    @each_mode
    def test_a_failure_ends_the_event(self, bench: Bench, mode: str) -> None:
        """With the exception in it; an event that never ends breaks the trace. Needed by callbacks/base.py."""
        watch = Watch()
        llm, _ = bench.start(Refuse(400), callback_manager=CallbackManager([watch]))
        with pytest.raises(Exception):  # noqa: B017, PT011 - each LLM has exceptions of its own
            ask(llm, mode)
        assert (len(watch.starts), len(watch.ends)) == (1, 1)
        assert isinstance(watch.ends[0][EventPayload.EXCEPTION], Exception)

    @each_stream
    def test_a_stream_may_be_left_early(self, bench: Bench, mode: str) -> None:
        """Closing it raises nothing, and ends the event. Needed by llms/callbacks.py."""
        watch = Watch()
        llm, _ = bench.start(Say("Hello, how do you do?"), callback_manager=CallbackManager([watch]))
        said: Any = user("Hello.") if "chat" in mode else "Hello."

        async def aleave() -> None:
            stream = await getattr(llm, mode)(said)
            await anext(stream)
            await stream.aclose()

        if mode.startswith("a"):
            asyncio.run(aleave())
        else:
            stream = getattr(llm, mode)(said)
            next(stream)
            stream.close()
        assert (len(watch.starts), len(watch.ends)) == (1, 1)

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
        """Payloads are sent to wherever traces are kept. Needed by base/llms/base.py."""
        watch = Watch()
        llm, _ = bench.start(Say("Hello."), callback_manager=CallbackManager([watch]))
        with listening() as listener:
            ask(llm, mode)
        assert watch.starts
        assert KEY not in str(watch.starts) + str(watch.ends)
        assert KEY not in str([each.model_dump() for each in listener.seen])

    def test_an_exception_does_not_show_the_key(self, bench: Bench) -> None:
        """It is part of an event. Needed by instrumentation/events/exception.py."""
        llm, _ = bench.start(Refuse(401))
        with pytest.raises(Exception) as caught:  # noqa: PT011 - each LLM has exceptions of its own
            ask(llm, "chat")
        assert KEY not in f"{caught.value!s} {caught.value!r}"

    @pytest.mark.parametrize("mode", ["chat", "astream_chat"])
    def test_what_was_asked_is_told(self, bench: Bench, mode: str) -> None:
        """The messages as the caller has them. Needed by callbacks/llama_debug.py."""
        watch = Watch()
        llm, _ = bench.start(Say("Hello."), callback_manager=CallbackManager([watch]))
        messages = user("What was it again?")
        ask(llm, mode, messages)
        assert list(watch.starts[0][EventPayload.MESSAGES]) == messages

    def test_observers_may_come_later(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """``Settings`` sets its callback manager on the LLM at every access. Needed by settings.py."""
        watch = Watch()
        llm, _ = bench.start(Say("Hello."))
        monkeypatch.setattr(Settings, "_callback_manager", CallbackManager([watch]))
        monkeypatch.setattr(Settings, "_llm", llm)
        assert Settings.llm is llm
        ask(Settings.llm, "chat")
        assert len(watch.ends) == 1

    @pytest.mark.parametrize("mode", ["chat", "achat", "stream_complete"])
    def test_an_exhausted_budget_reaches_the_caller(self, bench: Bench, mode: str) -> None:
        """An observer raises it, and it is no failure of the model's. Needed by callbacks/token_counting.py."""
        counter = TokenCountingHandler(tokenizer=str.split, token_budget=1)
        llm, upstream = bench.start(Say("Hello."), callback_manager=CallbackManager([counter]))
        with pytest.raises(ValueError, match="Token budget exceeded"):
            ask(llm, mode)
        assert len(upstream.bodies) == 1

    @pytest.mark.parametrize("mode", ["chat", "acomplete"])
    def test_a_rate_limiter_is_asked(self, bench: Bench, mode: str) -> None:
        """Once for each call. Needed by rate_limiter.py."""
        limiter = Limiter()
        llm, _ = bench.start(Say("Hello."), rate_limiter=limiter)
        ask(llm, mode)
        assert limiter.asked == [mode.startswith("a")]
