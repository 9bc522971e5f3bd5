"""Lines of a batch on a Ray cluster: its workers send them, and this process stores the answers.

    this process                                          worker 1                          worker 2
    read lines, look into the checkpoint
    wait until a worker runs  <----------------------   runs                              waits for a processor
    the next 100 that have no answer  ---------------->   send them, 20 at once             the same
    store each answer, show totals  <------------------   each answer, as soon as it comes

A worker that has no processor gets no lines: where the cluster is full, the others send all of them. Where a worker
ends, Ray starts it again, and those of its lines that have no answer yet go to the workers once more: at most those are
sent twice that it had in flight, or whose answers it had not delivered yet.
"""

from __future__ import annotations

import signal
import socket
import threading
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias, cast

from unified_llm._client.checkpoints import keep
from unified_llm._client.map.options import RunOptions, read_options
from unified_llm._client.map.run import MapRun
from unified_llm._client.map.tally import Finished, Tally
from unified_llm._client.map.work import Item
from unified_llm._core import runtime
from unified_llm._core.repeated_warnings import warn_once
from unified_llm._lib.checkpoint import Checkpoint
from unified_llm._state import sharing
from unified_llm.batch._calls import Calls
from unified_llm.batch._lines import BatchLine, Line
from unified_llm.batch._work import LineWork
from unified_llm.exceptions import ConfigurationError, LLMError
from unified_llm.types.map_results import MapResult, MapTotals

if TYPE_CHECKING:
    from unified_llm.batch._calls import CallArguments

_LINES_AT_ONCE: Final = 100
# So that a worker has the next lines when it has answered the last ones.
_CHUNKS_AT_ONCE: Final = 2
# A worker waits for responses: several share a processor.
_CPUS: Final = 0.25
# Ends of workers in a row, without an answer between them, after which the run ends.
_MOST_ENDS: Final = 6
# Seconds after which it is said that no worker runs.
_SLOW_START: Final = 60.0
_CATCH_UP: Final = 2.0
_CONNECT_SECONDS: Final = 5.0

_Answer: TypeAlias = "tuple[int, Finished[Any], dict[str, Any] | None]"
"""The number of a line, its result, and what the checkpoint is to have of it."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where the workers run.

    Attributes:
        address: The address of a cluster; None: that of ``RAY_ADDRESS``, else one that is started on this machine.
        workers: How many there are.
    """

    address: str | None = None
    workers: int = 2


class _Records:
    """Stands for the checkpoint in a worker: keeps what is to be stored until it is sent."""

    def __init__(self) -> None:
        self.by_key: dict[str, dict[str, Any]] = {}

    def get(self, key: str, fingerprint: str) -> None:
        """Find nothing: what has an answer is not sent to a worker."""

    def put(self, key: str, fingerprint: str, record: Mapping[str, Any]) -> None:
        """Keep a record."""
        del fingerprint
        self.by_key[key] = dict(record)


class _SentLines(LineWork):
    """Lines in a worker, with all that is known of their calls."""

    def __init__(self, calls: Calls) -> None:
        self.records = _Records()
        self.finished: dict[int, Finished[Any]] = {}
        super().__init__(calls, cast("Checkpoint", self.records))

    async def _send(self, items: Sequence[Item]) -> list[Finished[Any]]:
        results = await super()._send(items)
        self.finished |= {finished.result.index: finished for finished in results}
        return results


class LineWorker:
    """An actor that answers lines. It makes its clients when it gets the first ones, with keys of its environment."""

    def __init__(self, arguments: CallArguments, concurrency: int) -> None:
        self._arguments, self._concurrency = arguments, concurrency
        self._calls: Calls | None = None

    def start(self) -> None:
        """Return when this worker runs, and so can have lines.

        Raises:
            ConfigurationError: It lacks a key or a package.
        """
        self._open()

    def answer(self, lines: Sequence[tuple[int, BatchLine]]) -> Iterator[_Answer]:
        """Yield the answers as they come."""
        work = _SentLines(self._open())
        options = read_options(
            None, concurrency=self._concurrency, ordered=False, progress=False,
            checkpoint=None, on_error="value", max_failed=None,
        )  # fmt: skip
        with MapRun(work, iter([line for _, line in lines]), options, close_loop=_nothing) as run:
            for result in run:
                error = result.error
                finished = work.finished.pop(result.index, None) or Finished(result, error.attempts if error else ())
                yield lines[result.index][0], finished, work.records.by_key.pop(result.custom_id or "", None)

    def _open(self) -> Calls:
        if self._calls is None:
            sharing.catch_up(_CATCH_UP)
            self._calls = Calls.of(self._arguments)
        return self._calls


async def _nothing() -> None:
    """Leave connections to the pool, which closes those of loops that have ended."""


@dataclass(slots=True)
class _Chunk:
    """Lines that a worker has, by their numbers, without those that are answered."""

    worker: int
    lines: dict[int, tuple[BatchLine, str]]


class RayRun:
    """Iterates over the results of lines, as ``MapRun`` does; use as a context manager.

    Args:
        work: Reads lines, and looks into the checkpoint.
        checkpoint: Where answers are stored.
        lines: The lines.
        arguments: What a worker makes its clients of.
        options: Those of the run; each worker has as many calls at once.
        cluster: Where the workers run.
    """

    def __init__(
        self,
        work: LineWork,
        checkpoint: Checkpoint,
        lines: Iterator[Line],
        arguments: CallArguments,
        *,
        options: RunOptions,
        cluster: Cluster,
    ) -> None:
        self._work, self._checkpoint, self._lines = work, checkpoint, enumerate(lines)
        self._arguments = arguments
        self._options, self._cluster = options, cluster
        self._tally, self._began = Tally(), runtime.current().now()
        self._again: deque[tuple[int, BatchLine, str]] = deque()
        self._settled: deque[Finished[Any]] = deque()
        self._next: dict[int, tuple[BatchLine, str]] = {}  # lines for the next worker that has few
        self._chunks: dict[Any, _Chunk] = {}
        self._starting: dict[Any, int] = {}  # workers that do not run yet
        self._ends = 0

    def __enter__(self) -> Self:
        """Connect, and start the workers.

        Raises:
            ConfigurationError: Ray is not installed, or no cluster answers.
        """
        self._ray = ray = _import_ray()
        self._is_ours = not ray.is_initialized()
        if self._is_ours:
            _connect(ray, self._cluster.address)
        # Ray repeats no task: the lines of one whose worker ended are sent again without those that have an answer.
        kind = ray.remote(num_cpus=_CPUS, max_restarts=-1, max_task_retries=0)(LineWorker)
        self._workers = [kind.remote(self._arguments, self._options.concurrency) for _ in range(self._cluster.workers)]
        self._starting = {worker.start.remote(): number for number, worker in enumerate(self._workers)}
        self._options.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End the workers, and what they do."""
        self._options.progress.end(self.totals)
        for worker in self._workers:
            with suppress(Exception):
                self._ray.kill(worker)
        if self._is_ours:
            self._ray.shutdown()

    @property
    def totals(self) -> MapTotals:
        """What the run has done so far."""
        return self._tally.totals(runtime.current().now() - self._began)

    def __iter__(self) -> Iterator[MapResult[Any]]:
        """Yield the results as they come.

        Raises:
            LLMError: An answer cannot be stored, or the workers end again and again.
        """
        self._submit()
        while self._chunks or self._next or self._settled:
            while self._settled:
                finished = self._settled.popleft()
                self._tally.add(finished)
                self._options.progress.update(lambda: self.totals)
                yield finished.result
            if self._chunks or self._next:
                self._wait()
            self._submit()

    def _wait(self) -> None:
        """Wait for the next answer, or for a worker that runs."""
        timeout = None if self._chunks else _SLOW_START
        ready, _ = self._ray.wait([*self._chunks, *self._starting], num_returns=1, timeout=timeout, fetch_local=False)
        if not ready:
            warn_once("ray_start", "no worker on Ray runs after %d s: has the cluster a free processor?", timeout)
        for reference in ready:
            self._receive(reference)

    def _submit(self) -> None:
        """Give lines to the workers that run and have few."""
        while True:
            self._next = self._next or {index: (line, digest) for index, line, digest in self._next_lines()}
            number = self._free_worker()
            if not self._next or number is None:
                return
            lines, self._next = self._next, {}
            sent = [(index, line) for index, (line, _) in lines.items()]
            answers = self._workers[number].answer.options(num_returns="streaming").remote(sent)
            self._chunks[answers] = _Chunk(number, lines)

    def _free_worker(self) -> int | None:
        """Return the worker that runs and has the fewest lines; None where all have enough."""
        starting, at_work = {*self._starting.values()}, Counter(chunk.worker for chunk in self._chunks.values())
        running = [number for number in range(len(self._workers)) if number not in starting]
        number = min(running, key=at_work.__getitem__, default=None)
        return number if number is not None and at_work[number] < _CHUNKS_AT_ONCE else None

    def _next_lines(self) -> list[tuple[int, BatchLine, str]]:
        """Return the next lines that have no answer; those that have one, or are wrong, are settled."""
        chosen: list[tuple[int, BatchLine, str]] = []
        while self._again and len(chosen) < _LINES_AT_ONCE:
            chosen.append(self._again.popleft())
        while len(chosen) < _LINES_AT_ONCE and len(self._settled) < _LINES_AT_ONCE:
            index, line = next(self._lines, (None, None))
            if index is None or line is None:
                break
            item = self._work.read(index, line)
            if isinstance(item, Finished):
                self._settled.append(item)
            elif isinstance(line, BatchLine):
                chosen.append((index, line, item.fingerprint))
        return chosen

    def _receive(self, reference: Any) -> None:
        """Store the next answer of a worker, or note that it runs; where it has ended, take its lines back."""
        exceptions = self._ray.exceptions
        chunk = self._chunks.get(reference)
        worker = self._starting.pop(reference) if chunk is None else chunk.worker
        try:
            answer = self._ray.get(reference if chunk is None else next(reference))
        except StopIteration:
            self._take_back(reference)
        except exceptions.RayActorError as error:
            self._take_back(reference)
            self._start_again(worker, error)
        except exceptions.RayTaskError as error:
            cause = error.cause
            raise (cause if isinstance(cause, LLMError) else LLMError(f"A worker on Ray failed: {cause!r}")) from None
        else:
            if chunk is not None:
                self._ends = 0
                self._store(chunk, answer)

    def _take_back(self, reference: Any) -> None:
        """Keep those lines of a worker that have no answer to be sent again."""
        chunk = self._chunks.pop(reference, None)
        if chunk is not None:
            self._again.extend((number, *line) for number, line in chunk.lines.items())

    def _start_again(self, worker: int, error: Exception) -> None:
        """Wait until Ray has started a worker again.

        Raises:
            LLMError: Workers end again and again.
        """
        self._ends += 1
        if self._ends > _MOST_ENDS * self._cluster.workers:
            raise LLMError(
                f"The workers on Ray ended again and again ({type(error).__name__}), so the run has ended; what was "
                "answered is kept. The logs of Ray say why."
            ) from None
        if worker not in self._starting.values():
            self._starting[self._workers[worker].start.remote()] = worker

    def _store(self, chunk: _Chunk, answer: _Answer) -> None:
        number, finished, record = answer
        line, digest = chunk.lines.pop(number)
        if record is not None:
            try:
                keep(self._checkpoint, line.custom_id, digest, record)
            except ConfigurationError as error:  # a full disk: no mistake in the command
                raise LLMError(str(error)) from None
        self._settled.append(_renumbered(finished, number))


def _renumbered(finished: Finished[Any], number: int) -> Finished[Any]:
    """Return what a worker made of a line, which has another number there."""
    result = finished.result
    return Finished(
        MapResult(number, result.custom_id, result.response, result.error),
        finished.attempts,
        finished.usage,
        finished.served_by,
    )


def _connect(ray: Any, address: str | None) -> None:
    """Connect to a cluster, or start one.

    Raises:
        ConfigurationError: There is none.
    """
    if address == "" or (address or "").startswith("ray://"):
        raise ConfigurationError(
            f"The workers cannot be used through {address or 'an empty address'}: name the head of the cluster, such "
            "as ray-head:6379, not its port for ray://."
        )
    _check_reachable(address)
    # Ray takes SIGTERM for itself, and would end the process without a word.
    in_main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigurationError(f"Ray cannot be used at {address or 'this machine'}: {reason}") from None
    finally:
        if in_main and before is not None:
            signal.signal(signal.SIGTERM, before)


def _check_reachable(address: str | None) -> None:
    """Refuse an address at which nothing listens: Ray itself would try for minutes.

    Raises:
        ConfigurationError: It is such an address.
    """
    host, _, port = (address or "").rpartition(":")
    if not host or "/" in host or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ConfigurationError(
            f"No Ray cluster can be reached at {address} ({type(error).__name__}): name that of its head, such as "
            "ray-head:6379."
        ) from None


def _import_ray() -> Any:
    try:
        ray = import_module("ray")
        import_module("ray.exceptions")
    except ModuleNotFoundError:
        raise ConfigurationError("Ray is not installed: run pip install 'unified-llm[ray]'.") from None
    return ray
