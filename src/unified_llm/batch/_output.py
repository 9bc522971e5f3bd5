"""The files that a run writes: the answers, and the lines that failed, in JSON lines or in Parquet.

A line of OpenAI's format has its answer in that format. A row keeps its columns, and has its answer beside them: in
JSON the whole response, in Parquet its text or vector, its model and its tokens.
"""

from __future__ import annotations

import json
import sys
from base64 import b64encode
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Protocol, Self

from unified_llm._lib.bounded_json import without_nan
from unified_llm._lib.whole_file import write_whole
from unified_llm.batch._input import STDIN, Input
from unified_llm.batch._lines import BatchLine, Line
from unified_llm.exceptions import ConfigurationError, ValidationError

PARQUET_SUFFIX: Final = (".parquet", ".pq")


class Writer(Protocol):
    """Writes the answer of a line, or its error."""

    def write(self, line: Line, fields: Mapping[str, Any]) -> None:
        """Write a line.

        Args:
            line: The line of the input.
            fields: The response, or the error.
        """


class _JSONLines:
    """Writes JSON lines.

    Args:
        file: The file.
        make: Makes what is written of a line and its response or error.
    """

    def __init__(self, file: BinaryIO, make: Any) -> None:
        self._file, self._make = file, make

    def write(self, line: Line, fields: Mapping[str, Any]) -> None:
        """Write a line."""
        made = self._make(line, fields)
        try:
            text = _as_json(made)
        except ValueError:  # NaN of a column of numbers
            text = _as_json(without_nan(made))
        self._file.write(text.encode(errors="replace") + b"\n")


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_as_text, allow_nan=False)


def _as_text(value: Any) -> str:
    """Write what JSON has no type for, of a column of Parquet: a date as it is read, bytes in Base64."""
    return b64encode(value).decode() if isinstance(value, bytes) else str(value)


def answered(line: BatchLine, response: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the output has for a line or a row that was answered."""
    own = {"id": f"batch_req_{line.number}", **line.fields} if line.is_row else {"id": f"batch_req_{line.number}"}
    return {**own, "custom_id": line.custom_id, "response": dict(response), "error": None}


def failed(line: Line, error: Mapping[str, Any]) -> dict[str, Any]:
    """Return the input line or row with its error, so that a file of them can be sent again as it is."""
    fields = line.fields if line.fields is not None else {}
    return {**fields, "custom_id": line.custom_id, "error": {**error, "line": line.number}}


@contextmanager
def open_answers(path: str, source: Input) -> Generator[Writer]:
    """Open the output, which is there once it is whole.

    Raises:
        ValidationError: It is to be Parquet, and the input is not.
        OSError: It cannot be written.
    """
    with _opened(path) as file, ExitStack() as stack:
        if is_parquet(path):
            from unified_llm.batch._parquet import open_answer_table

            rows = stack.enter_context(source.opened())
            kind = "lines" if not source.has_rows else "vectors" if source.makes_vectors else "texts"
            yield stack.enter_context(open_answer_table(file, rows, kind))
        else:
            yield _JSONLines(file, answered)


class Failures:
    """The file of failures, which is made when there is one; without one, an older file of the run is removed.

    Args:
        path: The file; None for none.
        source: The input.
    """

    def __init__(self, path: str | None, source: Input) -> None:
        self._path, self._source = path, source
        self._stack = ExitStack()
        self._writer: Writer | None = None

    def __enter__(self) -> Self:
        """Wait for a failure."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the file its name."""
        self._stack.__exit__(kind, error, trace)
        if kind is None and self._writer is None and self._path is not None and self._path != STDIN:
            Path(self._path).unlink(missing_ok=True)

    def write(self, line: Line, error: Mapping[str, Any]) -> None:
        """Write a line that failed."""
        if self._path is None:
            return
        if self._writer is None:
            file = self._stack.enter_context(_opened(self._path))
            if is_parquet(self._path):
                from unified_llm.batch._parquet import open_failure_table

                rows = self._stack.enter_context(self._source.opened())
                self._writer = self._stack.enter_context(open_failure_table(file, rows))
            else:
                self._writer = _JSONLines(file, failed)
        self._writer.write(line, error)


def is_parquet(path: str) -> bool:
    """Return whether a name is that of a Parquet file."""
    return path.lower().endswith(PARQUET_SUFFIX)


def check_formats(source: Input, paths: tuple[str | None, ...]) -> None:
    """Refuse outputs in Parquet where the input is none, whose columns they have.

    Raises:
        ValidationError: There is such an output.
        ConfigurationError: The package for Parquet is missing.
    """
    wanted = [path for path in paths if path is not None and is_parquet(path)]
    if wanted and not source.is_parquet:
        raise ValidationError(f"{wanted[0]} would be Parquet, and {source.name} is not: write JSON lines (.jsonl)")
    if source.is_parquet and find_spec("pyarrow") is None:
        raise ConfigurationError("Parquet needs the package pyarrow: run pip install pyarrow.")


@contextmanager
def _standard_output() -> Generator[BinaryIO]:
    if sys.stdout is None:
        raise ValidationError("standard output is closed: name a file")
    yield sys.stdout.buffer
    sys.stdout.buffer.flush()


def _opened(path: str) -> AbstractContextManager[BinaryIO]:
    return _standard_output() if path == STDIN else write_whole(path)
