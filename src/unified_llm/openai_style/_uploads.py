"""Files as programs pass them to OpenAI's SDK: bytes, paths, open files, and tuples of a name and one of these."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping
from os import PathLike
from pathlib import PurePath
from typing import Any, Final, TypeVar

from unified_llm._client.drivers import check_loop
from unified_llm._core.hidden import CLEAR_VARIABLES, Hidden
from unified_llm._formats.request_fields import form_fields
from unified_llm._lib.local_files import read_file, read_open_file
from unified_llm.exceptions import ValidationError
from unified_llm.types.media_requests import MediaFile

T = TypeVar("T")
_UNNAMED: Final = "upload"
_UNKNOWN_TYPE: Final = "application/octet-stream"


def form_of(body: Mapping[str, Any], file_fields: Collection[str]) -> tuple[tuple[str, str | MediaFile], ...]:
    """Return a body as the fields of a form: texts and files.

    Args:
        body: The body.
        file_fields: The fields that are files. A list of files has ``[]`` after its name, a mapping is no file.

    Raises:
        ValidationError: A file cannot be read.
    """
    return tuple(pair for name, value in body.items() for pair in _fields_of(name, value, name in file_fields))


async def beside_loop(read: Callable[[Mapping[str, Any]], T], given: Mapping[str, Any]) -> T:
    """Return what ``read`` makes of the arguments of a call with files, while the event loop goes on."""
    hidden = Hidden(given)
    del given
    check_loop()
    return await asyncio.to_thread(_read_hidden, read, hidden)


def _read_hidden(read: Callable[[Mapping[str, Any]], T], given: Hidden[Mapping[str, Any]]) -> T:
    with CLEAR_VARIABLES:
        return read(given.value)


def _fields_of(name: str, value: Any, is_file: bool) -> Iterator[tuple[str, str | MediaFile]]:  # noqa: FBT001
    if not is_file or value is None or isinstance(value, Mapping):
        yield from form_fields({name: value})
    elif isinstance(value, list):
        for file in value:
            yield f"{name}[]", read_upload(name, file)
    else:
        yield name, read_upload(name, value)


def read_upload(argument: str, file: Any) -> MediaFile:
    """Read a file: bytes, a path, a file that is open in binary mode, or (name, content[, media type]).

    A path is read on this machine, so it must not come from untrusted input. A string is refused, as it may be either
    a path or a text.

    Args:
        argument: The name of the argument, for errors.
        file: The file.

    Raises:
        ValidationError: It is something else, is no regular file of at most 64 MiB, or is empty.
    """
    name, media_type = None, None
    if isinstance(file, tuple) and 2 <= len(file) <= 4:
        name, file, *rest = file
        media_type = rest[0] if rest else None
        if isinstance(file, str):
            file = file.encode()
    try:
        data = _read(file)
    except (OSError, ValueError) as error:
        raise ValidationError(f"{argument} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    except TypeError:
        raise ValidationError(
            f"{argument} must be bytes, a pathlib.Path, a file that is open in binary mode, or a tuple of a name and "
            f"one of these, not {type(file).__name__}: for a path write pathlib.Path(...) or open(..., 'rb')."
        ) from None
    filename = str(name) if name else _name_of(file)
    return MediaFile(data, filename, media_type or _type_of(filename))


def _read(file: Any) -> bytes:
    if isinstance(file, (bytes, bytearray, memoryview)):
        return bytes(file)
    if isinstance(file, PathLike):
        return read_file(file)
    if callable(getattr(file, "read", None)):
        return read_open_file(file)
    raise TypeError


def _name_of(file: Any) -> str:
    path = file if isinstance(file, PathLike) else getattr(file, "name", None)
    return (PurePath(str(path)).name if path is not None else "") or _UNNAMED


def _type_of(filename: str) -> str:
    import mimetypes  # importing it reads its tables

    return mimetypes.guess_type(filename)[0] or _UNKNOWN_TYPE
