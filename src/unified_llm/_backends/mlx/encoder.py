"""An embedding model and its requests, in an engine's thread: texts in, vectors out.

Only the engine thread may use this module. Requests take turns, so that a short request does not wait until a large one
has been encoded; texts of different requests are not mixed, so that the vectors of one do not depend on the others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final, cast

from unified_llm._backends.mlx import unavailable_reason
from unified_llm._backends.mlx.engine_types import Encoded, EngineError, EngineRequest, Texts, UnloadableError
from unified_llm._backends.mlx.loading import has_gpu
from unified_llm._backends.mlx.model_files import check_files, fingerprint, read_object, refuse_change, weight_files
from unified_llm._backends.mlx.model_folder import Recipe, find_problem, read_recipe

if TYPE_CHECKING:
    import mlx.core as mx
    from tokenizers import Tokenizer

    from unified_llm._backends.mlx.bert import Bert, Shape

# Tokens, padding included, that go through the network at once. On a CPU more would be no faster, and a short request,
# a cancellation or the end of the program would wait for them, some seconds with a small model on a slow core.
_TOKENS_PER_STEP: Final = 512
_GPU_FACTOR: Final = 16  # times as many on a GPU


@dataclass(slots=True)
class _Job:
    """A running request: its texts as tokens, the shortest first, and the vectors so far."""

    request: EngineRequest
    rows: list[tuple[int, list[int]]]
    vectors: list[list[float]]
    tokens: int

    def take_rows(self, max_tokens: int) -> list[tuple[int, list[int]]]:
        """Remove and return the next rows, which go through the network together.

        Args:
            max_tokens: The most tokens of all rows, padding included; one text is taken in any case.
        """
        count, longest = 0, 0
        for _, ids in self.rows:
            longest = max(longest, len(ids))
            if count and longest * (count + 1) > max_tokens:
                break
            count += 1
        taken, self.rows = self.rows[:count], self.rows[count:]
        return taken


class Encoder:
    """An embedding model and its running requests, which take turns. The model is loaded at once.

    Args:
        folder: The folder of the model.

    Raises:
        EngineError: MLX is missing, or the folder has no model that can be used.
    """

    def __init__(self, folder: Path) -> None:
        if reason := unavailable_reason() or find_problem(folder):
            raise EngineError("unsupported", reason)
        self._folder = folder
        self._network, self._tokenizer, self._recipe, self._width = _load(folder)
        self._jobs: deque[_Job] = deque()
        self._tokens_per_step = _TOKENS_PER_STEP * (_GPU_FACTOR if has_gpu() else 1)

    @property
    def size(self) -> int:
        """The bytes of the weights."""
        return self._network.size

    def serve(self, queue: SimpleQueue[EngineRequest | None]) -> None:
        """Admit requests and answer them until None comes through the queue."""
        try:
            while self._admit(queue):
                if self._jobs:
                    self._step(self._jobs[0])
                    self._jobs.rotate(-1)
                    self._finish()
        finally:
            closed = EngineError("server", f"The engine of the model in {self._folder} was closed during the answer.")
            for job in self._jobs:
                job.request.deliver(closed)

    def _admit(self, queue: SimpleQueue[EngineRequest | None]) -> bool:
        """Empty the queue, blocking only while nothing runs; return False when the engine is to end."""
        while True:
            try:
                request = queue.get(block=not self._jobs)
            except Empty:
                return True
            if request is None:
                return False
            if request.cancelled:
                self._jobs = deque(job for job in self._jobs if job.request is not request)
                continue
            try:
                self._jobs.append(self._make_job(request))
            except EngineError as error:
                request.deliver(error)

    def _make_job(self, request: EngineRequest) -> _Job:
        texts = request.payload
        if not isinstance(texts, Texts):
            raise EngineError("unsupported", no_chat_message(self._folder))
        if texts.dimensions not in {None, self._width}:
            message = f"The model in {self._folder} makes vectors of {self._width} numbers: leave out dimensions."
            raise EngineError("unsupported", message)
        try:
            encodings = self._tokenizer.encode_batch(list(self._prepare(texts)))
        except Exception as error:
            message = f"The tokenizer of the model in {self._folder} refused a text ({type(error).__name__})."
            raise EngineError("bad_request", message) from error
        if not all(encoding.ids for encoding in encodings):
            raise EngineError("bad_request", "A text has no tokens: leave out empty texts.")
        rows = sorted(((index, encoding.ids) for index, encoding in enumerate(encodings)), key=lambda row: len(row[1]))
        return _Job(request, rows, [[] for _ in rows], sum(len(ids) for _, ids in rows))

    def _prepare(self, texts: Texts) -> Iterator[str]:
        prefix = self._recipe.prefixes.get(texts.purpose or "", "")
        for text in texts.texts:
            yield (prefix + text).lower() if self._recipe.lowercase else prefix + text

    def _step(self, job: _Job) -> None:
        """Encode the next texts of a request."""
        rows = job.take_rows(self._tokens_per_step)
        try:
            vectors = self._encode([ids for _, ids in rows])
        except Exception as error:  # noqa: BLE001 - out of memory, for example; the next request may be smaller
            job.rows.clear()
            job.vectors.clear()
            job.request.deliver(EngineError("server", f"The model in {self._folder} failed ({type(error).__name__})."))
            return
        for (index, _), vector in zip(rows, vectors, strict=True):
            job.vectors[index] = vector

    def _finish(self) -> None:
        """Deliver the vectors of the request that has just had its turn, if they are complete."""
        job = self._jobs[-1]
        if job.rows:
            return
        self._jobs.pop()
        if job.vectors:
            job.request.deliver(Encoded(job.vectors, job.tokens))

    def _encode(self, rows: Sequence[Sequence[int]]) -> list[list[float]]:
        import mlx.core as mx

        longest = max(len(ids) for ids in rows)
        tokens = mx.array([[*ids, *[0] * (longest - len(ids))] for ids in rows])
        mask = mx.array([[column < len(ids) for column in range(longest)] for ids in rows])
        return cast("list[list[float]]", self._pool(self._network(tokens, mask), mask).tolist())

    def _pool(self, hidden: mx.array, mask: mx.array) -> mx.array:
        import mlx.core as mx

        if self._recipe.pools_first_token:
            pooled = hidden[:, 0]
        else:
            weights = mask[:, :, None]
            pooled = (hidden * weights).sum(axis=1) / weights.sum(axis=1)
        if not self._recipe.normalise:
            return pooled
        return pooled / mx.maximum(mx.linalg.norm(pooled, axis=1, keepdims=True), 1e-12)


def no_chat_message(folder: Path) -> str:
    """Write the error message for a prompt to an embedding model."""
    return f"The model in {folder} makes embeddings and writes no text: use another model for chat."


def _load(folder: Path) -> tuple[Bert, Tokenizer, Recipe, int]:
    """Load the network, the tokenizer and the pooling recipe; also return the length of the vectors."""
    import mlx.core as mx

    from unified_llm._backends.mlx.bert import Bert, Shape, VariantError

    files = fingerprint(folder)
    check_files(folder)
    try:
        shape = Shape.read(read_object(folder / "config.json"))
        recipe = read_recipe(folder, shape.positions)
        tokenizer = _load_tokenizer(folder, shape, recipe)
        weights: dict[str, mx.array] = {}
        for path in weight_files(folder):
            weights |= cast("dict[str, mx.array]", mx.load(str(path)))
        network = Bert(shape, weights)
    except VariantError as error:
        raise UnloadableError(f"The model in {folder} cannot run here, since {error}: use another.") from None
    except EngineError:
        raise
    except Exception as error:
        # The library's message is left out: it may quote the files.
        message = f"The model in {folder} could not be loaded ({type(error).__name__}): check that its files are whole."
        raise UnloadableError(message) from error
    refuse_change(folder, files)
    return network, tokenizer, recipe, shape.width


def _load_tokenizer(folder: Path, shape: Shape, recipe: Recipe) -> Tokenizer:
    from tokenizers import Tokenizer

    from unified_llm._backends.mlx.bert import VariantError

    tokenizer: Tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    if tokenizer.get_vocab_size() > shape.vocabulary:
        raise VariantError("its tokenizer has more tokens than its network knows")
    tokenizer.no_padding()  # padding and truncation in the file are those of its training
    tokenizer.enable_truncation(recipe.max_tokens)
    return tokenizer
