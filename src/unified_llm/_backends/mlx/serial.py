"""Requests that cannot join the batch: one runs at a time, and the others wait in their order.

They are those with images, a draft model or a quantized key-value cache, and all requests to a model whose caches
cannot be merged. Only the engine thread may use this module. Each step reads a part of a prompt or writes one token,
so that the running request takes turns with the batch::

    step      1            2            3            4            5
    serial    A: read      A: token     A: token     A: end       B: read
    batch     one step     one step     one step     one step     one step
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Hashable, Iterator
from typing import TYPE_CHECKING, Any, cast

from unified_llm._backends.mlx.engine_types import EngineError, EngineRequest, Prompt
from unified_llm._backends.mlx.loading import LoadedModel, prefill_step
from unified_llm._backends.mlx.prefix_cache import Caches, PrefixCache
from unified_llm._backends.mlx.running_request import Ending, RunningRequest
from unified_llm._backends.mlx.sampling import Processor
from unified_llm._backends.mlx.vision import ImagePrompt, VisionModel

if TYPE_CHECKING:
    import mlx.core as mx
    from mlx.nn.layers.base import Module  # pyright: ignore[reportMissingTypeStubs]


class Serial:
    """The requests that run one after the other.

    Args:
        loaded: The model, and its draft model.
        prefixes: Where caches are kept for later prompts.
    """

    def __init__(self, loaded: LoadedModel, prefixes: PrefixCache) -> None:
        self._loaded = loaded
        self._prefixes = prefixes
        self._queue: deque[RunningRequest] = deque()
        self._current: _SerialRun | None = None
        self._quantizes: set[tuple[int, int]] = set()  # bits and sizes of groups that have been tried

    def __len__(self) -> int:
        return len(self._queue) + (self._current is not None)

    def takes(self, prompt: Prompt) -> bool:
        """Return whether a request has to run here."""
        return bool(prompt.images) or bool(prompt.draft_tokens) or prompt.kv_bits is not None or not self._loaded.merges

    def add(self, running: RunningRequest) -> None:
        """Let a request wait for its turn.

        Raises:
            EngineError: The model cannot do what the request wants.
        """
        self._check(running.prompt)
        self._queue.append(running)

    def remove(self, request: EngineRequest) -> None:
        """Take a request out, if it is there."""
        self._queue = deque(running for running in self._queue if running.request is not request)
        if self._current is not None and self._current.running.request is request:
            self._end_current()

    def _check(self, prompt: Prompt) -> None:
        """Refuse what the model cannot do; a quantized cache is tried once with one token."""
        folder = self._loaded.folder
        if prompt.draft_tokens and self._loaded.draft is None:
            raise EngineError("unsupported", f"The model in {folder} was loaded without a draft model: configure one.")
        if prompt.kv_bits is None or (prompt.kv_bits, prompt.kv_group_size) in self._quantizes:
            return
        try:
            caches = new_caches(self._loaded, prompt)
            _read(self._loaded, caches, [0])
        except (NotImplementedError, TypeError, ValueError, RuntimeError) as error:
            message = (
                f"The key-value cache of the model in {folder} cannot be quantized to {prompt.kv_bits} bits in "
                f"groups of {prompt.kv_group_size}: leave out kv_bits, or let the groups divide its heads."
            )
            raise EngineError("unsupported", message) from error
        if not any(hasattr(cache, "bits") for cache in caches):
            message = f"The model in {folder} has no key-value cache that could be quantized: leave out kv_bits."
            raise EngineError("unsupported", message)
        self._quantizes.add((prompt.kv_bits, prompt.kv_group_size))

    def step(self) -> None:
        """Read a part of the current request's prompt, or write its next token."""
        if self._current is None:
            if not self._queue:
                return
            self._current = _SerialRun(self._queue.popleft(), self._loaded, self._prefixes)
        try:
            if self._current.step():
                self._end_current()
        except Exception as error:  # noqa: BLE001 - out of memory, for example; the next request may be smaller
            self._current.running.fail(self._loaded.make_error(error))
            self._end_current(keep=False)

    def _end_current(self, *, keep: bool = True) -> None:
        current, self._current = self._current, None
        if current is not None:
            current.close(keep=keep)

    def fail_all(self, error: EngineError) -> None:
        """End every request with an error."""
        current = () if self._current is None else (self._current.running,)
        for running in (*current, *self._queue):
            running.fail(error)
        self._queue.clear()
        self._end_current()


class _SerialRun:
    """The request that runs: its caches, and mlx-lm's generator of its tokens."""

    def __init__(self, running: RunningRequest, loaded: LoadedModel, prefixes: PrefixCache) -> None:
        self.running = running
        self._loaded = loaded
        self._prefixes = prefixes
        self._caches: Caches = []
        self._written: list[int] = []
        self._steps = self._run()

    @property
    def _kind(self) -> Hashable:
        prompt = self.running.prompt
        return ("serial", self._is_drafted, prompt.kv_bits, prompt.kv_bits and prompt.kv_group_size)

    @property
    def _is_drafted(self) -> bool:
        return bool(self.running.prompt.draft_tokens)

    def step(self) -> bool:
        """Read a part of the prompt, or write a token; return whether the request is over."""
        written = next(self._steps)
        if written is None:
            return False
        running = self.running
        if running.error is not None:
            raise running.error
        token, logprobs = written
        self._written.append(token)
        ending: Ending | None = None
        if token in self._loaded.tokenizer.eos_token_ids:
            ending = "stop"
        elif len(self._written) >= running.max_tokens:
            ending = "length"
        return running.write(token, logprobs, ending)

    def close(self, *, keep: bool) -> None:
        """End the generator.

        Args:
            keep: Whether to keep the caches for later prompts: not after an error, which may have left half of a step.
        """
        self._steps.close()  # it trims the tokens of a draft model that were not accepted
        length = self.running.read_tokens + (len(self._written) + 1 if self._written else 0)
        if keep and self._caches and (not self._is_drafted or _trim_to_shortest(self._caches)):
            tokens = [*self.running.ids, *self._written][: _offset(self._caches[0], length)]
            self._prefixes.put(self._kind, tokens, self._caches)

    def _run(self) -> Generator[tuple[int, mx.array] | None, None, None]:
        """Read the prompt, with None after each part of it, and generate tokens."""
        import mlx.core as mx
        from mlx_lm.generate import generate_step, speculative_generate_step

        running, loaded = self.running, self._loaded
        if loaded.vision is not None and running.images is not None:
            yield from self._run_images(loaded.vision, running.images)
            return
        yield from self._read_prompt()
        before = mx.array(running.ids[:-1], dtype=mx.uint32)
        last = mx.array(running.ids[-1:], dtype=mx.uint32)
        options: dict[str, Any] = {
            "max_tokens": running.max_tokens,
            "sampler": running.sampler,
            "logits_processors": [_with_prompt(processor, before) for processor in running.processors],
            "prompt_cache": self._caches,
        }
        if not self._is_drafted:
            yield from cast("Any", generate_step)(last, loaded.model, **options)
            return
        options["num_draft_tokens"] = running.prompt.draft_tokens
        for token, logprobs, _ in cast("Any", speculative_generate_step)(
            last, loaded.model, cast("Module", loaded.draft), **options
        ):
            yield token, logprobs

    def _run_images(self, vision: VisionModel, prompt: ImagePrompt) -> Iterator[tuple[int, mx.array]]:
        """Read a prompt with images, all of it at once, and generate tokens."""
        running = self.running
        try:
            for written in vision.generate(
                prompt, running.sampler, running.processors, running.max_tokens, most_kept=self._prefixes.max_bytes
            ):
                running.cached_tokens = prompt.cached_tokens
                yield written
        finally:
            self._prefixes.leave_room(vision.kept_bytes)

    def _read_prompt(self) -> Iterator[None]:
        """Read all tokens of the prompt but the last, which the generators want for the first token."""
        import mlx.core as mx

        running = self.running
        known = self._prefixes.take(self._kind, running.ids)
        self._caches, read = known if known is not None else (new_caches(self._loaded, running.prompt), 0)
        running.cached_tokens = running.read_tokens = read
        step = prefill_step()
        while running.read_tokens < len(running.ids) - 1:
            part = running.ids[running.read_tokens : -1][:step]
            _read(self._loaded, self._caches, part)
            mx.clear_cache()
            running.read_tokens += len(part)
            yield None


def new_caches(loaded: LoadedModel, prompt: Prompt) -> Caches:
    """Make the empty caches of a request: those of the model, then those of the draft model."""
    from mlx_lm.models.cache import make_prompt_cache

    networks = [loaded.model, loaded.draft] if prompt.draft_tokens else [loaded.model]
    caches: list[Any] = [cache for network in networks for cache in make_prompt_cache(cast("Module", network))]
    if prompt.kv_bits is None:
        return caches
    # Quantized from the first token on, so that nothing depends on the parts in which a prompt is read.
    return [
        cache.to_quantized(group_size=prompt.kv_group_size, bits=prompt.kv_bits)
        if hasattr(cache, "to_quantized")
        else cache
        for cache in caches
    ]


def _read(loaded: LoadedModel, caches: Caches, tokens: list[int]) -> None:
    """Let the model, and its draft model if there are caches for it, read tokens."""
    import mlx.core as mx

    inputs = mx.array([tokens])
    own = loaded.cache_count
    cast("Any", loaded.model)(inputs, cache=caches[:own])
    if caches[own:]:
        cast("Any", loaded.draft)(inputs, cache=caches[own:])
    mx.eval([cache.state for cache in cast("list[Any]", caches)])


def _with_prompt(processor: Processor, before: mx.array) -> Processor:
    """Show a processor the whole prompt: mlx-lm's generators know of their own input alone."""
    import mlx.core as mx

    return lambda tokens, logits: processor(mx.concatenate([before, tokens]), logits)


def _trim_to_shortest(caches: Caches) -> bool:
    """Trim caches to the same number of tokens; return False where that is not known.

    The draft model may have read one token less than the model.
    """
    if not all(hasattr(cache, "offset") for cache in caches):
        return False
    shortest = min(_offset(cache, 0) for cache in caches)
    for cache in caches:
        cache.trim(_offset(cache, 0) - shortest)
    return True


def _offset(cache: object, default: int) -> int:
    """Return how many tokens a cache holds; caches that do not say so hold all that the model has read."""
    return cast("int", getattr(cache, "offset", default))
