"""Values of event loops, which keep no loop alive."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
import weakref
from typing import Any

import pytest

from unified_llm._backends.http.loop_local import LoopLocal


class Value:
    def __init__(self) -> None:
        self.kept: Any = None


def test_each_loop_has_a_value_of_its_own() -> None:
    local, loops = LoopLocal[Value](), [asyncio.new_event_loop() for _ in range(2)]
    values = [Value(), Value()]
    for loop, value in zip(loops, values, strict=True):
        assert local.get(loop) is None
        local.set(loop, value)
    assert [local.get(loop) for loop in loops] == values
    assert dict(local.pairs()) == dict(zip(loops, values, strict=True))
    assert local.pop(loops[0]) is values[0]
    assert local.pop(loops[0]) is None
    assert (local.get(loops[0]), len(local)) == (None, 1)
    for loop in loops:
        loop.close()


def test_a_loop_is_collected_although_its_value_refers_to_it() -> None:
    local, gone = LoopLocal[Value](), list[weakref.ref[asyncio.AbstractEventLoop]]()
    for _ in range(3):
        loop = asyncio.new_event_loop()
        value = Value()
        local.set(loop, value)
        value.kept = loop  # as a generator that has begun does
        gone.append(weakref.ref(loop))
        loop.close()
        del loop, value
    gc.collect()
    assert [reference() for reference in gone] == [None] * 3
    assert (len(local), local.pairs()) == (0, [])


def test_a_value_lives_as_long_as_both_its_owner_and_its_loop() -> None:
    local, loop = LoopLocal[Value](), asyncio.new_event_loop()
    local.set(loop, Value())
    gc.collect()
    value = local.get(loop)
    assert value is not None
    gone = weakref.ref(value)
    del local, value
    gc.collect()
    assert gone() is None
    loop.close()


def test_a_loop_that_takes_no_attributes_has_a_value_as_well() -> None:
    class Bare:
        __slots__ = ("__weakref__",)

    local, loop = LoopLocal[Value](), Bare()
    value = Value()
    local.set(loop, value)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    assert local.get(loop) is value  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    assert local.pop(loop) is value  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


# A loop without descriptors.
make_loop: Any = type("UnusedLoop", (asyncio.AbstractEventLoop,), {})


@pytest.mark.thorough
def test_loops_are_listed_while_other_threads_add_theirs() -> None:
    local, value, ended = LoopLocal[Value](), Value(), threading.Event()

    def add() -> None:
        while not ended.is_set():
            loops = [make_loop() for _ in range(100)]
            for loop in loops:
                local.set(loop, value)

    thread, interval = threading.Thread(target=add), sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    thread.start()
    try:
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            local.pairs()
    finally:
        ended.set()
        sys.setswitchinterval(interval)
        thread.join()
