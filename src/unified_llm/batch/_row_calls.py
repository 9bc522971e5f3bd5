"""What is done with a batch of rows, whatever is asked for each of them: the base of ``Generate`` and ``Embed``."""

from __future__ import annotations

import json
import os
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, fields
from hashlib import sha256
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeAlias, cast

from unified_llm._client.checkpoints import check_path, open_checkpoint
from unified_llm._client.map.tally import kind_of
from unified_llm._config.process_defaults import configure
from unified_llm._core.hidden import CLEAR_VARIABLES, Hidden
from unified_llm._state import sharing
from unified_llm.batch._failure_count import FailureCount, is_within_ray, job_name
from unified_llm.batch._row_batches import Column, column_names, read_columns, with_columns
from unified_llm.batch._template import MissingColumnError, Template, as_text
from unified_llm.batch._worker_settings import make_client
from unified_llm.exceptions import ConfigurationError, LLMError, ValidationError
from unified_llm.types.map_results import MapResult, ResponseT
from unified_llm.types.requests import EmbeddingRequest, LLMRequest

if TYPE_CHECKING:
    from unified_llm._lib.checkpoint import Checkpoint

Settings: TypeAlias = "str | Mapping[str, Any]"
Run: TypeAlias = "AbstractContextManager[Iterable[MapResult[ResponseT]]]"

CUSTOM_ID: Final = "custom_id"
_ERROR: Final = "error"
# Seconds that a new worker waits to learn from Redis which targets the others found down.
_CATCH_UP: Final = 2.0


@dataclass(frozen=True, slots=True)
class _Row:
    """A row: what is sent for it, or why nothing is.

    Attributes:
        value: The prompt or text.
        key: What names it in the checkpoint: its ``custom_id``, else the digest of what is sent for it.
        problem: What is wrong with the row.
        earlier: The error of an earlier step, because of which there is no prompt.
    """

    value: Any = field(default=None, repr=False)
    key: str | None = None
    problem: ValidationError | None = None
    earlier: str | None = None


@dataclass(frozen=True, slots=True)
class RowOptions:
    """The options of the constructors, which describe them."""

    column: str
    output: str
    template: str | None
    concurrency: int
    checkpoint: str | os.PathLike[str] | None
    max_failed: int | None
    state: str | None = field(repr=False)

    def check(self) -> None:
        """Refuse what cannot be right.

        Raises:
            ConfigurationError: An option has another type, or is too small.
        """
        for name, text in (("column", self.column), ("output", self.output)):
            if not isinstance(text, str) or not text:
                raise ConfigurationError(f"{name} must be the name of a column.")
        if not isinstance(self.template, str | None):
            raise ConfigurationError("template must be a text with the names of columns in braces.")
        for name, number, least in (("concurrency", self.concurrency, 1), ("max_failed", self.max_failed, 0)):
            is_number = isinstance(number, int) and not isinstance(number, bool) and number >= least
            if not is_number and (number is not None or name == "concurrency"):
                raise ConfigurationError(f"{name} must be a whole number, {least} or greater.")
        if self.checkpoint is not None:
            self._check_checkpoint(self.checkpoint)

    def _check_checkpoint(self, folder: object) -> None:
        if not isinstance(folder, str | os.PathLike) or not os.fspath(cast("str", folder)):
            raise ConfigurationError("checkpoint must be the path of a folder.")
        check_path(cast("str", folder))
        if is_within_ray() and not Path(cast("str", folder)).is_absolute():
            raise ConfigurationError(
                f"checkpoint={folder!s} must be a whole path, such as /shared/finished: a worker of Ray may have "
                "another working directory, and the next job another one again."
            )


class RowCalls(Generic[ResponseT]):
    """A worker: makes one call for each row of a batch, and returns the batch with further columns.

    A pickle has the arguments of the constructor alone, so that a worker makes a client of its own of it.
    """

    _request: type[LLMRequest | EmbeddingRequest]

    def __init__(self, settings: Hidden[Any], options: RowOptions) -> None:
        self._settings, self._options = settings, options
        self._failures: FailureCount | None = None
        self._checkpoint: Checkpoint | None = None
        with CLEAR_VARIABLES:
            options.check()
            self._template = None if options.template is None else Template.parse(options.template)
            self._client, self._of_requests = make_client(settings.value, type(self).__name__, self._request)
            self._check_output()
            if options.state is not None:
                configure(state=options.state)
            sharing.catch_up(_CATCH_UP)

    def __repr__(self) -> str:
        """Show the chain of targets and the columns."""
        options = self._options
        return f"{type(self).__name__}({self._client}, column={options.column!r}, output={options.output!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the arguments."""
        options = {field.name: getattr(self._options, field.name) for field in fields(self._options)}
        return _make_again, (type(self), self._settings.value, options)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the checkpoint and the connections. Ray does not call this: its workers end with their process."""
        if self._checkpoint is not None:
            self._checkpoint.close()
            self._checkpoint = None
        self._client.close()

    def __call__(self, batch: Any) -> Any:
        """Ask for each row of a batch, and return the batch with further columns.

        Args:
            batch: A dict of arrays or lists, a pandas DataFrame, or a pyarrow Table.

        Raises:
            ValidationError: It has no such column.
            ConfigurationError: The checkpoint cannot be read or written.
            LLMError: More than ``max_failed`` rows have failed.
        """
        given = Hidden(batch)
        del batch
        with CLEAR_VARIABLES:
            return self._answer(given.value)

    def _answer(self, batch: Any) -> Any:
        rows = self._read(batch)
        responses: list[ResponseT | None] = [None] * len(rows)
        errors, failures = [row.earlier for row in rows], self._count_failures()

        def fail(index: int, error: LLMError) -> None:
            errors[index] = f"{kind_of(error)}: {error}"
            failures.add(error)

        for index, row in enumerate(rows):
            if row.problem:
                fail(index, row.problem)
        sent = [index for index, row in enumerate(rows) if not (row.problem or row.earlier)]
        with self._run([self._item(rows[index].value, rows[index].key) for index in sent]) as results:
            for index, result in zip(sent, results, strict=True):
                responses[index] = result.response
                if result.error is not None:
                    fail(index, result.error)
        failures.share()
        if self._checkpoint is not None:
            self._checkpoint.flush()
        output = {self._options.output: self._output(responses)}
        return with_columns(batch, {**output, **self._columns(responses), _ERROR: Column("text", errors)})

    def _check_output(self) -> None:
        """Refuse an output that another column of the result would replace.

        Raises:
            ConfigurationError: It is one.
        """
        others = [*self._columns([]), _ERROR]
        if self._options.output in others:
            raise ConfigurationError(
                f"output cannot be {self._options.output!r}: that column has something else ({', '.join(others)} are "
                "taken)."
            )

    def _read(self, batch: Any) -> list[_Row]:
        """Return what is to be sent for each row. One that failed in an earlier step keeps its error."""
        names = [self._options.column] if self._template is None else self._template.columns
        optional = [name for name in (CUSTOM_ID, _ERROR) if name in column_names(batch)]
        columns = read_columns(batch, [*dict.fromkeys([*names, *optional])])
        nothing = repeat(None)
        keys, earlier = columns.get(CUSTOM_ID, nothing), columns.get(_ERROR, nothing)
        prompts = zip(*(columns[name] for name in names), strict=True)
        return [
            self._read_row(dict(zip(names, values, strict=True)), key, error)
            for values, key, error in zip(prompts, keys, earlier, strict=False)
        ]

    def _read_row(self, row: Mapping[str, Any], custom_id: Any, earlier: Any) -> _Row:
        if earlier and None in row.values():
            return _Row(earlier=as_text(earlier))
        try:
            value = row[self._options.column] if self._template is None else self._template.fill(row)
        except MissingColumnError as error:
            return _Row(problem=ValidationError(f"No prompt can be made of this row: {error}."))
        if value is None:
            return _Row(problem=ValidationError(f"The column {self._options.column!r} of this row is empty."))
        if self._options.checkpoint is None:
            return _Row(value)
        return _Row(value, _digest(value) if custom_id in (None, "") else str(custom_id))

    def _count_failures(self) -> FailureCount:
        if self._failures is None:
            self._failures = FailureCount(self._options.max_failed, f"{job_name()}:{self._options.output}")
        return self._failures

    def _open_checkpoint(self) -> Checkpoint | None:
        """Return the checkpoint, with a part for this process alone."""
        if self._checkpoint is None and self._options.checkpoint is not None:
            self._checkpoint = open_checkpoint(f"{Path(self._options.checkpoint).absolute()}{os.sep}")
        return self._checkpoint

    # What is asked for each row

    @abstractmethod
    def _item(self, value: Any, key: str | None) -> Any:
        """Return what is passed to ``map`` for a row."""

    @abstractmethod
    def _run(self, items: Sequence[Any]) -> Run[ResponseT]:
        """Begin the requests."""

    @abstractmethod
    def _output(self, responses: Sequence[ResponseT | None]) -> Column:
        """Return the column of the responses; None where a row has none."""

    @abstractmethod
    def _columns(self, responses: Sequence[ResponseT | None]) -> dict[str, Column]:
        """Return the columns of what is known of the responses."""


def _make_again(kind: Any, settings: Any, options: Mapping[str, Any]) -> Any:
    """Make an instance of what its pickle holds."""
    given = Hidden((settings, options))
    del settings, options
    return kind(given.value[0], **given.value[1])


def _digest(value: Any) -> str:
    try:
        text = json.dumps(value, sort_keys=True, default=repr)
    except (TypeError, ValueError):  # names of several types: no request, which is said of this row alone
        text = repr(value)
    return sha256(text.encode(errors="backslashreplace")).hexdigest()
