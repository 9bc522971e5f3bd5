"""Names in the paths of URLs: models, deployments, versions of an API.

A name comes from users, often from those of a web service, and the request that it names carries a key. So it becomes
percent-encoded segments, and a name from which a client, a gateway or a server could make another path is refused.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, unquote

from unified_llm.exceptions import ValidationError

_DOT_SEGMENTS: Final = frozenset({".", ".."})
# Nothing in it is encoded, and no segment is one of dots if none begins with a dot: as almost every name.
_PLAIN: Final = re.compile(r"[A-Za-z0-9_/-][A-Za-z0-9_./:@+-]*")
# What may follow a segment or a name and is cut off on the way: parameters (RFC 3986), the suffix of a model's name.
_SUFFIX: Final = re.compile("[;:]")


def problem_with(path: str) -> str | None:
    """Say what makes a name or a path unsafe in a URL, however often it is percent-encoded; None if nothing does."""
    if _PLAIN.fullmatch(path) and "/." not in path:
        return None
    while True:
        if not path.isprintable():  # control characters, line breaks, bidi controls, lone surrogates
            return "is not printable"
        if "\\" in path:  # some servers take it for a slash
            return "has a backslash in it"
        if any(_SUFFIX.split(part)[0].strip() in _DOT_SEGMENTS for part in path.split("/")):
            return 'has "." or ".." in its path'
        decoded = unquote(path)
        if decoded == path:
            return None
        path = decoded


def segment(name: str) -> str:
    """Return a name as one percent-encoded segment of a path.

    Raises:
        ValidationError: It is empty, or no server could be trusted to take it for a name.
    """
    if problem := problem_with(name) if name else "is empty":
        raise ValidationError(f"The name of a model {problem}: pass the name that the provider lists.")
    return quote(name, safe="")


def segments(name: str, *, has_parts: bool) -> str:
    """Return a name as segments of a path.

    Args:
        name: The name.
        has_parts: The slashes in the names of this provider separate parts (``org/name``), so they are kept.

    Raises:
        ValidationError: As for ``segment``.
    """
    parts = name.split("/")
    if not has_parts or not all(parts):
        return segment(name)
    return "/".join(map(segment, parts))
