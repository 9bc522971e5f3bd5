"""A canary key that must appear nowhere, and scripted targets beside wrapped models that are real."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from tests.support.scripted_targets import AsyncScriptedExchange, ScriptedExchange, ScriptedTargets
from unified_llm._core.runtime import current, use

KEY = "sk-canary-1234567890"


@contextmanager
def with_wrapped_models(targets: ScriptedTargets) -> Iterator[ScriptedTargets]:
    """Run scripted targets beside wrapped models, which are called."""
    with targets.running():
        runtime = replace(
            current(),
            exchange=lambda request, target: (
                target.instance.exchange(request)
                if target.instance
                else ScriptedExchange(targets, request, targets.key(target))
            ),
            aexchange=lambda request, target: (
                target.instance.aexchange(request)
                if target.instance
                else AsyncScriptedExchange(targets, request, targets.key(target))
            ),
        )
        with use(runtime):
            yield targets


@contextmanager
def in_real_time(targets: ScriptedTargets) -> Iterator[ScriptedTargets]:
    """Run the same with real time, for threads that wait."""
    targets.clock, targets.latency = time.monotonic(), 0.0
    with with_wrapped_models(targets), use(replace(current(), now=time.monotonic)):
        yield targets
