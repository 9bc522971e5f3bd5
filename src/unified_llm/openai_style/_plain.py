"""What programs put into a request, as plain JSON values: dictionaries, objects of an earlier response, iterables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from unified_llm.openai_style._objects import OpenAIObject
from unified_llm.openai_style._omitted import is_omitted

_SCALARS: Final = (str, int, float, bool, type(None))
# Fields of a parsed message, which no API has.
_PARSED: Final = frozenset({"parsed", "parsed_arguments"})


def plain(value: Any) -> Any:
    """Return a value of a request without classes of any package; what JSON has no form for is returned as it is.

    Messages of earlier responses, of this package or of OpenAI's SDK, become what the provider sent; iterables become
    lists, and fields that are ``NOT_GIVEN`` are left out.
    """
    if isinstance(value, _SCALARS):
        return value
    if isinstance(value, Mapping):
        fields = value.items()
        return {name: plain(field) for name, field in fields if not is_omitted(field)}
    if isinstance(value, OpenAIObject):
        return _without_parsed(value.to_dict(mode="json"))
    if isinstance(value, type):
        return value
    if hasattr(value, "model_dump"):
        hidden = getattr(value, "__api_exclude__", None)
        return _without_parsed(value.model_dump(mode="json", exclude_unset=True, exclude=hidden, by_alias=True))
    if isinstance(value, Iterable) and not isinstance(value, (bytes, bytearray, memoryview)):
        return [plain(item) for item in value]
    return value


def _without_parsed(dumped: Any) -> Any:
    match dumped:
        case dict():
            fields = cast("dict[str, Any]", dumped).items()
            return {name: _without_parsed(value) for name, value in fields if name not in _PARSED}
        case list():
            return [_without_parsed(item) for item in dumped]
        case _:
            return dumped
