"""Targets that answer by the prompt, each after so many turns of the event loop; they count what is in flight."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from tests.support.scripted_targets import say
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.runtime import current, use
from unified_llm._core.target import Target
from unified_llm.types import EmbeddingRequest, EmbeddingResponse, LLMResponse


@dataclass
class PromptTargets:
    """Targets in the place of all real ones.

    Attributes:
        answer: Returns the text, or the failure, for a prompt. Of texts to embed: a failure for one that is refused.
        turns: Returns for how many turns of the event loop the response is waited for.
        holds: Returns whether the response is held back for longer.
        asked: Every prompt, or list of texts, in order.
        in_flight: How many exchanges are open; ``most`` is the largest number so far.
    """

    answer: Callable[[str], str | Failure] = str.upper
    turns: Callable[[str], int] = field(default=lambda _: 1)
    holds: Callable[[str], bool] = field(default=lambda _: False)
    asked: list[Any] | deque[Any] = field(default_factory=list[Any])
    in_flight: int = 0
    most: int = 0
    targets: list[str] = field(default_factory=list[str])

    @contextmanager
    def running(self) -> Iterator[PromptTargets]:
        """Replace the connections of this process until the block ends."""
        with use(replace(current(), aexchange=lambda request, target: _Exchange(self, request, target))):
            yield self


class _Exchange:
    def __init__(self, targets: PromptTargets, request: Any, target: Target) -> None:
        self.targets, self.request, self.name = targets, request, f"{target.provider}/{target.model}"

    async def open(self, until: float) -> Failure | None:
        self.targets.in_flight += 1
        self.targets.most = max(self.targets.most, self.targets.in_flight)
        self.targets.targets.append(self.name)
        self.targets.asked.append(self._prompt)
        return None

    @property
    def _prompt(self) -> Any:
        if isinstance(self.request, EmbeddingRequest):
            return list(self.request.texts)
        return self.request.messages[-1].text

    async def read(self, until: float) -> Any:
        prompt = self._prompt
        texts = prompt if isinstance(prompt, list) else [prompt]
        turns = max(self.targets.turns(text) for text in texts)
        for _ in range(turns):
            await asyncio.sleep(0)
        while any(self.targets.holds(text) for text in texts):  # noqa: ASYNC110 - what it waits for has no event
            await asyncio.sleep(0.001)
        answers = [self.targets.answer(text) for text in texts]
        failures = [answer for answer in answers if isinstance(answer, Failure)]
        if failures:
            return failures[0]
        if isinstance(prompt, list):
            return Done(EmbeddingResponse([[float(len(text)), 1.0] for text in texts]), "req-1")
        whole = say(str(answers[0]))[0]
        assert isinstance(whole, LLMResponse)
        provider, _, model = self.name.partition("/")
        return Done(replace(whole, provider=provider, model=model), "req-1")

    async def close(self) -> None:
        self.targets.in_flight -= 1
