"""Continuous batch of a chat model: the requests that run together, one token of each at every step.

Only the engine thread may use this module. Each request has its own sampler, processors, stop strings and token count,
so that its answer does not depend on the others in the batch. ``engine`` shows the life of a request.

What a prompt has in common with an earlier one comes from the prefix cache. What it has in common with one that is
being read right now is read once: the later request waits until the earlier one has read it (``_Waiting``)::

    step           1                      2                     3
    request A      read `document`        read `question A`     first token
    request B      waiting for A          read `question B`     first token
    prefix cache             `document` ──────^
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, cast

from unified_llm._backends.mlx.engine_types import EngineError, EngineRequest
from unified_llm._backends.mlx.loading import LoadedModel, prefill_step
from unified_llm._backends.mlx.prefix_cache import MIN_PREFIX, Caches, PrefixCache, common_prefix
from unified_llm._backends.mlx.running_request import Ending, RunningRequest
from unified_llm._backends.mlx.sampling import Processor, Sampler

if TYPE_CHECKING:
    import mlx.core as mx

KIND: Final = "plain"
"""The kind of the batch's entries in the prefix cache."""
# The fewest tokens in common with a running request for which a new one waits: it begins a step later.
_MIN_SHARED: Final = 64
# A turn ends with what begins the response, which the next turn may not repeat: at most so many tokens.
_TURN_END: Final = 16
_REMEMBERED: Final = 32  # prompts


class Response(Protocol):
    """One token of one request, as mlx-lm's generator returns it; after the last, also the caches and their tokens."""

    uid: int
    token: int
    logprobs: mx.array
    finish_reason: Ending | None
    prompt_cache: Caches | None
    all_tokens: list[int] | None


class Progress(Protocol):
    """Progress of one prompt in a step, as mlx-lm's generator returns it: tokens that were read, of all of them."""

    uid: int
    progress: tuple[int, int]
    end_of_segment: bool
    end_of_prompt: bool


class TokenGenerator(Protocol):
    """The part of mlx-lm's ``BatchGenerator`` that is used here."""

    stream: mx.Stream

    def insert_segments(
        self,
        segments: list[list[list[int]]],
        max_tokens: list[int],
        *,
        caches: list[Caches | None],
        all_tokens: list[list[int]],
        samplers: list[Sampler | None],
        logits_processors: list[list[Processor]],
    ) -> list[int]:
        """Add requests to the batch and return a number for each; a step ends where a segment of a prompt does."""
        ...

    def next(self) -> tuple[list[Progress], list[Response]]:
        """Read a part of a prompt, write a token of each answer, or both."""
        ...

    def extract_cache(self, uids: list[int]) -> dict[int, tuple[Caches, list[int]]]:
        """Return copies of requests' caches, and the tokens that they are of."""
        ...

    def remove(self, uids: list[int]) -> object:
        """Take requests out of the batch."""
        ...

    def close(self) -> None:
        """Free the memory on the device."""
        ...


class _Waiting(NamedTuple):
    """A request that waits until another one has read what their prompts have in common."""

    running: RunningRequest
    reader: RunningRequest
    length: int


class Batch:
    """The requests that run together, and mlx-lm's generator that runs them.

    Args:
        loaded: The model.
        prefixes: Where its caches are kept for later prompts.
    """

    def __init__(self, loaded: LoadedModel, prefixes: PrefixCache) -> None:
        self._loaded = loaded
        self._prefixes = prefixes
        self._new: list[RunningRequest] = []  # since the last step
        self._waiting: list[_Waiting] = []
        self._running: dict[int, RunningRequest] = {}
        self._remembered: deque[list[int]] = deque(maxlen=_REMEMBERED)
        self._generator = self._new_generator()

    def _new_generator(self) -> TokenGenerator:
        from mlx_lm.generate import BatchGenerator

        ends = [[token] for token in self._loaded.tokenizer.eos_token_ids]
        generator = BatchGenerator(self._loaded.model, stop_tokens=ends, prefill_step_size=prefill_step())
        return cast("TokenGenerator", generator)

    def __len__(self) -> int:
        return len(self._new) + len(self._waiting) + len(self._running)

    def add(self, running: RunningRequest) -> None:
        """Let a request join with the next step."""
        self._new.append(running)

    def remove(self, request: EngineRequest) -> None:
        """Take a request out of the batch, if it is there."""
        self._new = [running for running in self._new if running.request is not request]
        self._waiting = [waiting for waiting in self._waiting if waiting.running.request is not request]
        for uid in [uid for uid, running in self._running.items() if running.request is request]:
            self._drop(uid)

    # Joining the batch

    def _join(self) -> None:
        """Put new requests into the generator, and those that have waited long enough."""
        if not (self._new or self._waiting):
            return
        readers = set(self._running.values())
        waiting, self._waiting = self._waiting, []
        for later in waiting:
            if later.reader.read_tokens >= later.length or later.reader not in readers:
                self._new.append(later.running)
            else:
                self._waiting.append(later)
        new, self._new = self._new, []
        for index, running in enumerate(new):
            reader, length = self._find_reader(running)
            if reader is None:
                self._insert(running, new[index + 1 :])
            elif reader.read_tokens >= length:
                self._share(reader)
                self._insert(running, new[index + 1 :])
            else:
                self._waiting.append(_Waiting(running, reader, length))

    def _find_reader(self, running: RunningRequest) -> tuple[RunningRequest | None, int]:
        """Find the running request with most of a prompt that the prefix cache does not have yet.

        Returns:
            The request, None where it is not worth waiting for one, and how many tokens they have in common.
        """
        known = self._prefixes.usable_length(KIND, running.ids)
        best, longest = None, known + _MIN_SHARED - 1
        for reader in self._running.values():
            length = common_prefix(reader.ids, running.ids)
            length = min(length, len(running.ids) - 1, len(reader.ids) - 1)
            if length > longest and (self._loaded.always_trims or self._will_stop_at(reader, length)):
                best, longest = reader, length
        return best, longest

    @staticmethod
    def _will_stop_at(reader: RunningRequest, length: int) -> bool:
        return length in reader.boundaries and reader.read_tokens <= length

    def _insert(self, running: RunningRequest, later: Sequence[RunningRequest]) -> None:
        """Put a request into the generator.

        Args:
            running: The request.
            later: Those that came with it and are put in after it.
        """
        with self._contain_errors(running):
            known = self._prefixes.take(KIND, running.ids)
            caches, read = known if known is not None else (None, 0)
            running.cached_tokens = running.read_tokens = read
            running.boundaries = frozenset() if self._loaded.always_trims else self._boundaries(running, later)
            (uid,) = self._generator.insert_segments(
                [_cut(running.ids, read, running.boundaries)],
                [running.max_tokens],
                caches=[caches],
                all_tokens=[running.ids[:read]],
                samplers=[running.sampler],
                logits_processors=[running.processors],
            )
            self._running[uid] = running

    def _boundaries(self, running: RunningRequest, later: Iterable[RunningRequest]) -> frozenset[int]:
        """Choose where reading a prompt stops, so that caches which cannot be trimmed are kept there.

        That is where other prompts went on in another way (after a system prompt, say), and before the beginning of the
        response.
        """
        others = [*self._remembered, *(other.ids for other in later)]
        shared = {min(common_prefix(other, running.ids), len(running.ids) - 1) for other in others}
        self._remembered.append(running.ids)
        return frozenset(place for place in (*shared, len(running.ids) - _TURN_END) if place >= MIN_PREFIX)

    def _share(self, reader: RunningRequest) -> None:
        """Put what a running request has read so far into the prefix cache."""
        if self._loaded.always_trims:  # others are kept where they stop
            self._keep([uid for uid, running in self._running.items() if running is reader])

    def _keep(self, uids: list[int]) -> None:
        """Put the caches of running requests into the prefix cache; without an effect where nothing was read yet."""
        uids = [uid for uid in uids if self._running[uid].read_tokens >= MIN_PREFIX]
        if uids:
            for caches, tokens in self._generator.extract_cache(uids).values():
                self._put(list(tokens), caches)

    def _put(self, tokens: list[int], caches: Caches) -> None:
        import mlx.core as mx

        with mx.stream(self._generator.stream):
            # Or they would keep the arrays of the whole batch.
            cast("Any", mx).async_eval([cache.state for cache in caches])
        self._prefixes.put(KIND, tokens, caches)

    # One step

    def step(self) -> None:
        """Write one token of every answer, and read a part of the prompts of those that have joined."""
        self._join()
        if not self._running:
            return
        try:
            progress, responses = self._generator.next()
            self._note_progress(progress)
        except Exception as error:  # noqa: BLE001 - out of memory, for example; the next request may be smaller
            self._recover(error)
            return
        for response in responses:
            if (running := self._running.get(response.uid)) is not None:
                with self._contain_errors(running, response.uid):
                    self._write(running, response)

    def _note_progress(self, progress: Iterable[Progress]) -> None:
        for part in progress:
            running = self._running[part.uid]
            running.read_tokens = running.cached_tokens + part.progress[0]
        if not self._loaded.always_trims:
            self._keep([part.uid for part in progress if part.end_of_segment and not part.end_of_prompt])

    def _write(self, running: RunningRequest, response: Response) -> None:
        if running.error is not None:
            raise running.error
        over = running.write(response.token, response.logprobs, response.finish_reason)
        if response.prompt_cache is not None and response.all_tokens is not None:
            del self._running[response.uid]  # the generator has removed it already
            self._put(response.all_tokens, response.prompt_cache)
        elif over:
            self._drop(response.uid)

    @contextmanager
    def _contain_errors(self, running: RunningRequest, uid: int | None = None) -> Generator[None]:
        """End a request that fails, and no other."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it was, the caller gets an answer
            if uid in self._running:
                self._drop(uid)
            running.fail(self._loaded.make_error(error))

    def _drop(self, uid: int) -> None:
        """Remove a request from the generator, and keep what it has read."""
        try:
            self._keep([uid])
        finally:
            del self._running[uid]
            self._generator.remove([uid])

    def _recover(self, error: Exception) -> None:
        """After a step that failed: free what was kept, and begin again with an empty batch."""
        self.fail_all(self._loaded.make_error(error))
        self._prefixes.clear()
        self._generator = self._new_generator()

    def fail_all(self, error: EngineError) -> None:
        """End every request with an error."""
        waiting = (later.running for later in self._waiting)
        for running in (*self._running.values(), *waiting, *self._new):
            running.fail(error)
        self._running.clear()
        self._waiting.clear()
        self._new.clear()

    def close(self) -> None:
        """Free the memory on the device."""
        self._generator.close()


def _cut(ids: list[int], start: int, boundaries: Iterable[int]) -> list[list[int]]:
    """Cut the tokens from ``start`` on into segments that end at the boundaries."""
    places = [start, *sorted(place for place in boundaries if start < place < len(ids)), len(ids)]
    return [ids[begin:end] for begin, end in pairwise(places)]
