"""A run: every line is answered into the checkpoint, then the output is written from it, in the order of the input.

    input --> answer (as completed, concurrent) --> checkpoint        first pass; an interrupted run begins here again
    input --> look up, in order --> output, and failures to a file of their own       second pass, no requests

The checkpoint alone is written while requests are sent: it keeps every answer that arrived, whatever ends the process.
The output has its name only once it is whole, so no half of one is taken for all of it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, Self

from unified_llm._client.checkpoints import open_checkpoint
from unified_llm._client.map.options import RunOptions, read_options
from unified_llm._client.map.run import MapRun
from unified_llm._client.read_request import check_whole_number
from unified_llm._lib.checkpoint import Checkpoint
from unified_llm._lib.whole_file import is_stream
from unified_llm.batch._calls import Calls, fingerprint_of
from unified_llm.batch._input import STDIN, Input
from unified_llm.batch._lines import BadLine, BatchLine, bad_line_error, error_of
from unified_llm.batch._output import Failures, open_answers
from unified_llm.batch._work import LineWork, Refusals, read_record
from unified_llm.exceptions import LLMError, ValidationError
from unified_llm.types.map_results import MapTotals

if TYPE_CHECKING:
    from unified_llm.batch._ray_lines import Cluster, RayRun

_OUTPUT: Final = "output"
_ERROR: Final = "error"


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a run.

    Attributes:
        output: Where the answers go; ``-`` for standard output; None where none are asked for.
        failed: Where lines that failed go; None for nowhere.
        checkpoint: The checkpoint; None for one that the end of the run deletes.
    """

    output: str | None
    failed: str | None
    checkpoint: str | None

    @classmethod
    def beside(cls, output: str | None, failed: str | None = None, checkpoint: str | None = None) -> Files:
        """Return the files of a run, with names for those that are not given: beside the output.

        Raises:
            ValidationError: The output is a folder.
        """
        if output is None or output == STDIN or is_stream(output):
            return cls(output, failed, checkpoint)
        path = Path(output)
        if not path.name or path.is_dir():
            raise ValidationError(f"the output cannot be {output}: it is a folder")
        return cls(
            output,
            failed or str(path.with_name(f"{path.stem}.failed{path.suffix}")),
            checkpoint or str(path.with_name(f"{path.name}.checkpoint.jsonl")),
        )

    def check(self, source: str, further: Mapping[str, str] | None = None) -> None:
        """Refuse files that cannot be used, before anything is paid for.

        Args:
            source: The input.
            further: Other files of the run, by what they are.

        Raises:
            ValidationError: Two are one, one cannot be written, or standard output is closed.
        """
        if self.output == STDIN and sys.stdout is None:
            raise ValidationError("standard output is closed: name a file for the answers")
        if self.checkpoint is not None and (self.checkpoint == STDIN or is_stream(self.checkpoint)):
            raise ValidationError(f"--checkpoint cannot be {self.checkpoint}: it is no file")
        seen: dict[Path, str] = {}
        named = {
            "the input": source,
            "the output": self.output,
            "--failed": self.failed,
            "--checkpoint": self.checkpoint,
            **(further or {}),
        }
        for name, path in named.items():
            if path is None or path == STDIN or is_stream(path):
                continue
            whole = Path(path).resolve()
            if (other := seen.setdefault(whole, name)) != name:
                raise ValidationError(f"{name} and {other} are one file, {path}: name another for one of them")
            if not whole.parent.is_dir():
                raise ValidationError(f"{name} cannot be {path}: there is no folder {whole.parent}")
            if name == "--failed" and whole.is_dir():
                raise ValidationError(f"{name} cannot be {path}: it is a folder")
            if name in {"the output", "--failed"} and not os.access(whole.parent, os.W_OK):
                raise ValidationError(f"{name} cannot be {path}: the folder {whole.parent} cannot be written to")


@dataclass(slots=True)
class Outcome:
    """What a run did.

    Attributes:
        totals: What was answered, by which targets, with how many tokens.
        failed: The number of lines that failed.
        first_error: The first of their errors.
    """

    totals: MapTotals
    failed: int = 0
    first_error: Mapping[str, Any] | None = field(default=None, repr=False)


@contextmanager
def open_run(files: Files, source: Input) -> Generator[Checkpoint]:
    """Open the checkpoint of a run, and claim its output.

    Raises:
        ConfigurationError: The checkpoint cannot be used.
        ValidationError: The output is there, and is of another run.
    """
    with TemporaryDirectory(prefix="unified-llm-") as folder:
        checkpoint = open_checkpoint(files.checkpoint or Path(folder, "checkpoint.jsonl"))
        with checkpoint:
            for path in (files.output, files.failed):
                if path is not None and path != STDIN and not is_stream(path):
                    _claim(checkpoint, Path(path), source)
            checkpoint.flush()
            yield checkpoint


def _claim(checkpoint: Checkpoint, path: Path, source: Input) -> None:
    """Refuse a file of another run; note that it is of this one."""
    home = checkpoint.path.resolve().parent
    mine = {"of": source.path if source.path == STDIN else _relative(Path(source.path), home)}
    key = _relative(path, home)
    known = checkpoint.get(key, _OUTPUT)
    if known == mine:
        return
    if path.exists() and path.is_file() and path.stat().st_size:
        owner = f"the output of a run over {known['of']}" if known else "of no run that this checkpoint knows"
        raise ValidationError(
            f"{path} is there and is {owner}: name another output, or remove it. (The checkpoint is {checkpoint.path}.)"
        )
    checkpoint.put(key, _OUTPUT, mine)


def _relative(path: Path, home: Path) -> str:
    """Return a path for a checkpoint, which may be moved with its files; bytes that are no text are escaped."""
    return os.path.relpath(path.resolve(), home).encode(errors="backslashreplace").decode()


class Run:
    """A run over an input; use as a context manager.

    Errors are kept in a file too, which the end of the block deletes: all of a million lines may fail.

    Args:
        source: The input.
        calls: Reads the bodies of lines.
        checkpoint: Where answers are stored.
        refused: The lines that are not sent in calls; None where no line was in a batch.
    """

    def __init__(
        self,
        source: Input,
        calls: Calls,
        checkpoint: Checkpoint,
        refused: Refusals | None = None,
    ) -> None:
        self._source, self._calls, self._checkpoint, self._refused = source, calls, checkpoint, refused
        self._folder = TemporaryDirectory(prefix="unified-llm-")
        self._errors = Checkpoint(Path(self._folder.name, "errors.jsonl"), fsync=False)

    def __enter__(self) -> Self:
        """Open the file of errors."""
        self._errors.open()
        return self

    def __exit__(self, *_: object) -> None:
        """Delete it."""
        self._errors.close()
        self._folder.cleanup()

    def answer(
        self, *, concurrency: int, max_failed: int | None, progress: bool | None, cluster: Cluster | None = None
    ) -> MapTotals:
        """Answer all lines that are not answered yet, into the checkpoint.

        Args:
            concurrency: The most calls at once.
            max_failed: The most lines that may fail; None for no limit.
            progress: None shows a bar on a terminal; True always, False never.
            cluster: The Ray cluster whose workers send the lines; None: this process does.

        Raises:
            LLMError: More lines failed than may, or an answer could not be stored.
        """
        check_whole_number("max_failed", max_failed, 0)
        shows_bar = progress or (progress is None and sys.stderr is not None and sys.stderr.isatty())
        options = read_options(
            self._source if shows_bar else None, concurrency=concurrency, ordered=False, progress=progress,
            checkpoint=None, on_error="value", max_failed=None,
        )  # fmt: skip
        with self._begin(options, cluster) as run:
            for result in run:
                if result.error is not None:
                    self._errors.put(str(result.index), _ERROR, error_of(result.error))
                    if max_failed is not None and len(self._errors) > max_failed:
                        raise LLMError(
                            f"More than {max_failed} lines failed, so the run has ended (--max-failed); the answers "
                            f"that came are kept. The last line failed with: {result.error}"
                        )
            return run.totals

    def _begin(self, options: RunOptions, cluster: Cluster | None) -> MapRun[Any] | RayRun:
        work = LineWork(self._calls, self._checkpoint, self._refused)
        if cluster is None:
            return MapRun(work, self._source.lines(), options, close_loop=self._close)
        from unified_llm.batch._ray_lines import RayRun

        arguments = self._calls.arguments
        return RayRun(work, self._checkpoint, self._source.lines(), arguments, options=options, cluster=cluster)

    async def _close(self) -> None:
        for client in self._calls.clients:
            await client.aclose()

    def write(self, files: Files, totals: MapTotals) -> Outcome:
        """Write the output and the failures, in the order of the input.

        Raises:
            OSError: The disk is full, or failed. What is stored in the checkpoint remains.
            LLMError: The input has lost lines since they were answered.
        """
        outcome, lines = Outcome(totals), 0
        with (
            open_answers(files.output or STDIN, self._source) as output,
            Failures(files.failed, self._source) as failures,
        ):
            for index, line in enumerate(self._source.lines()):
                lines += 1
                result = self._result(index, line)
                if isinstance(line, BatchLine) and "body" in result:
                    output.write(line, result)
                else:
                    outcome.failed += 1
                    outcome.first_error = outcome.first_error or result
                    failures.write(line, result)
            if lines < totals.done:
                raise LLMError(
                    f"{self._source.name} has lost {totals.done - lines} of its {totals.done} lines while they were "
                    "answered, so that no output was written: give the same command again."
                )
        return outcome

    def _result(self, index: int, line: BatchLine | BadLine) -> dict[str, Any]:
        """Return the response to a line, or its error."""
        if isinstance(line, BadLine):
            return bad_line_error(line)
        if (error := self._errors.get(str(index), _ERROR)) is not None:
            return error
        try:
            record = read_record(self._checkpoint, line.custom_id, fingerprint_of(self._calls.prepare(line)))
        except LLMError as wrong:
            return error_of(wrong)
        if record is None:
            return {"code": "not_stored", "message": "The input, or the checkpoint, was changed while it was read."}
        response: dict[str, Any] = record["response"]
        return response
