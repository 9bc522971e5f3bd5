"""Parse and write JSON, with bounds on hostile input.

``pydantic_core`` parses: it is a dependency already, fast, and reads incomplete JSON. It bounds recursion and accepts
5,000-digit integers; the standard library's parser fails on both. Structure is bounded before parsing, since parsed
values take up to 60 times the memory of their text.

Servers and models also write what strict JSON excludes: half of a surrogate pair (gateways that cut text by UTF-16
units, github.com/pydantic/pydantic-core/issues/1363), line feeds and tabs inside strings (earendil-works/pi#2981), and
models ``NaN`` among arguments. ``parse_lenient`` reads it; everything that a provider sends goes through it. Bytes that
are not UTF-8 and other control characters are damage. ``parse`` is for JSON that others will have to read.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final, NoReturn, cast

from pydantic_core import from_json

__all__ = [
    "MAX_STRUCTURE",
    "JSONError",
    "OversizedJSONError",
    "dump",
    "finite",
    "parse",
    "parse_arguments",
    "parse_lenient",
    "parse_object",
    "parse_partial",
    "scrub",
    "size_of_value",
    "strict_arguments",
    "without_nan",
]

MAX_STRUCTURE: Final = 1_000_000
"""Most of ``{``, ``[`` and ``,`` in a text, unless the caller of ``parse`` says otherwise."""

_MAX_DEPTH: Final = 64
_VALUE_SIZE: Final = 64  # bytes that a parsed value takes besides its text, roughly


class JSONError(ValueError):
    """The text is not the expected JSON. The message never contains the text."""


class OversizedJSONError(JSONError):
    """The text has more structure than is accepted; it was not parsed."""


def parse(text: str | bytes | bytearray, *, max_structure: int = MAX_STRUCTURE, max_names: int | None = None) -> Any:
    """Parse any JSON value; skip a byte order mark.

    A number beyond the range of a float (``1e999``) becomes infinity, as with every parser here: see ``finite``.

    Args:
        text: The text.
        max_structure: Most of ``{``, ``[`` and ``,`` in it.
        max_names: Most of ``{``, ``[`` and ``"`` in it; None for no limit besides.

    Raises:
        OversizedJSONError: The text has more structure than that.
        JSONError: The text is not JSON.
    """
    _check_bounds(text, max_structure, max_names)
    return _parse_strict(text, allow_nan=False)


def parse_lenient(
    text: str | bytes | bytearray,
    *,
    max_structure: int = MAX_STRUCTURE,
    max_names: int | None = None,
    keep_halves: bool = False,
    allow_nan: bool = False,
) -> Any:
    """Parse JSON as servers and models write it, see the top of this module; strict JSON as fast as ``parse``.

    Args:
        text: The text.
        max_structure: As of ``parse``.
        max_names: As of ``parse``.
        keep_halves: Keep lone surrogates, because the other half may be in the next event of a stream; by default they
            become U+FFFD.
        allow_nan: Read ``NaN`` and ``Infinity``, as floats.

    Raises:
        OversizedJSONError: The text has more structure than that.
        JSONError: The text is not JSON.
    """
    _check_bounds(text, max_structure, max_names)
    try:
        return _parse_strict(text, allow_nan=allow_nan)
    except JSONError as error:
        problem = str(error)
    try:
        whole = text if isinstance(text, str) else text.decode("utf-8-sig")
        if _DAMAGE.search(whole):
            raise JSONError(problem)
        value = json.loads(whole, strict=False, parse_constant=None if allow_nan else _refuse_constant)
        return value if keep_halves else scrub(value)
    except (ValueError, RecursionError):
        raise JSONError(problem) from None


def _parse_strict(text: str | bytes | bytearray, *, allow_nan: bool) -> Any:
    try:
        return from_json(_without_mark(text), allow_inf_nan=allow_nan)
    except TypeError:
        raise JSONError("the text holds a lone surrogate, which UTF-8 cannot carry") from None
    except ValueError as error:
        # The parser's message names the position and the expected token, never the text itself.
        raise JSONError(str(error)) from None


def parse_arguments(text: str) -> dict[str, Any]:
    """Parse the arguments of a call as a model wrote them: as ``parse_lenient``, with ``NaN``.

    Nothing and ``null`` are no arguments (Groq sends ``null`` for a tool without parameters,
    github.com/langchain-ai/langchain/issues/33896); all of these may be JSON text once more.

    Raises:
        JSONError: They are no JSON object.
    """
    value = parse_lenient(text, allow_nan=True) if text.strip() else None
    if isinstance(value, str) and (value.lstrip().startswith("{") or value.strip() in {"", "null"}):
        value = parse_lenient(value, allow_nan=True) if value.strip() else None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise JSONError(f"expected a JSON object, got {type(value).__name__}")
    return cast("dict[str, Any]", value)


def strict_arguments(text: str) -> str:
    """Return the arguments of a call as strict JSON text; the text itself where it is that, or cannot be read.

    ``NaN``, which JSON lacks, becomes null.
    """
    try:
        parse_object(text)
    except JSONError:
        try:
            return dump(without_nan(parse_arguments(text)))
        except JSONError:
            return text
    return text


# Control characters that no server or model writes as text.
_DAMAGE: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def scrub(value: Any) -> Any:
    """Return parsed JSON with surrogate pairs joined, and U+FFFD in place of lone ones, which UTF-8 cannot carry."""
    if isinstance(value, str):
        if value.isascii() or _SURROGATE.search(value) is None:
            return value
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        return {scrub(name): scrub(child) for name, child in value.items()}
    return [scrub(child) for child in value] if isinstance(value, list) else value


def without_nan(value: Any, depth: int = 0) -> Any:
    """Return a value with null in place of ``NaN`` and infinity, which JSON lacks; to 64 levels."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth >= _MAX_DEPTH:  # such as a list that contains itself, which the writer reports
        return value
    if isinstance(value, Mapping):
        return {name: without_nan(child, depth + 1) for name, child in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(child, depth + 1) for child in cast("list[Any]", value)]
    return value


def _check_bounds(text: str | bytes | bytearray, max_structure: int, max_names: int | None) -> None:
    if len(text) > max_structure and _count(text, "{[,") > max_structure:
        raise OversizedJSONError(f"the text has more than {max_structure} values")
    if max_names is not None and len(text) > max_names and _count(text, '{["') > max_names:
        raise OversizedJSONError(f"the text has more than {max_names} names and lists")


def _without_mark(text: str | bytes | bytearray) -> str | bytes | bytearray:
    """Return the text without a byte order mark."""
    return text[3:] if not isinstance(text, str) and text.startswith(b"\xef\xbb\xbf") else text


def _count(text: str | bytes | bytearray, characters: str) -> int:
    if isinstance(text, str):
        return sum(map(text.count, characters))
    return sum(map(text.count, map(str.encode, characters)))


def size_of_value(value: Any) -> int:
    """Estimate the bytes that a parsed value takes."""
    if isinstance(value, str):
        return _VALUE_SIZE + len(value)
    if isinstance(value, dict):
        return 3 * _VALUE_SIZE + sum(size_of_value(name) + size_of_value(child) for name, child in value.items())
    return _VALUE_SIZE + sum(map(size_of_value, value)) if isinstance(value, list) else _VALUE_SIZE


def parse_object(text: str | bytes) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        JSONError: The text is not JSON, or not an object.
    """
    value = parse(text)
    if not isinstance(value, dict):
        raise JSONError(f"expected a JSON object, got {type(value).__name__}")
    return value


def parse_partial(text: str) -> Any:
    """Parse the beginning of a JSON value; return None if it is too short, too large or invalid."""
    if len(text) > MAX_STRUCTURE and _count(text, "{[,") > MAX_STRUCTURE:
        return None
    try:
        return from_json(text, allow_partial="trailing-strings", allow_inf_nan=False)
    except (TypeError, ValueError):
        return None


def dump(value: Any) -> str:
    """Write compact JSON; keep non-ASCII characters unescaped.

    Raises:
        JSONError: A value has no JSON form (NaN, a set, bytes, a cycle, a lone surrogate ...).
    """
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_mapping_to_dict)
        text.encode()
    except UnicodeEncodeError:
        raise JSONError("a text holds a lone surrogate, which UTF-8 cannot carry") from None
    except (TypeError, ValueError, RecursionError) as error:
        raise JSONError(f"a value cannot be written as JSON ({type(error).__name__})") from None
    return text


def _mapping_to_dict(value: Any) -> Any:
    """Convert mappings other than dict, which are JSON objects too."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError


def finite(value: Any) -> float | None:
    """Return the value as a finite float, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer of hundreds of digits
        return None
    return number if math.isfinite(number) else None
