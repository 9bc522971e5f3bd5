"""Scripted targets in fake time: the outcomes of attempts as data, for synchronous and asynchronous callers alike.

    world = World({"openai/gpt-5-mini": [Failure("server", 503)], "mlx/demo": [say("Hello")]})
    with world.running():
        ...

Each entry of a target's list is one attempt: a ``Failure`` (refused when opened), or a list of events: strings and
``LLMChunk`` (pieces of a stream), ``Done``, ``Failure``, ``Pause(seconds)``, and exceptions, which are raised. The last
entry is repeated for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from unified_llm._core.outcome import Done, Failure
from unified_llm._core.runtime import Runtime, use
from unified_llm._core.target import Target
from unified_llm.types import (
    EmbeddingRequest,
    EmbeddingResponse,
    LLMChunk,
    LLMRequest,
    LLMResponse,
    ToolCall,
    ToolCallChunk,
    Usage,
)


@dataclass(frozen=True)
class Pause:
    """The target is silent for so many seconds; for ever, if that is infinite."""

    seconds: float = float("inf")


Step: TypeAlias = str | LLMChunk | LLMResponse | Done | Failure | Pause | BaseException
Attempt: TypeAlias = Failure | Sequence[Step]

USAGE = Usage(prompt_tokens=7, completion_tokens=3, total_tokens=10)


def say(text: str, **fields: Any) -> list[Step]:
    """An attempt that answers this text, streamed word by word or whole, as it is asked."""
    return [LLMResponse(**{"content": text, "usage": USAGE, "response_id": "r-1", **fields})]


def call_tool(name: str, arguments: str, identifier: str = "call_1") -> list[Step]:
    """An attempt that answers with one tool call."""
    call = ToolCall.from_text(identifier, name, arguments)
    return [LLMResponse(finish_reason="tool_calls", tool_calls=(call,), usage=USAGE, response_id="r-1")]


def in_chunks(answer: LLMResponse) -> list[Step]:
    """A whole answer as the events of a stream."""
    steps: list[Step] = []
    if answer.reasoning:
        steps.append(LLMChunk(reasoning=answer.reasoning))
    words = answer.content.split(" ")
    steps += [LLMChunk(content=word if last else word + " ") for last, word in _flag_last(words) if word]
    for index, call in enumerate(answer.tool_calls):
        half = len(call.raw_arguments) // 2
        steps.append(LLMChunk(tool_calls=(ToolCallChunk(index, call.id, call.name, call.raw_arguments[:half]),)))
        steps.append(LLMChunk(tool_calls=(ToolCallChunk(index, arguments=call.raw_arguments[half:]),)))
    last = LLMChunk(
        finish_reason=answer.finish_reason,
        usage=answer.usage,
        response_id=answer.response_id,
        model=answer.model or None,
        provider=answer.provider or None,
    )
    return [*steps, Done(last, "req-1")]


def _flag_last(words: Sequence[str]) -> Iterator[tuple[bool, str]]:
    for index, word in enumerate(words):
        yield index == len(words) - 1, word


@dataclass
class World:
    """Targets that follow a script, and a clock that only they and the sleeps of the policy move.

    Attributes:
        scripts: What each target (by name, or by base URL) does, attempt by attempt.
        asked: What was asked of whom, in order.
        open: Exchanges that have not been closed.
        clock: The fake time, in seconds.
        draw: What every random draw gives.
        latency: Seconds that opening an exchange takes.
    """

    scripts: Mapping[str, Sequence[Attempt]]
    asked: list[tuple[str, Any]] = field(default_factory=list)
    open: int = 0
    clock: float = 1000.0
    draw: float = 0.5
    latency: float = 0.01
    slept: list[float] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """Who was asked, in order."""
        return [name for name, _ in self.asked]

    @contextmanager
    def running(self) -> Iterator[World]:
        """Take over clock, chance and connections of this process until the block ends."""
        runtime = Runtime(
            now=lambda: self.clock,
            sleep=self.sleep,
            asleep=self.asleep,
            random=lambda: self.draw,
            exchange=lambda ask, target: Played(self, ask, self.key(target)),
            aexchange=lambda ask, target: AsyncPlayed(self, ask, self.key(target)),
        )
        with use(runtime):
            yield self

    def sleep(self, until: float) -> None:
        self.slept.append(max(0.0, until - self.clock))
        self.clock = max(self.clock, until)

    async def asleep(self, until: float) -> None:
        await asyncio.sleep(0)
        self.sleep(until)

    def key(self, target: Target) -> str:
        """Which script a target follows: that of its name, or of its address where two targets have the same name."""
        return target.base_url if target.base_url in self.scripts else target.name

    def attempt(self, name: str) -> Attempt:
        script = self.scripts[name]
        played = sum(asked == name for asked, _ in self.asked)
        return script[min(played, len(script) - 1)]


class Played:
    """One attempt that follows the script."""

    def __init__(self, world: World, ask: Any, name: str) -> None:
        self.world = world
        self.ask = ask
        self.name = name
        self.steps: list[Any] = []
        self.opened = False
        self.closed = False

    def open(self, until: float) -> Failure | None:
        attempt = self.world.attempt(self.name)
        self.world.asked.append((self.name, self.ask))
        self.world.open += 1
        self.opened = True
        self.world.clock = min(until, self.world.clock + self.world.latency)
        if isinstance(attempt, Failure):
            return attempt
        self.steps = list(attempt)
        return None

    def read(self, until: float) -> Any:
        while True:
            step = self.steps.pop(0) if self.steps else Failure("truncated")
            match step:
                case Pause(seconds):
                    if self.world.clock + seconds >= until:
                        self.world.clock = max(until, self.world.clock)
                        return Failure("timeout")
                    self.world.clock += seconds
                case LLMResponse() if isinstance(self.ask, LLMRequest) and self.ask.stream:
                    self.steps = in_chunks(self._named(step)) + self.steps
                case LLMResponse() if isinstance(self.ask, EmbeddingRequest):
                    return Done(EmbeddingResponse([[1.0, 0.0] for _ in self.ask.texts]), "req-1")
                case LLMResponse():
                    return Done(self._named(step), "req-1")
                case str():
                    return LLMChunk(content=step)
                case BaseException():
                    raise step
                case _:
                    return step

    def _named(self, answer: LLMResponse) -> LLMResponse:
        provider, _, model = self.name.partition("/")
        return replace(answer, model=answer.model or model, provider=answer.provider or provider)

    def close(self) -> None:
        assert not self.closed, "an exchange is closed once"
        self.closed = True
        self.world.open -= self.opened


class AsyncPlayed:
    """The same for asynchronous callers, giving way to other tasks at each step."""

    def __init__(self, world: World, ask: Any, name: str) -> None:
        self.played = Played(world, ask, name)

    async def open(self, until: float) -> Failure | None:
        await asyncio.sleep(0)
        return self.played.open(until)

    async def read(self, until: float) -> Any:
        await asyncio.sleep(0)
        return self.played.read(until)

    async def close(self) -> None:
        self.played.close()


def is_embedding(ask: Any) -> bool:
    """Whether vectors were asked for."""
    return isinstance(ask, EmbeddingRequest)
