"""Continuous batch of a chat model: the requests that run together, one token of each at every step.

Only the engine thread may use this module. Each request has its own sampler, stop strings and token count, so that its
answer does not depend on the others in the batch. ``engine`` shows the life of a request.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final, Literal, Protocol, cast

from unified_llm._backends.mlx.engine_types import (
    EngineError,
    EngineRequest,
    Finished,
    OpenedBlock,
    Output,
    Prompt,
    TextChunk,
)
from unified_llm._backends.mlx.loading import Detokenizer, LoadedModel
from unified_llm._backends.mlx.sampling import Processor, Sampler, make_processors, make_sampler
from unified_llm._formats.text_reasoning import opened_tag
from unified_llm._lib.stop_strings import StopFilter

# The most tokens of an answer where neither the caller nor the model's configuration has a limit.
_UNKNOWN_ROOM: Final = 32_768
_PROMPT_END: Final = 16  # tokens: the longest tag of reasoning, and white space


class Response(Protocol):
    """One token of one request, as mlx-lm's generator returns it."""

    uid: int
    token: int
    finish_reason: Literal["stop", "length"] | None


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


@dataclass(slots=True)
class _RunningRequest:
    """A request in the batch, and its state."""

    request: EngineRequest
    detokenizer: Detokenizer
    stops: StopFilter
    prompt_tokens: int
    completion_tokens: int = 0


class Batch:
    """A chat model and its running requests."""

    def __init__(self, loaded: LoadedModel, folder: Path) -> None:
        self._loaded = loaded
        self._folder = folder
        self._running: dict[int, _RunningRequest] = {}
        self._generator = self._new_generator()

    def _new_generator(self) -> Generator:
        from mlx_lm.generate import BatchGenerator

        ends = [[token] for token in self._loaded.tokenizer.eos_token_ids]
        return cast("Generator", BatchGenerator(self._loaded.model, stop_tokens=ends))

    def serve(self, queue: SimpleQueue[EngineRequest | None]) -> None:
        """Admit requests and write answers until None comes through the queue."""
        try:
            while self._admit(queue):
                if self._running:
                    self._step()
        finally:
            closed = EngineError("server", f"The engine of the model in {self._folder} was closed during the answer.")
            self._fail_all(closed)
            self._generator.close()

    def _admit(self, queue: SimpleQueue[EngineRequest | None]) -> bool:
        """Empty the queue, blocking only while nothing runs; return False when the engine is to end."""
        while True:
            try:
                request = queue.get(block=not self._running)
            except Empty:
                return True
            if request is None:
                return False
            if request.cancelled:
                self._remove(request)
                continue
            try:
                self._insert(request)
            except EngineError as error:
                request.deliver(error)

    def _insert(self, request: EngineRequest) -> None:
        prompt, tokenizer = request.payload, self._loaded.tokenizer
        if not isinstance(prompt, Prompt):
            message = f"The model in {self._folder} writes text and makes no embeddings: use an embedding model."
            raise EngineError("unsupported", message)
        try:
            ids = list(tokenizer.apply_chat_template(list(prompt.messages), add_generation_prompt=True))
        except Exception as error:
            message = f"The chat template of the model in {self._folder} refused the messages ({type(error).__name__})."
            # A role, or an order of roles, that other templates accept: the next target may.
            raise EngineError("unsupported", f"{message[:-1]}: use another model, or other roles.") from error
        windows = [window for window in (self._loaded.window, prompt.window) if window is not None]
        room = min(windows, default=len(ids) + _UNKNOWN_ROOM) - len(ids)
        if room < 1:
            window = min(windows)
            message = f"The prompt has {len(ids)} tokens and the model reads {window}: shorten it."
            raise EngineError("context", message, context_window=window)
        limit = room if prompt.max_tokens is None else min(room, prompt.max_tokens)
        try:
            sampler, processors = make_sampler(prompt.sampling), make_processors(prompt, self._loaded, ids)
            samplers = None if sampler is None else [sampler]
            (uid,) = self._generator.insert([ids], [limit], samplers=samplers, logits_processors=[processors])
        except (TypeError, ValueError) as error:
            # The library's message is left out: it could quote the prompt.
            message = f"MLX refused the request ({type(error).__name__}): check its sampling fields and max_tokens."
            raise EngineError("bad_request", message) from error
        # Whether the template has begun a block of reasoning for the model decides how its answer is read.
        if (tag := opened_tag(tokenizer.decode(ids[-_PROMPT_END:]))) is not None:
            request.deliver(OpenedBlock(tag))
        self._running[uid] = _RunningRequest(request, tokenizer.detokenizer, StopFilter(prompt.stop), len(ids))

    def _remove(self, request: EngineRequest) -> None:
        for uid in [uid for uid, running in self._running.items() if running.request is request]:
            self._drop(uid)

    def _drop(self, uid: int) -> None:
        """Remove a request from the batch; harmless if the generator has removed it already."""
        del self._running[uid]
        self._generator.remove([uid])

    def _step(self) -> None:
        """Write one token of every answer."""
        try:
            _, responses = self._generator.next()
        except Exception as error:  # noqa: BLE001 - out of memory, for example; the next request may be smaller
            self._fail_all(self._server_error(error))
            self._generator = self._new_generator()
            return
        for response in responses:
            if running := self._running.get(response.uid):
                try:
                    self._write(running, response)
                except Exception as error:  # noqa: BLE001 - one answer that cannot be decoded must not end the others
                    self._drop(response.uid)
                    running.request.deliver(self._server_error(error))

    def _write(self, running: _RunningRequest, response: Response) -> None:
        """Deliver the text of one token, and the end of the answer if it is the last."""
        ended = response.finish_reason
        if ended != "stop":  # the token that ends a turn is no text
            running.completion_tokens += 1
            running.detokenizer.add_token(response.token)
        if ended:
            running.detokenizer.finalize()
        text = running.stops.feed(running.detokenizer.last_segment)
        if running.stops.stopped:
            ended = "stop"
        elif ended:
            text += running.stops.flush()
        outputs: list[Output] = [TextChunk(text)] if text else []
        if ended:
            outputs.append(Finished(ended, running.prompt_tokens, running.completion_tokens))
        delivered = all(running.request.deliver(output) for output in outputs)
        if ended or not delivered:
            self._drop(response.uid)

    def _server_error(self, error: Exception) -> EngineError:
        return EngineError("server", f"The model in {self._folder} failed ({type(error).__name__}).")

    def _fail_all(self, error: EngineError) -> None:
        for running in self._running.values():
            running.request.deliver(error)
        self._running.clear()
