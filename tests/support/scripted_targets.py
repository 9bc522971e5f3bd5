"""Scripted targets in fake time: the outcome of each attempt as data, for sync and async callers.

    targets = ScriptedTargets({"openai/gpt-5-mini": [Failure("server", 503)], "mlx/demo": [say("Hello")]})
    with targets.running():
        ...

Each entry of a target's list is one attempt: a ``Failure`` (returned when the exchange is opened), or a list of events:
strings and ``LLMChunk`` (chunks of a stream), ``Done``, ``Failure``, ``Pause(seconds)``, and exceptions, which are
raised. The last entry is repeated without end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from unified_llm._core.codec import MediaChunk
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.runtime import Runtime, use
from unified_llm._core.target import Target
from unified_llm.testing._made_up_media import made_up_events
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
from unified_llm.types.requests import FurtherRequest


@dataclass(frozen=True)
class Pause:
    """The target sends nothing for this many seconds; nothing more at all if infinite."""

    seconds: float = float("inf")


Step: TypeAlias = str | MediaChunk | LLMChunk | LLMResponse | Done | Failure | Pause | BaseException
Attempt: TypeAlias = Failure | Sequence[Step]

USAGE = Usage(prompt_tokens=7, completion_tokens=3, total_tokens=10)


def say(text: str, **fields: Any) -> list[Step]:
    """Return an attempt that answers this text: word by word if the request streams, else whole."""
    return [LLMResponse(**{"content": text, "usage": USAGE, "response_id": "r-1", **fields})]


def call_tool(name: str, arguments: str, identifier: str = "call_1") -> list[Step]:
    """Return an attempt that answers with one tool call."""
    call = ToolCall.parse(identifier, name, arguments)
    return [LLMResponse(finish_reason="tool_calls", tool_calls=(call,), usage=USAGE, response_id="r-1")]


def in_chunks(answer: LLMResponse) -> list[Step]:
    """Return the stream events of a whole answer."""
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
class ScriptedTargets:
    """Targets that follow scripts, and a clock that only they and the sleeps of the policy advance.

    Attributes:
        scripts: The attempts of each target, by its provider/model or base URL.
        asked: Every request with the key of its target's script, in order.
        open: Number of exchanges that are open.
        clock: The fake time, in seconds.
        draw: Result of every random draw.
        latency: Seconds that opening an exchange takes.
        slept: Seconds of every sleep of the policy, in order.
        targets: The target of every request, in order.
        models: Loads the models of targets; None where they have none to load.
    """

    scripts: Mapping[str, Sequence[Attempt]]
    asked: list[tuple[str, Any]] = field(default_factory=list)
    open: int = 0
    clock: float = 1000.0
    draw: float = 0.5
    latency: float = 0.01
    slept: list[float] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    models: Any = None

    @property
    def names(self) -> list[str]:
        """Names of the targets that received requests, in order."""
        return [name for name, _ in self.asked]

    @contextmanager
    def running(self) -> Iterator[ScriptedTargets]:
        """Replace clock, random numbers and connections of this process until the block ends."""
        runtime = Runtime(
            now=lambda: self.clock,
            wall=lambda: 1_800_000_000.0 + self.clock,
            sleep=self.sleep,
            asleep=self.asleep,
            random=lambda: self.draw,
            exchange=lambda request, target: ScriptedExchange(self, request, self.key(target)),
            aexchange=lambda request, target: AsyncScriptedExchange(self, request, self.key(target)),
            loader=self.models,
            preloader=self.models,
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
        """Return the key of a target's script: its base URL where targets share a model, else provider/model."""
        self.targets.append(target)
        return target.base_url if target.base_url in self.scripts else f"{target.provider}/{target.model}".rstrip("/")

    def attempt(self, name: str) -> Attempt:
        """Return the attempt that follows those already made on this target."""
        script = self.scripts[name]
        return script[min(self.names.count(name), len(script) - 1)]


class ScriptedExchange:
    """One attempt, which follows its script."""

    def __init__(self, targets: ScriptedTargets, request: Any, name: str) -> None:
        self.targets = targets
        self.request: Any = request
        self.name = name
        self.steps: list[Any] = []
        self.opened = False
        self.closed = False

    def open(self, until: float) -> Failure | None:
        attempt = self.targets.attempt(self.name)
        self.targets.asked.append((self.name, self.request))
        self.targets.open += 1
        self.opened = True
        self.targets.clock = min(until, self.targets.clock + self.targets.latency)
        if isinstance(attempt, Failure):
            return attempt
        self.steps = list(attempt)
        return None

    def read(self, until: float) -> Any:
        while True:
            step = self.steps.pop(0) if self.steps else Failure("truncated")
            match step:
                case Pause(seconds):
                    if self.targets.clock + seconds >= until:
                        self.targets.clock = max(until, self.targets.clock)
                        return Failure("timeout")
                    self.targets.clock += seconds
                case LLMResponse() if isinstance(self.request, LLMRequest) and self.request.stream:
                    self.steps = in_chunks(self._named(step)) + self.steps
                case LLMResponse() if isinstance(self.request, EmbeddingRequest):
                    return Done(EmbeddingResponse([[1.0, 0.0] for _ in self.request.texts]), "req-1")
                case LLMResponse() if isinstance(self.request, FurtherRequest):
                    media: Any = self.request
                    self.steps = [*made_up_events(media, self.targets.targets[-1]), *self.steps]
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
        self.targets.open -= self.opened


class AsyncScriptedExchange:
    """The same for async callers; lets other tasks run before each step."""

    def __init__(self, targets: ScriptedTargets, request: Any, name: str) -> None:
        self.exchange = ScriptedExchange(targets, request, name)

    async def open(self, until: float) -> Failure | None:
        await asyncio.sleep(0)
        return self.exchange.open(until)

    async def read(self, until: float) -> Any:
        await asyncio.sleep(0)
        return self.exchange.read(until)

    async def close(self) -> None:
        self.exchange.close()
