"""``--service batch``: the lines of a file in batches of their providers, into the checkpoint of the run.

input --> batches --> checkpoint      answers of the batches; errors are returned
input --> calls   --> checkpoint      with a deadline alone: the lines that no batch has answered or refused
input --> output                      as without a service
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from unified_llm._client.client import LLMClient
from unified_llm._client.map.tally import served_by
from unified_llm._lib.bounded_json import JSONError
from unified_llm._lib.checkpoint import Checkpoint, CheckpointError
from unified_llm.batch._calls import Calls, PreparedCall, fingerprint_of
from unified_llm.batch._input import Input
from unified_llm.batch._lines import BatchLine, Line
from unified_llm.batch._output import answered
from unified_llm.batch._services.access import target_of
from unified_llm.batch._services.journal import Journal
from unified_llm.batch._services.parts import check_service
from unified_llm.batch._services.service import BatchService
from unified_llm.batch._services.work import AnyResponse, ServiceLine
from unified_llm.batch._work import Refusals, make_record
from unified_llm.exceptions import ConfigurationError, GenerationError, LLMError, UnsupportedOperationError
from unified_llm.types.requests import EmbeddingRequest, LLMRequest

DUPLICATES: Final = "duplicates.jsonl"
"""Name of the file, beside the output, for answers that came after a call had answered their lines."""


_SEVERAL_PROMPTS: Final = "It has several prompts: for --service, write a line for each."
_NOT_IN_BATCH: Final = GenerationError("It was in no batch, since the input was changed meanwhile: run it again.")


@dataclass(frozen=True, slots=True)
class FileLine:
    """A line of the file that was read."""

    position: int
    line: BatchLine
    call: PreparedCall
    fingerprint: str

    @property
    def key(self) -> str:
        """What names it: its ``custom_id``."""
        return self.line.custom_id

    @property
    def client(self) -> LLMClient:
        """The client that would send it as a call."""
        return self.call.client

    @property
    def request(self) -> LLMRequest | EmbeddingRequest:
        """The request."""
        return self.call.requests[0]


class _Reader:
    """One reading of an input, whose next line can be looked at.

    Attributes:
        position: The position of the next line.
    """

    def __init__(self, source: Input) -> None:
        self.position = 0
        self._lines = iter(source.lines())
        self._next = next(self._lines, None)

    def peek(self) -> Line | None:
        """Return the next line; None at the end."""
        return self._next

    def advance(self) -> None:
        """Go on to the line after it."""
        self.position += 1
        self._next = next(self._lines, None)


class FileWork:
    """The lines of a file, and its checkpoint.

    Attributes:
        refused: Errors of lines that no batch can have, by their ``custom_id``.

    Args:
        source: The input.
        calls: Reads the bodies of lines.
        checkpoint: Where answers are stored.
        duplicates: The file of late answers.
    """

    def __init__(self, source: Input, calls: Calls, checkpoint: Checkpoint, duplicates: Path) -> None:
        self._source, self._calls, self._checkpoint, self._duplicates = source, calls, checkpoint, duplicates
        self.refused: dict[str, LLMError] = {}
        self._reader: _Reader | None = None
        self._late: set[bytes] | None = None  # digests of the lines of the file of late answers

    def lines(self, start: int = 0) -> Iterator[FileLine]:
        """Read the lines from a position on. One that is wrong is left out: the run itself reports it.

        Batches are collected in the order of the input, mostly, so each reading goes on where the last one ended.
        """
        if self._reader is None or self._reader.position > start:
            self._reader = _Reader(self._source)
        reader = self._reader
        while (line := reader.peek()) is not None:
            position = reader.position
            whole = self._read(position, line) if position >= start and isinstance(line, BatchLine) else None
            if whole is not None:
                yield whole
            reader.advance()

    def rewind(self) -> None:
        """Begin the next reading at the start of the input, which others have read since."""
        self._reader = None

    def _read(self, position: int, line: BatchLine) -> FileLine | None:
        try:
            call = self._calls.prepare(line)
            if len(call.requests) == 1:
                return FileLine(position, line, call, fingerprint_of(call))
        except LLMError:
            return None
        self.refused[line.custom_id] = UnsupportedOperationError(_SEVERAL_PROMPTS)
        return None

    def is_finished(self, line: ServiceLine) -> bool:
        """Return whether the checkpoint has an answer to a line."""
        return self._checkpoint.has(line.key, line.fingerprint)

    def store(self, line: Any, response: AnyResponse) -> None:
        """Store an answer in the checkpoint.

        Raises:
            GenerationError: It is no JSON: a number in it is NaN.
            ConfigurationError: The checkpoint cannot be written.
        """
        try:
            self._checkpoint.put(line.key, line.fingerprint, _record(line, response))
        except JSONError as error:
            raise GenerationError(f"The response cannot be written as JSON: {error}.") from None
        except (OSError, CheckpointError) as error:
            raise _unwritable(self._checkpoint.path, error) from None

    def flush(self) -> None:
        """Write the checkpoint through to the disk.

        Raises:
            ConfigurationError: The disk failed.
        """
        try:
            self._checkpoint.flush()
        except OSError as error:
            raise _unwritable(self._checkpoint.path, error) from None

    def store_late(self, line: Any, response: AnyResponse) -> None:
        """Append an answer to the file of duplicates, unless it is that of the output, or is there already.

        Raises:
            ConfigurationError: It cannot be written.
        """
        record = _record(line, response)
        known = self._checkpoint.get(line.key, line.fingerprint) or {}
        if _identity(known) == _identity(record):
            return  # a process was killed after it had stored the answer
        text = json.dumps(answered(line.line, record["response"]), ensure_ascii=False, separators=(",", ":")) + "\n"
        data = text.encode(errors="replace")
        try:
            if self._late is None:
                self._late = _digests_of_lines(self._duplicates)
            if (digest := _digest(data)) in self._late:
                return
            with self._duplicates.open("ab") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            self._late.add(digest)
        except OSError as error:
            raise _unwritable(self._duplicates, error) from None


def _record(line: FileLine, response: AnyResponse) -> dict[str, Any]:
    target = served_by(response.attempts)
    return make_record(line.call.answer_of([response]), target, response.usage)


def _digests_of_lines(path: Path) -> set[bytes]:
    """Return digests of the lines of a file, and cut off a last one that a full disk has torn."""
    digests: set[bytes] = set()
    if not path.exists():
        return digests
    with path.open("r+b") as lines:
        end = 0
        for line in lines:
            if not line.endswith(b"\n"):
                lines.truncate(end)
                break
            digests.add(_digest(line))
            end += len(line)
    return digests


def _digest(line: bytes) -> bytes:
    return blake2b(line, digest_size=16).digest()


def _identity(record: dict[str, Any]) -> Any:
    """Return what two records of one answer have in common: a time, and an identifier made here, may differ."""
    body = record.get("response", {}).get("body") or {}
    return body.get("choices") or body.get("output") or body.get("data")


def _unwritable(path: Path, error: Exception) -> ConfigurationError:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return ConfigurationError(
        f"{path} cannot be written ({reason}), so the run has ended: make room, and give the same command again; the "
        "batches go on at the provider."
    )


class ServiceRun:
    """The batches of a run.

    Args:
        work: The lines and the checkpoint.
        service: The batches.
        leaves_rest: What they do not answer is left to calls: there is a deadline.
    """

    def __init__(self, work: FileWork, service: BatchService, *, leaves_rest: bool) -> None:
        self._work, self._service, self._leaves_rest = work, service, leaves_rest

    def collect(self) -> Refusals:
        """Wait for the batches, and store what they bring; return which lines are not to be sent in calls.

        Raises:
            LLMError: The provider refuses to begin or to show batches.
        """
        outcome = self._service.run()
        self._work.rewind()
        return Refusals({**self._work.refused, **outcome.errors}, None if self._leaves_rest else _NOT_IN_BATCH)

    def collect_late(self) -> None:
        """Look once more at what had not ended at the deadline, after the calls."""
        self._work.rewind()
        self._service.collect_late()


def files_beside(output: str) -> dict[str, str]:
    """Return the files that a run has beside its output, by what they are."""
    path = Path(output)
    return {
        "the file of batches": str(path.with_name(f"{path.name}.batches.jsonl")),
        "the file of late answers": str(path.with_name(DUPLICATES)),
    }


def check_service_line(call: PreparedCall) -> None:
    """Refuse a line that no batch can have.

    Raises:
        LLMError: It has several prompts, its target has no batch service, or its batches have no such request.
    """
    if len(call.requests) != 1:
        raise UnsupportedOperationError(_SEVERAL_PROMPTS)
    check_service(target_of(call.client, call.requests[0].model))
    call.client.write_entry(call.requests[0])


@contextmanager
def open_service(
    source: Input,
    calls: Calls,
    checkpoint: Checkpoint,
    output: str,
    *,
    deadline: float | None,
    note: Callable[[str], None],
) -> Generator[ServiceRun]:
    """Open the batches of a run, which are written down beside its output.

    Args:
        source: The input.
        calls: Reads the bodies of lines.
        checkpoint: Where answers are stored.
        output: The path of the output.
        deadline: Seconds after which a batch is cancelled, and the rest is left to calls; None to wait for it.
        note: Called with a line about what happens.

    Raises:
        ConfigurationError: The file of the batches cannot be used.
    """
    batches, duplicates = files_beside(output).values()
    journal = Journal(batches)
    try:
        journal.open()
    except CheckpointError as error:
        raise ConfigurationError(str(error)) from None
    try:
        work = FileWork(source, calls, checkpoint, Path(duplicates))
        service = BatchService(work, journal, deadline=deadline, note=note)
        yield ServiceRun(work, service, leaves_rest=deadline is not None)
    finally:
        journal.close()
