"""Continuous batch of a chat model: the requests that run together, one token of each at every step.

Only the engine thread may use this module. Each request has its own sampler, processors, stop strings and token count,
so that its answer does not depend on the others in the batch. ``engine`` shows the life of a request.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, cast

from unified_llm._backends.mlx.engine_types import EngineError, EngineRequest
from unified_llm._backends.mlx.loading import LoadedModel
from unified_llm._backends.mlx.running_request import Ending, RunningRequest
from unified_llm._backends.mlx.sampling import Processor, Sampler

if TYPE_CHECKING:
    import mlx.core as mx


class Response(Protocol):
    """One token of one request, as mlx-lm's generator returns it."""

    uid: int
    token: int
    logprobs: mx.array
    finish_reason: Ending | None


class Generator(Protocol):
    """The part of mlx-lm's ``BatchGenerator`` that is used here."""

    def insert(
        self,
        prompts: list[list[int]],
        max_tokens: list[int],
        *,
        samplers: list[Sampler] | None,
        logits_processors: list[list[Processor]],
    ) -> list[int]:
        """Add requests to the batch and return a number for each."""
        ...

    def next(self) -> tuple[object, list[Response]]:
        """Read a part of a prompt, write a token of each answer, or both."""
        ...

    def remove(self, uids: list[int]) -> object:
        """Take requests out of the batch."""
        ...

    def close(self) -> None:
        """Free the memory on the device."""
        ...


class Batch:
    """The requests that run together, and mlx-lm's generator that runs them."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded = loaded
        self._running: dict[int, RunningRequest] = {}
        self._generator = self._new_generator()

    def _new_generator(self) -> Generator:
        from mlx_lm.generate import BatchGenerator

        ends = [[token] for token in self._loaded.tokenizer.eos_token_ids]
        return cast("Generator", BatchGenerator(self._loaded.model, stop_tokens=ends))

    def __len__(self) -> int:
        return len(self._running)

    def add(self, running: RunningRequest) -> None:
        """Let a request join the batch."""
        samplers = None if running.sampler is None else [running.sampler]
        (uid,) = self._generator.insert(
            [running.ids], [running.max_tokens], samplers=samplers, logits_processors=[running.processors]
        )
        self._running[uid] = running

    def remove(self, request: EngineRequest) -> None:
        """Take a request out of the batch, if it is there."""
        for uid in [uid for uid, running in self._running.items() if running.request is request]:
            self._drop(uid)

    def step(self) -> None:
        """Write one token of every answer, and read a part of the prompts of those that have joined."""
        if not self._running:
            return
        try:
            _, responses = self._generator.next()
        except Exception as error:  # noqa: BLE001 - out of memory, for example; the next request may be smaller
            self.fail_all(self._loaded.make_error(error))
            self._generator = self._new_generator()
            return
        for response in responses:
            if (running := self._running.get(response.uid)) is not None:
                with self._contain_errors(response.uid, running):
                    if running.error is not None:
                        raise running.error
                    if running.write(response.token, response.logprobs, response.finish_reason):
                        self._drop(response.uid)

    @contextmanager
    def _contain_errors(self, uid: int, running: RunningRequest) -> Iterator[None]:
        """End a request that fails, and no other."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it was, the caller gets an answer
            self._drop(uid)
            running.fail(self._loaded.make_error(error))

    def _drop(self, uid: int) -> None:
        """Remove a request from the batch; harmless if the generator has removed it already."""
        del self._running[uid]
        self._generator.remove([uid])

    def fail_all(self, error: EngineError) -> None:
        """End every request with an error."""
        for running in self._running.values():
            running.fail(error)
        self._running.clear()

    def close(self) -> None:
        """Free the memory on the device."""
        self._generator.close()
