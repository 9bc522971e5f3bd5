"""Threads of sync models: how many may be left behind."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from itertools import count
from time import monotonic
from typing import Any

import pytest

from unified_llm._backends.objects.exchange import ThreadedAsyncExchange, ThreadExchange
from unified_llm._core.exchange import Event
from unified_llm._core.outcome import Done, Failure
from unified_llm.types.messages import Message
from unified_llm.types.requests import LLMRequest
from unified_llm.types.responses import LLMResponse

REQUEST = LLMRequest((Message.user("Hi"),))
_NUMBERS = count(-1, -1)


class Model:
    """A model that answers when its gate is open."""

    def __init__(self, gate: threading.Event) -> None:
        self.number = next(_NUMBERS)
        self._gate = gate

    def events(self, request: LLMRequest) -> Generator[Event, None, None]:
        self._gate.wait()
        yield Done(LLMResponse("Hi"))

    def aevents(self, request: LLMRequest) -> Any:
        raise NotImplementedError

    def read_failure(self, error: Exception, /) -> Failure | None:
        raise error


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()
    for thread in threads_of_models():  # those that are left would count in the next test
        thread.join()


def threads_of_models() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "unified-llm-model"]


def call_and_leave(model: Model) -> Failure | None:
    exchange = ThreadExchange(model, REQUEST)
    failure = exchange.open(0)
    exchange.close()
    return failure


def test_a_model_that_hangs_leaves_a_bounded_number_of_threads(gate: threading.Event) -> None:
    model, before = Model(gate), len(threads_of_models())
    failures = [call_and_leave(model) for _ in range(60)]
    assert failures[:16] == [None] * 16
    assert {failure.kind if failure else None for failure in failures[16:]} == {"pool"}
    assert len(threads_of_models()) - before == 16
    assert call_and_leave(Model(gate)) is None  # another model is not affected


def test_a_model_that_answers_again_is_called_again(gate: threading.Event) -> None:
    model = Model(gate)
    while call_and_leave(model) is None:
        pass
    gate.set()
    for thread in threads_of_models():
        thread.join()
    exchange = ThreadExchange(model, REQUEST)
    assert exchange.open(0) is None
    assert isinstance(exchange.read(monotonic() + 60), Done)
    exchange.close()


async def test_threads_of_async_callers_count_as_well(gate: threading.Event) -> None:
    model = Model(gate)
    while call_and_leave(model) is None:
        pass
    exchange = ThreadedAsyncExchange(model, REQUEST)
    failure = await exchange.open(0)
    assert failure is not None
    assert failure.kind == "pool"
    await exchange.close()


def test_models_that_hang_leave_a_bounded_number_of_threads_together(gate: threading.Event) -> None:
    before = len(threads_of_models())
    failures = [call_and_leave(Model(gate)) for _ in range(300)]
    assert len(threads_of_models()) - before <= 256
    assert failures[-1] is not None


def test_attempts_that_are_waited_for_are_not_counted(gate: threading.Event) -> None:
    model = Model(gate)
    exchanges = [ThreadExchange(model, REQUEST) for _ in range(40)]
    assert [exchange.open(0) for exchange in exchanges] == [None] * 40
    gate.set()
    assert all(isinstance(exchange.read(monotonic() + 60), Done) for exchange in exchanges)
    for exchange in exchanges:
        exchange.close()
