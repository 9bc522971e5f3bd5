"""Runs of requests in batches of a fake provider, in fake time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from integration_tests.fakes.batch_services import (
    KEY,
    AnthropicBatches,
    BatchFake,
    BrokenConnectionError,
    GeminiBatches,
    MistralBatches,
    OpenAIBatches,
)
from unified_llm import LLMClient
from unified_llm._client import read_request
from unified_llm._core import runtime
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.runtime import Runtime
from unified_llm._core.target import Target
from unified_llm._formats.codecs import codec_for
from unified_llm._lib import bounded_json
from unified_llm.batch._services.journal import Journal
from unified_llm.batch._services.service import BatchService, ServiceOutcome
from unified_llm.types.records import Usage
from unified_llm.types.requests import EmbeddingRequest, LLMRequest
from unified_llm.types.responses import LLMResponse

MODELS = {
    "openai/gpt-5-mini": OpenAIBatches,
    "mistral/mistral-small-latest": MistralBatches,
    "anthropic/claude-haiku-4-5": AnthropicBatches,
    "gemini/gemini-2.5-flash": GeminiBatches,
}


def text_of_entry(body: Any) -> str:
    """Return the prompt of an entry, in any format."""
    match body:
        case {"messages": [*_, {"content": str(text)}]} | {"contents": [*_, {"parts": [{"text": text}, *_]}]}:
            return str(text)
        case {"messages": [*_, {"content": [{"text": text}, *_]}]} | {"input": text}:
            return str(text)
        case _:
            raise AssertionError(body)


def reply_to(model: str, body: Any) -> Any:
    """Return the body of a response that echoes a prompt, in the format of a provider."""
    if "input" in body:
        texts = body["input"]
        return {"object": "list", "data": [{"index": index, "embedding": [1.0, 0.5]} for index in range(len(texts))]}
    if "prompt" in body:
        prompts = body["prompt"] if isinstance(body["prompt"], list) else [body["prompt"]]
        choices = [{"index": index, "text": f"echo {text}", "logprobs": None} for index, text in enumerate(prompts)]
        return {"id": "c", "object": "text_completion", "created": 1, "model": "m", "choices": choices}
    text = f"echo {text_of_entry(body)}"
    if model.startswith("anthropic"):
        return {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "end_turn",
            "stop_sequence": None, "content": [{"type": "text", "text": text, "citations": None}],
            "usage": {"input_tokens": 3, "output_tokens": 2},
        }  # fmt: skip
    if model.startswith("gemini"):
        return {"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP"}]}
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }  # fmt: skip


def error_of(model: str, status: int) -> Any:
    """Return the body of an error, in the format of a provider."""
    kinds = {400: "invalid_request_error", 429: "rate_limit_error"}
    if model.startswith("anthropic"):
        return {"type": "error", "error": {"type": kinds.get(status, "api_error"), "message": "no"}, "request_id": "r"}
    if model.startswith("gemini"):
        return {"error": {"code": {400: 3, 429: 8}.get(status, 13), "message": "no"}}
    return {"error": {"message": "no", "type": kinds.get(status, "server_error"), "code": None}}


@dataclass(frozen=True)
class Line:
    """A request of the input."""

    position: int
    key: str
    request: LLMRequest | EmbeddingRequest
    client: LLMClient

    @property
    def fingerprint(self) -> str:
        return str(
            self.request.texts if isinstance(self.request, EmbeddingRequest) else self.request.messages[0].content
        )


def chat_lines(model: str, *prompts: str, client: LLMClient | None = None, **fields: Any) -> list[Line]:
    """Return lines with chats."""
    client = client or LLMClient(model, api_key=KEY, max_retries=1)
    return [
        Line(position, f"key-{position}", read_request.chat(prompt, fields), client)
        for position, prompt in enumerate(prompts)
    ]


@dataclass
class MemoryWork:
    """Input and output in memory."""

    given: list[Line]
    stored: dict[str, Any] = field(default_factory=dict)
    late: list[tuple[str, Any]] = field(default_factory=list)

    def lines(self, start: int = 0) -> Iterable[Line]:
        return iter(self.given[start:])

    def is_finished(self, line: Any) -> bool:
        return line.key in self.stored

    def store(self, line: Any, response: Any) -> None:
        assert line.key not in self.stored, "stored twice"
        self.stored[line.key] = response

    def flush(self) -> None:
        pass

    def store_late(self, line: Any, response: Any) -> None:
        self.late.append((line.key, response))

    @property
    def texts(self) -> dict[str, str]:
        return {key: response.content for key, response in self.stored.items()}


class KilledError(BaseException):
    """The process ends here, as by SIGKILL: nothing is caught."""


@dataclass
class ServiceWorld:
    """A fake provider, a clock, and the files of a run.

    Attributes:
        model: The model of the client.
        folder: Where the files are.
        clock: Seconds since the epoch.
        notes: What the runs have noted.
        called: The targets of calls outside of batches.
        kill_at: Called with each route before it is sent; raises ``KilledError`` where the process ends.
        kill_after: The same after it was carried out.
    """

    model: str
    folder: Path
    clock: float = 1_800_000_000.0
    notes: list[str] = field(default_factory=list)
    called: list[str] = field(default_factory=list)
    kill_at: Callable[[str], bool] = lambda _: False
    kill_after: Callable[[str], bool] = lambda _: False
    provider: BatchFake = field(init=False)

    def __post_init__(self) -> None:
        self.provider = MODELS[self.model](lambda: self.clock, answer=lambda body: (200, reply_to(self.model, body)))

    def work(self, *prompts: str, **fields: Any) -> MemoryWork:
        """Return a run over chats with its model."""
        return MemoryWork(chat_lines(self.model, *prompts, **fields))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Replace clock and connections until the block ends."""
        with runtime.use(
            Runtime(
                now=lambda: self.clock,
                wall=lambda: self.clock,
                sleep=self.sleep,
                asleep=self.asleep,
                random=lambda: 0.5,
                exchange=lambda request, target: _Exchange(self, request, target),
                aexchange=lambda request, target: _AsyncExchange(_Exchange(self, request, target)),
            )
        ):
            yield

    def sleep(self, until: float) -> None:
        self.clock = max(self.clock, until)

    async def asleep(self, until: float) -> None:
        await asyncio.sleep(0)
        self.sleep(until)

    def run(
        self,
        work: MemoryWork,
        *,
        deadline: float | None = None,
        late: bool = False,
    ) -> ServiceOutcome:
        """Run the requests of ``work``; with ``late``, look at what was left afterwards."""
        journal = Journal(self.folder / "out.batches.jsonl", fsync=False)
        with self.running():
            journal.open()
            try:
                service = BatchService(work, journal, deadline=deadline, note=self.notes.append)
                outcome = service.run()
                if late:
                    service.collect_late()
                return outcome
            finally:
                journal.close()


class _Exchange:
    """An exchange with the fake, in the format of the target."""

    def __init__(self, world: ServiceWorld, request: Any, target: Target) -> None:
        self._world, self._request, self._target = world, request, target
        self._outcome: Done | Failure = Failure("connection")

    def open(self, until: float) -> Failure | None:
        del until
        if isinstance(self._request, LLMRequest):  # a call, by any target
            self._world.called.append(self._target.name)
            text = f"call {self._request.messages[-1].content}"
            self._outcome = Done(LLMResponse(text, finish_reason="stop", usage=Usage(1, 1, 2)))
            return None
        world, codec = self._world, codec_for(self._target.format)
        wire = codec.encode(self._request, self._target)
        kind = type(self._request).__name__
        if world.kill_at(kind):
            raise KilledError(kind)
        headers = {name.lower(): value for name, value in wire.headers}
        try:
            status, _, body = world.provider.serve(wire.method, wire.url, headers, wire.body)
        except BrokenConnectionError:
            return None
        if world.kill_after(kind):
            raise KilledError(kind)
        if status != 200:
            self._outcome = codec.failure(status, {}, body, self._target)
        else:
            parsed = body if wire.returns == "bytes" else bounded_json.parse_lenient(body)
            self._outcome = codec.decode(self._request, self._target, parsed)
        return None

    def read(self, until: float) -> Done | Failure:
        del until
        return self._outcome

    def close(self) -> None:
        pass


class _AsyncExchange:
    def __init__(self, exchange: _Exchange) -> None:
        self._exchange = exchange

    async def open(self, until: float) -> Failure | None:
        return self._exchange.open(until)

    async def read(self, until: float) -> Done | Failure:
        return self._exchange.read(until)

    async def close(self) -> None:
        pass
