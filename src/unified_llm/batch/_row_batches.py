"""Batches of rows in the forms in which Ray Data passes them: a dict of arrays, a DataFrame, or a table of Arrow.

A batch keeps its form. Within Ray the columns that are added have a type of Arrow's also where no row has a value:
otherwise a block without errors would have ``error`` as a column of type null, and the files of one dataset would
have different schemas.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, cast

from unified_llm.exceptions import ValidationError

ColumnType: TypeAlias = Literal["text", "number", "vector"]

# The engine that calls us, where one does: it makes tables of Arrow of what it gets.
_ENGINE: Final = "ray"


@dataclass(frozen=True, slots=True)
class Column:
    """A column to be added: its type, and a value or None for each row."""

    type: ColumnType
    items: list[Any]


def column_names(batch: Any) -> list[str]:
    """Return the names of a batch's columns.

    Raises:
        ValidationError: It is no batch of rows.
    """
    if isinstance(batch, Mapping):
        return [*cast("Mapping[str, Any]", batch)]
    if _is_table(batch):
        return [*batch.column_names]
    if _is_frame(batch):
        return [str(name) for name in batch.columns]
    raise ValidationError(
        "A batch of rows is a dict of arrays, a pandas DataFrame or a pyarrow Table (batch_format=numpy, pandas or "
        f"pyarrow of map_batches); got {type(batch).__name__}."
    )


def read_columns(batch: Any, names: Sequence[str]) -> dict[str, list[Any]]:
    """Return the values of columns as plain Python objects; None where there is none.

    Raises:
        ValidationError: There is no such column, there are two, or one is longer than another.
    """
    known, columns = column_names(batch), dict[str, list[Any]]()
    for name in names:
        if name not in known:
            raise ValidationError(f"The rows have no column {name!r}; they have: {', '.join(known) or 'none'}.")
        if known.count(name) > 1:
            raise ValidationError(f"The rows have {known.count(name)} columns {name!r}: rename all but one.")
        values = batch[name]
        columns[name] = [_plain(value) for value in (values.to_pylist() if _is_table(batch) else values)]
    if len({len(values) for values in columns.values()}) > 1:
        lengths = ", ".join(f"{name!r} has {len(values)}" for name, values in columns.items())
        raise ValidationError(f"The columns of a batch have one length: {lengths}.")
    return columns


def with_columns(batch: Any, columns: Mapping[str, Column]) -> Any:
    """Return a batch with further columns, which replace those of the same name."""
    if _is_table(batch):
        for name, column in columns.items():
            position = batch.column_names.index(name) if name in batch.column_names else len(batch.column_names)
            if position < len(batch.column_names):
                batch = batch.remove_column(position)
            batch = batch.add_column(position, name, _arrow(column))
        return batch
    if _is_frame(batch):
        return batch.assign(**{name: _series(column, batch.index) for name, column in columns.items()})
    return {**_with_structs(batch), **{name: _array(column, batch) for name, column in columns.items()}}


def _is_table(batch: Any) -> bool:
    return hasattr(batch, "column_names") and hasattr(batch, "add_column")


def _is_frame(batch: Any) -> bool:
    return hasattr(batch, "columns") and hasattr(batch, "assign")


def _plain(value: Any) -> Any:
    """Return a value without what NumPy, pandas and Arrow made of it: arrays, and fields that only other rows have."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return None if value != value else value  # noqa: PLR0124 - what pandas has for no value
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in cast("Sequence[Any]", value)]
    if hasattr(value, "tolist"):  # an array or scalar of NumPy
        return _plain(value.tolist())
    return None if type(value).__name__ == "NAType" else value


def _with_structs(batch: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a dict of arrays with lists of structs, such as messages, as Arrow has them: Ray would pickle these."""
    if _ENGINE not in sys.modules:
        return batch
    import pyarrow as pa  # pyright: ignore[reportMissingTypeStubs]

    def is_nested(values: Any) -> bool:
        first = next((value for value in values if value is not None), None)
        return str(getattr(first, "dtype", "")) == "object" or isinstance(first, (list, Mapping))

    columns = dict(batch)
    for name, values in batch.items():
        if is_nested(values):
            # Contents of messages may be texts and lists of parts, for which Arrow has no type.
            with suppress(pa.ArrowException):
                columns[name] = pa.array([_plain(value) for value in values])
    return columns


def _arrow(column: Column) -> Any:
    import pyarrow as pa  # pyright: ignore[reportMissingTypeStubs]

    types = {"text": pa.string(), "number": pa.int64(), "vector": pa.list_(pa.float64())}
    return pa.array(column.items, types[column.type])


def _series(column: Column, index: Any) -> Any:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs]

    if _ENGINE not in sys.modules:
        return pd.Series(column.items, index=index, dtype=object)
    values = _arrow(column)
    return pd.Series(pd.arrays.ArrowExtensionArray(values), index=index)


def _array(column: Column, batch: Mapping[str, Any]) -> Any:
    """Return a column for a dict of arrays; a list where the dict has lists."""
    if _ENGINE in sys.modules:
        return _arrow(column)
    if any(isinstance(values, list) for values in batch.values()):
        return column.items
    import numpy as np

    array = np.empty(len(column.items), dtype=object)
    for index, value in enumerate(column.items):  # a slice would make a second dimension of vectors
        array[index] = value
    return array
