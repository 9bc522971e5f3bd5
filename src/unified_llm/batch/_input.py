"""The input of a run: a file of JSON lines or of Parquet, or standard input, read lazily and several times.

A run reads it to answer it, and once more to write the output in the same order; ``--plan`` reads it alone. What is
wrong with a line is that line's failure. An input that is no such file at all is one error.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final, Self, cast

from unified_llm._lib.bounded_json import JSONError, parse
from unified_llm._lib.whole_file import is_stream
from unified_llm.batch._lines import EMBEDDINGS, BadLine, BatchLine, Line, default_id, read_line, shown, without_nulls
from unified_llm.batch._prompts import PromptReader
from unified_llm.batch._template import no_column
from unified_llm.exceptions import ValidationError

STDIN: Final = "-"

_LONGEST_LINE: Final = 256 << 20
_MAX_STRUCTURE: Final = 20_000_000  # of a line: many texts to embed, as tokens
_LOOKED_AT: Final = 20  # lines, of which none is a request where the input is another kind of file
_REQUEST: Final = frozenset({"url", "body"})
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")
_PARQUET: Final = b"PAR1"
_OTHER_FILES: Final[Mapping[bytes, str]] = {
    b"\x1f\x8b": "is compressed: unpack it",
    b"\xfd7zXZ": "is compressed: unpack it",
    b"BZh": "is compressed: unpack it",
    b"\x28\xb5\x2f\xfd": "is compressed: unpack it",
    b"PK": "is an archive: unpack it",
    b"[": "is one JSON array: write each of its items in a line of its own (jq -c '.[]')",
}


class Input:
    """The lines of an input.

    Args:
        path: The file, or ``-`` for standard input. This, and a pipe, can be read once alone, and are copied to a
            temporary file first.
        prompts: Makes requests of rows; None for lines of OpenAI's format.
        limit: The number of lines after which it ends; None for all.

    Raises:
        ValidationError: It cannot be read, or is another kind of file.
    """

    def __init__(self, path: str, prompts: PromptReader | None = None, limit: int | None = None) -> None:
        self.path, self.name = path, "standard input" if path == STDIN else path
        self._read_line, self._limit = prompts.read if prompts else read_line, limit
        self.has_rows, self.makes_vectors = prompts is not None, prompts is not None and prompts.url == EMBEDDINGS
        self._prompts = prompts
        self._copy: BinaryIO | None = self._copied() if path == STDIN or is_stream(path) else None
        with self.opened() as file:
            start = file.read(16)
        self.is_parquet: Final = start.startswith(_PARQUET)
        for beginning, problem in _OTHER_FILES.items():
            if start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(beginning):
                raise ValidationError(f"{self.name} {problem}")

    def __enter__(self) -> Self:
        """Delete the copy at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Delete it."""
        if self._copy is not None:
            self._copy.close()

    def __len__(self) -> int:
        """Count the lines that are not blank; that reads the file once."""
        with self.opened() as file:
            if self.is_parquet:
                from unified_llm.batch._parquet import count_rows

                count = count_rows(file, self.name)
            else:
                count = sum(not data.isspace() for data in _split(file, self.name))
        return count if self._limit is None else min(count, self._limit)

    def check(self) -> None:
        """Refuse an input without requests, and one whose first row lacks a column of the prompts: all will.

        Raises:
            ValidationError: It is such an input.
        """
        beginning = [*islice(self.lines(), _LOOKED_AT)]
        if not beginning:
            raise ValidationError(f"{self.name} has no lines")
        first = beginning[0]
        if isinstance(first, BadLine) and not any(map(self._may_be_request, beginning)):
            hint = "" if self.has_rows or first.fields is None else "; rows with a prompt in a column need --column"
            raise ValidationError(f"{self.name} has no requests: line {first.number}: {first.problem}{hint}")
        for column in self._prompts.columns if self._prompts else ():
            if first.fields is not None and column not in first.fields:
                raise ValidationError(f"line {first.number} of {self.name}: {no_column(first.fields, column)}")

    def _may_be_request(self, line: Line) -> bool:
        """Return whether a line is one of such an input, even if something is wrong with it."""
        return line.fields is not None and (self.has_rows or not _REQUEST.isdisjoint(line.fields))

    @contextmanager
    def opened(self) -> Generator[BinaryIO]:
        """Open the file, or its copy, at its beginning."""
        if self._copy is not None:
            self._copy.seek(0)
            yield self._copy
            return
        with self._open() as file:
            yield file

    def _open(self) -> BinaryIO:
        if not self.path:
            raise ValidationError("the name of the input is empty")
        try:
            if Path(self.path).is_dir():
                raise ValidationError(f"{self.name} is a folder: name a file")
            return Path(self.path).open("rb")
        except OSError as error:
            raise ValidationError(f"{self.name} cannot be read: {error.strerror}") from None
        except ValueError:
            raise ValidationError("the name of the input holds a NUL character") from None

    def _copied(self) -> BinaryIO:
        if self.path == STDIN and sys.stdin is None:
            raise ValidationError("standard input is closed: name a file")
        copy: Any = tempfile.TemporaryFile()  # noqa: SIM115 - kept for the whole run
        try:
            with nullcontext(sys.stdin.buffer) if self.path == STDIN else self._open() as file:
                shutil.copyfileobj(file, copy)
            copy.flush()
        except OSError as error:
            error.filename = error.filename or tempfile.gettempdir()
            raise
        return cast("BinaryIO", copy)

    def lines(self) -> Iterator[Line]:
        """Yield the lines that are not blank. A line whose ``custom_id`` an earlier one has is a failure."""
        numbers: dict[int, int] = {}
        for line in islice(self._all_lines(), self._limit):
            digest = int.from_bytes(blake2b(line.custom_id.encode(errors="replace"), digest_size=8).digest())
            first = numbers.setdefault(digest, line.number)
            if first != line.number and isinstance(line, BatchLine):
                problem = f"its custom_id {shown(line.custom_id)} is that of line {first} too"
                yield BadLine(line.number, problem, line.custom_id, line.fields)
            else:
                yield line

    def _all_lines(self) -> Iterator[Line]:
        with self.opened() as file:
            if self.is_parquet:
                from unified_llm.batch._parquet import read_rows

                for number, row in enumerate(read_rows(file, self.name), 1):
                    yield self._read_line(number, row if self.has_rows else _with_parsed_body(row))
                return
            for number, data in enumerate(_split(file, self.name), 1):
                if not data.strip():
                    continue
                try:
                    fields = parse(data, max_structure=_MAX_STRUCTURE)
                except JSONError as error:
                    yield BadLine(number, _why_unreadable(data, error), default_id(number))
                else:
                    yield self._read_line(number, fields)


def _with_parsed_body(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of Parquet as a line: a column of bodies has them as objects, or as JSON text."""
    body = row.get("body")
    if isinstance(body, str):
        with suppress(JSONError):
            return {**row, "body": parse(body, max_structure=_MAX_STRUCTURE)}
    return {**row, "body": without_nulls(body)} if isinstance(body, dict) else row


def _split(file: BinaryIO, name: str) -> Iterator[bytes | str]:
    """Yield each line; of one that is too long, its beginning."""
    start = file.read(2)
    file.seek(0)
    if start in _UTF_16:  # as PowerShell writes it
        text = io.TextIOWrapper(file, encoding="utf-16", newline="\n")
        try:
            yield from text
        except UnicodeDecodeError:
            raise ValidationError(f"{name} is damaged: it begins as UTF-16, and goes on otherwise") from None
        finally:
            with suppress(ValueError):  # the file is closed already
                text.detach()
        return
    while line := file.readline(_LONGEST_LINE):
        if not line.endswith(b"\n"):
            while (rest := file.readline(_LONGEST_LINE)) and not rest.endswith(b"\n"):
                pass
        yield line


def _why_unreadable(data: bytes | str, error: JSONError) -> str:
    if len(data) >= _LONGEST_LINE:
        return f"it is longer than {_LONGEST_LINE >> 20} MiB"
    if isinstance(data, bytes):
        try:
            data.decode()
        except UnicodeDecodeError as wrong:
            return f"it is no text in UTF-8 (byte {wrong.start + 1})"
    return f"it is no JSON ({error})"
