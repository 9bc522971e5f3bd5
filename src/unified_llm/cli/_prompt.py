"""The prompt of a command: from its arguments, standard input, files and images."""

from __future__ import annotations

import os
import stat
import sys
from array import array
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from unified_llm._lib.file_types import decode_text
from unified_llm._lib.local_files import LARGEST_FILE, read_rest
from unified_llm.exceptions import ValidationError
from unified_llm.types.content import FilePart, Part, TextPart
from unified_llm.types.local_parts import image_part
from unified_llm.types.messages import Message

STDIN: Final = "-"
_SEPARATOR: Final = "\n\n"


def read_messages(
    words: Sequence[str], files: Sequence[Path], images: Sequence[str], system: str | None
) -> list[Message]:
    """Return the messages of a prompt: arguments, then files, separated by blank lines; then documents and images.

    Without arguments and files, standard input is the prompt; ``-`` among either stands for it.

    Raises:
        ValidationError: There is no prompt, or something of it cannot be read.
    """
    if not words and not files:
        if _is_terminal():
            raise ValidationError("there is no prompt: give it as an argument, with --file, or on standard input")
        words = [STDIN]
    texts, documents = list(_read_words(words)), list[Part]()
    for path in files:
        content = _read_file(path)
        texts += [content] if isinstance(content, str) else []
        documents += [content] if isinstance(content, FilePart) else []
    text = _SEPARATOR.join(filter(None, (text.strip("\r\n") for text in texts)))
    if not text.strip() and not documents:
        raise ValidationError("the prompt is empty")
    parts = [*documents, *(image_part(check_argument(image, "--image")) for image in images)]
    question = Message("user", (TextPart(text), *parts)) if parts else Message.user(text)
    return [question] if system is None else [Message.system(check_argument(system, "--system")), question]


def _read_words(words: Sequence[str]) -> Iterator[str]:
    """Yield the texts of arguments: words that follow each other are one text."""
    for is_stdin, group in groupby(words, key=lambda word: word == STDIN):
        yield read_stdin() if is_stdin else check_argument(" ".join(group), "the prompt")


def read_texts(arguments: Sequence[str]) -> list[str]:
    """Return the texts of a command: its arguments, and the lines of standard input for ``-`` or where there are none.

    Raises:
        ValidationError: There is none, one is blank, or standard input cannot be read.
    """
    if not arguments and _is_terminal():
        raise ValidationError("there is no text: give it as an argument, or a line each on standard input")
    texts: list[str] = []
    for argument in arguments or (STDIN,):
        texts += _lines(read_stdin()) if argument == STDIN else [check_argument(argument, "a text")]
    blank = next((number for number, text in enumerate(texts, 1) if not text.strip()), None)
    if blank is not None:  # left out, the vectors would no longer be in the order of the lines
        raise ValidationError(f"text {blank} of {len(texts)} is blank: leave it out")
    if not texts:
        raise ValidationError("there is no text on standard input")
    return texts


def _lines(text: str) -> list[str]:
    """Split at line feeds alone: other separators of Unicode may be part of a text."""
    text = text.replace("\r\n", "\n").rstrip("\n")
    return text.split("\n") if text else []


def read_stdin() -> str:
    """Return the text on standard input.

    Raises:
        ValidationError: It is closed, or is no text in UTF-8.
    """
    if sys.stdin is None:
        raise ValidationError("standard input is closed: give the text as an argument")
    try:
        data = read_rest(sys.stdin.buffer)
    except OSError as error:
        raise ValidationError(f"standard input cannot be read: {error.strerror}") from None
    return decode(data, "standard input")


def _read_file(path: Path) -> str | FilePart:
    if str(path) == STDIN:
        return read_stdin()
    name = check_argument(str(path), "--file")
    try:
        with path.open("rb") as file:
            data = read_rest(file, LARGEST_FILE)
    except OSError as error:
        raise ValidationError(f"{name} cannot be read: {error.strerror}") from None
    except ValueError:
        raise ValidationError("a path of --file holds a NUL character") from None
    if data.startswith(b"%PDF-"):
        return FilePart(data, "application/pdf", path.name)
    return decode(data, name)


def decode(data: bytes, name: str) -> str:
    """Return a text in UTF-8, or in UTF-16 if it begins with the mark of that, as PowerShell writes it.

    Raises:
        ValidationError: It is neither.
    """
    try:
        text = decode_text(data)
    except UnicodeDecodeError as wrong:
        raise ValidationError(
            f"{name} is no text in UTF-8 (byte {wrong.start}): convert it, or give an image with --image"
        ) from None
    if "\0" in text:
        raise ValidationError(f"{name} is no text: it holds NUL characters; give an image with --image")
    return text


def check_argument(text: str, name: str) -> str:
    """Return an argument of the command line.

    Raises:
        ValidationError: Its bytes are no text in the encoding of this process.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValidationError(f"{name} has bytes that are no text in UTF-8") from None
    return text


def is_unread() -> bool:
    """Check whether a text waits on standard input, in a file or a pipe, that no argument asked for."""
    try:
        status = os.fstat(sys.stdin.fileno())
        if stat.S_ISREG(status.st_mode):
            return status.st_size > os.lseek(sys.stdin.fileno(), 0, os.SEEK_CUR)
        return stat.S_ISFIFO(status.st_mode) and _bytes_waiting() > 0
    except (OSError, ValueError, AttributeError, ImportError):  # it is closed, or this is Windows
        return False


def _bytes_waiting() -> int:
    import fcntl
    import termios

    waiting = array("i", [0])
    fcntl.ioctl(sys.stdin.fileno(), termios.FIONREAD, waiting)
    return waiting[0]


def _is_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()
