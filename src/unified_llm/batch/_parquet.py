"""Parquet in and out, where pyarrow is installed: the columns of the input keep their types."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO, Final

import pyarrow as pa  # pyright: ignore[reportMissingTypeStubs]
import pyarrow.parquet as pq  # pyright: ignore[reportMissingTypeStubs]

from unified_llm.batch._lines import Line, shown
from unified_llm.exceptions import ValidationError

_ROWS_AT_ONCE: Final = 1024


def read_rows(file: BinaryIO, name: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file.

    Args:
        file: The file.
        name: What it is called in errors.

    Texts are often columns of bytes there: writers before 2017, and Impala and Spark until today, leave out the mark
    of a text. Bytes in UTF-8 are a text here.

    Raises:
        ValidationError: It is damaged, has two columns of one name, or values that Python has no type for.
    """
    with _read_errors(name):
        table = pq.ParquetFile(file)
        schema = table.schema_arrow
        if len(set(schema.names)) < len(schema.names):
            double = next(column for column in schema.names if schema.names.count(column) > 1)
            raise ValidationError(f"{name} has two columns of the name {shown(double)}: rename one of them")
        binary = [field.name for field in schema if _is_binary(field.type)]
        for batch in table.iter_batches(_ROWS_AT_ONCE):
            rows = batch.to_pylist()
            for row in rows if binary else ():
                row.update({column: _as_text(row[column]) for column in binary})
            yield from rows


def count_rows(file: BinaryIO, name: str) -> int:
    """Return the number of rows of a file; arguments and errors as of ``read_rows``."""
    with _read_errors(name):
        count: int = pq.ParquetFile(file).metadata.num_rows
        return count


def _is_binary(kind: Any) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _as_text(value: bytes | None) -> str | bytes | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return value


@contextmanager
def _read_errors(name: str) -> Generator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ValidationError(f"{name} cannot be read as Parquet ({type(error).__name__})") from None


class _Table:
    """Writes those rows of the input that it is given, with further columns. They are given in their order.

    Args:
        file: Where it is written.
        source: The input.
        columns: The further columns, in place of those of the input with such a name.
        values: Makes their values.
    """

    def __init__(
        self,
        file: BinaryIO,
        source: BinaryIO,
        columns: Mapping[str, Any],
        values: Callable[[Line, Mapping[str, Any]], tuple[Any, ...]],
    ) -> None:
        table = pq.ParquetFile(source)
        self._columns, self._values = columns, values
        self._own = [name for name in table.schema_arrow.names if name not in columns]
        fields = [table.schema_arrow.field(name) for name in self._own]
        self._schema = pa.schema([*fields, *(pa.field(name, kind) for name, kind in columns.items())])
        self._writer = pq.ParquetWriter(file, self._schema)
        self._batches = table.iter_batches(_ROWS_AT_ONCE)
        self._batch, self._first = next(self._batches), 1
        self._positions: list[int] = []
        self._rows: list[tuple[Any, ...]] = []

    def write(self, line: Line, fields: Mapping[str, Any]) -> None:
        """Write the row of a line, which has its number."""
        while line.number >= self._first + self._batch.num_rows:
            self._write_batch()
            self._first += self._batch.num_rows
            self._batch = next(self._batches)
        self._positions.append(line.number - self._first)
        self._rows.append(self._values(line, fields))

    def _write_batch(self) -> None:
        if not self._rows:
            return
        taken = self._batch.select(self._own).take(pa.array(self._positions))
        values = zip(zip(*self._rows, strict=True), self._columns.values(), strict=True)
        added = [pa.array(column, kind) for column, kind in values]
        self._writer.write_batch(pa.RecordBatch.from_arrays([*taken.columns, *added], schema=self._schema))
        self._positions, self._rows = [], []

    def close(self) -> None:
        """Write what is left."""
        self._write_batch()
        self._writer.close()


@contextmanager
def open_answer_table(file: BinaryIO, rows: BinaryIO, kind: str) -> Generator[_Table]:
    """Open a table of answers.

    Args:
        file: Where it is written.
        rows: The input.
        kind: What an answer is: that of ``lines`` of OpenAI's format, or of rows the ``texts`` or the ``vectors``.
    """
    columns, values = (_RESPONSES, _response) if kind == "lines" else (_ANSWERS, _answer)
    if kind == "vectors":
        columns = {**columns, "response": pa.list_(pa.float64())}
    table = _Table(file, rows, columns, values)
    yield table
    table.close()


@contextmanager
def open_failure_table(file: BinaryIO, rows: BinaryIO) -> Generator[_Table]:
    """Open a table of rows that failed; arguments as of ``open_answer_table``."""
    table = _Table(file, rows, _FAILURES, lambda _, error: (error["message"], error["code"]))
    yield table
    table.close()


_ANSWERS: Final[Mapping[str, Any]] = {
    "response": pa.string(), "model": pa.string(), "prompt_tokens": pa.int64(), "completion_tokens": pa.int64(),
}  # fmt: skip
_RESPONSES: Final[Mapping[str, Any]] = {"custom_id": pa.string(), "response": pa.string()}
_FAILURES: Final[Mapping[str, Any]] = {"error": pa.string(), "error_code": pa.string()}


def _response(line: Line, response: Mapping[str, Any]) -> tuple[Any, ...]:
    return line.custom_id, json.dumps(response, ensure_ascii=False)


def _answer(_line: Line, response: Mapping[str, Any]) -> tuple[Any, ...]:
    body: Mapping[str, Any] = response["body"]
    usage: Mapping[str, Any] = body.get("usage") or {}
    return (
        _content(body),
        body.get("model"),
        usage.get("prompt_tokens", usage.get("input_tokens")),
        usage.get("completion_tokens", usage.get("output_tokens")),
    )


def _content(body: Mapping[str, Any]) -> Any:
    """Return the text of an answer of any endpoint, or its first vector."""
    match body:
        case {"choices": [{"message": {"content": content}}, *_]}:
            return content
        case {"choices": [{"text": text}, *_]}:
            return text
        case {"data": [{"embedding": vector}, *_]}:
            return vector
        case {"output": list(items)}:
            parts = [part for item in items if isinstance(item, dict) for part in item.get("content") or ()]
            return "".join(part["text"] for part in parts if isinstance(part, dict) and "text" in part)
        case _:
            return None
