"""What these tests share: a canary that must turn up nowhere, and a world in which foreign models are real."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from tests.support.scripted_targets import AsyncPlayed, Played, World
from unified_llm._core.runtime import current, use

KEY = "sk-canary-1234567890"


@contextmanager
def with_foreign(world: World) -> Iterator[World]:
    """Run a world in which only targets of our own follow the script; model objects of LangChain answer themselves."""
    with world.running():
        runtime = replace(
            current(),
            exchange=lambda ask, target: (
                target.instance.exchange(ask) if target.instance else Played(world, ask, target.name)
            ),
            aexchange=lambda ask, target: (
                target.instance.aexchange(ask) if target.instance else AsyncPlayed(world, ask, target.name)
            ),
        )
        with use(runtime):
            yield world


@contextmanager
def in_real_time(world: World) -> Iterator[World]:
    """The same with the clock on the wall, for threads that know no other."""
    world.clock, world.latency = time.monotonic(), 0.0
    with with_foreign(world), use(replace(current(), now=time.monotonic)):
        yield world
