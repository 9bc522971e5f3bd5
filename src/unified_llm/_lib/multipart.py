"""Forms with files: ``multipart/form-data`` (RFC 7578)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

# RFC 7578, section 4.2: as browsers write what would end the name (html.spec.whatwg.org, multipart/form-data encoding).
_ESCAPES: Final = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})
_MEDIA_TYPE: Final = re.compile(r"[\w.+-]+/[\w.+-]+(;[ \w.+=-]*)?", re.ASCII)


class FormFile(NamedTuple):
    """A file in a form."""

    data: bytes
    filename: str
    media_type: str


def encode_form(fields: Iterable[tuple[str, str | FormFile]]) -> tuple[str, bytes]:
    """Encode the fields of a form, in order.

    Args:
        fields: Names, each with a text or a file; a name may occur several times.

    Returns:
        The value of ``Content-Type``, and the body.

    Raises:
        ValueError: A text has half of a surrogate pair.
    """
    parts = [_encode_field(name, value) for name, value in fields]
    digest = hashlib.sha256()  # of everything, so that nothing in the form can contain it
    for head, data in parts:
        digest.update(head)
        digest.update(data)
    boundary = digest.hexdigest()[:32]
    begin, end = f"--{boundary}\r\n".encode(), b"\r\n"
    pieces = [piece for head, data in parts for piece in (begin, head, data, end)]
    return f"multipart/form-data; boundary={boundary}", b"".join([*pieces, f"--{boundary}--\r\n".encode()])


def _encode_field(name: str, value: str | FormFile) -> tuple[bytes, bytes]:
    """Return the headers of a part, with the blank line after them, and its data."""
    head = f'Content-Disposition: form-data; name="{name.translate(_ESCAPES)}"'
    if isinstance(value, str):
        return f"{head}\r\n\r\n".encode(), value.encode()
    media_type = value.media_type if _MEDIA_TYPE.fullmatch(value.media_type) else "application/octet-stream"
    filename = value.filename.translate(_ESCAPES)
    return f'{head}; filename="{filename}"\r\nContent-Type: {media_type}\r\n\r\n'.encode(), value.data
