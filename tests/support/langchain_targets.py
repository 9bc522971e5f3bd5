"""A canary key that must appear nowhere, and scripted targets beside wrapped models that are real."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from tests.support.scripted_targets import AsyncPlayed, Played, World
from unified_llm._core.runtime import current, use

KEY = "sk-canary-1234567890"


@contextmanager
def with_wrapped_models(world: World) -> Iterator[World]:
    """Run a world in which our own targets follow the script, and wrapped models are called."""
    with world.running():
        runtime = replace(
            current(),
            exchange=lambda request, target: (
                target.instance.exchange(request) if target.instance else Played(world, request, target.name)
            ),
            aexchange=lambda request, target: (
                target.instance.aexchange(request) if target.instance else AsyncPlayed(world, request, target.name)
            ),
        )
        with use(runtime):
            yield world


@contextmanager
def in_real_time(world: World) -> Iterator[World]:
    """Run the same with real time, for threads that wait."""
    world.clock, world.latency = time.monotonic(), 0.0
    with with_wrapped_models(world), use(replace(current(), now=time.monotonic)):
        yield world
