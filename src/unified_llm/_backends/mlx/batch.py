"""The requests that run together on one model.

Only the engine thread may touch anything here. Each request keeps its own draw, stop strings and count, so that what
one is answered does not depend on the others.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Literal, Protocol, cast

from unified_llm._backends.mlx.engine_types import EngineError, Finished, Output, TextChunk, Prompt, EngineRequest
from unified_llm._backends.mlx.loading import Detokenizer, LoadedModel
from unified_llm._backends.mlx.stop_strings import StopFilter

if TYPE_CHECKING:
    import mlx.core as mx


class Response(Protocol):
    """One token of one request, as mlx-lm's generator tells of it."""

    uid: int
    token: int
    finish_reason: Literal["stop", "length"] | None


class Generator(Protocol):
    """What mlx-lm's ``BatchGenerator`` offers, as far as it is used here."""

    def insert(
        self,
        prompts: list[list[int]],
        max_tokens: list[int],
        *,
        samplers: list[Callable[[mx.array], mx.array]] | None,
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
        """Give back what was reserved on the device."""
        ...


@dataclass(slots=True)
class _Row:
    """A request in the running batch."""

    ticket: EngineRequest
    detokenizer: Detokenizer
    stops: StopFilter
    prompt_tokens: int
    completion_tokens: int = 0


class Batch:
    """A model and its running requests."""

    def __init__(self, loaded: LoadedModel, folder: Path) -> None:
        self._loaded = loaded
        self._folder = folder
        self._rows: dict[int, _Row] = {}
        self._generator = self._new_generator()

    def _new_generator(self) -> Generator:
        from mlx_lm.generate import BatchGenerator

        ends = [[token] for token in self._loaded.tokenizer.eos_token_ids]
        return cast("Generator", BatchGenerator(self._loaded.model, stop_tokens=ends))

    def serve(self, queue: SimpleQueue[EngineRequest | None]) -> None:
        """Take requests and write answers until None comes through the queue."""
        try:
            while self._admit(queue):
                if self._rows:
                    self._step()
        finally:
            closed = EngineError("server", f"The engine of the model in {self._folder} was closed during the answer.")
            self._fail(closed)
            self._generator.close()

    def _admit(self, queue: SimpleQueue[EngineRequest | None]) -> bool:
        """Take what is in the queue, waiting for something only while nothing runs; tell whether to go on."""
        while True:
            try:
                ticket = queue.get(block=not self._rows)
            except Empty:
                return True
            if ticket is None:
                return False
            if ticket.cancelled:
                self._remove(ticket)
                continue
            try:
                self._insert(ticket)
            except EngineError as error:
                ticket.deliver(error)

    def _insert(self, ticket: EngineRequest) -> None:
        prompt, tokenizer = ticket.prompt, self._loaded.tokenizer
        if not isinstance(prompt, Prompt):
            message = f"The model in {self._folder} writes text and makes no embeddings: use an embedding model."
            raise EngineError("unsupported", message)
        try:
            ids = list(tokenizer.apply_chat_template(list(prompt.messages), add_generation_prompt=True))
        except Exception as error:
            message = f"The chat template of the model in {self._folder} refused the messages ({type(error).__name__})."
            raise EngineError("bad_request", message) from error
        room = (self._loaded.window or len(ids) + prompt.max_tokens) - len(ids)
        if room < 1:
            message = f"The prompt has {len(ids)} tokens and the model reads {self._loaded.window}: shorten it."
            raise EngineError("context", message)
        try:
            draw = _sampler(prompt)
            (uid,) = self._generator.insert(
                [ids], [min(room, prompt.max_tokens)], samplers=None if draw is None else [draw]
            )
        except (TypeError, ValueError) as error:
            # The error's own words are left out: they could quote what they refuse.
            message = f"MLX refused the request ({type(error).__name__}): check its sampling fields and max_tokens."
            raise EngineError("bad_request", message) from error
        self._rows[uid] = _Row(ticket, tokenizer.detokenizer, StopFilter(prompt.stop), len(ids))

    def _remove(self, ticket: EngineRequest) -> None:
        for uid in [uid for uid, row in self._rows.items() if row.ticket is ticket]:
            self._drop(uid)

    def _drop(self, uid: int) -> None:
        """Let go of a request; the generator does not mind when it has done so already."""
        del self._rows[uid]
        self._generator.remove([uid])

    def _step(self) -> None:
        """Write one token of every answer."""
        try:
            _, responses = self._generator.next()
        except Exception as error:  # noqa: BLE001 - out of memory, say; the next request may be smaller
            self._fail(self._failure(error))
            self._generator = self._new_generator()
            return
        for response in responses:
            if row := self._rows.get(response.uid):
                try:
                    self._write(row, response)
                except Exception as error:  # noqa: BLE001 - one answer that cannot be decoded must not end the others
                    self._drop(response.uid)
                    row.ticket.deliver(self._failure(error))

    def _write(self, row: _Row, response: Response) -> None:
        """Hand on the text of one token, and the end of an answer that ends with it."""
        ended = response.finish_reason
        if ended != "stop":  # the token that ends a turn is no text
            row.completion_tokens += 1
            row.detokenizer.add_token(response.token)
        if ended:
            row.detokenizer.finalize()
        text = row.stops.feed(row.detokenizer.last_segment)
        if row.stops.stopped:
            ended = "stop"
        elif ended:
            text += row.stops.flush()
        outputs: list[Output] = [TextChunk(text)] if text else []
        if ended:
            outputs.append(Finished(ended, row.prompt_tokens, row.completion_tokens))
        wanted = all(row.ticket.deliver(output) for output in outputs)
        if ended or not wanted:
            self._drop(response.uid)

    def _failure(self, error: Exception) -> EngineError:
        return EngineError("server", f"The model in {self._folder} failed ({type(error).__name__}).")

    def _fail(self, error: EngineError) -> None:
        for row in self._rows.values():
            row.ticket.deliver(error)
        self._rows.clear()


def _sampler(prompt: Prompt) -> Callable[[mx.array], mx.array] | None:
    """Make the function that draws a token, or None for the greedy choice that a whole batch shares."""
    if prompt.temperature <= 0:
        return None
    import mlx.core as mx
    from mlx_lm.sample_utils import apply_top_p

    # Each request draws with a key of its own: MLX's global seed would couple it to the others in the batch.
    seed = random.getrandbits(63) if prompt.seed is None else prompt.seed % 2**63
    key = mx.random.key(seed)

    def draw(logprobs: mx.array) -> mx.array:
        nonlocal key
        key, now = mx.random.split(key)
        logprobs = logprobs / prompt.temperature
        if 0 < prompt.top_p < 1:
            logprobs = apply_top_p(logprobs, prompt.top_p)
        return mx.random.categorical(logprobs, key=now)

    return draw
