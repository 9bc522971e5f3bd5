"""Hiding keys in arguments and messages before anything else may fail: tracebacks are printed with their variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from unified_llm._core.api_key import OmittedKey, Secret

# How providers' keys begin, and from what length on a single word with digits is more likely a key than a name.
_KEY_PREFIX: Final = re.compile(r"(sk|pk|rk|gsk|csk|hf|xai|nvapi|pplx|r8|AIza|AKIA|ghp|key|tgp|fw)[-_]?[\w-]{12,}|AIza")
_KEY_LENGTH: Final = 28
_LONGEST_NAME: Final = 80
# Header names that suggest a key. (LLMConfig refuses Authorization.)
_KEYISH: Final = ("key", "token", "secret", "auth", "cookie")


class UncheckedKey:
    """A key that was not checked yet, hidden from tracebacks until it is."""

    __slots__ = ("_value",)

    def __init__(self, value: str | bytes) -> None:
        self._value = value

    def get_secret_value(self) -> str | bytes:
        """Return the key; Pydantic's ``SecretStr`` has a method of the same name."""
        return self._value

    def __repr__(self) -> str:
        """Hide the key."""
        return "UncheckedKey('***')"


def hide_nested_keys(given: Any) -> Any:
    """Wrap ``api_key`` in a mapping, or in the mappings of a list; return anything else as it is. Never fails."""
    if isinstance(given, (list, tuple)):
        return [_hide_key(item) for item in given]
    return _hide_key(given)


def _hide_key(given: Any) -> Any:
    if isinstance(given, Mapping) and isinstance(given.get("api_key"), (str, bytes)):
        return {**given, "api_key": UncheckedKey(given["api_key"])}
    return given


def may_be_a_key(header: str) -> bool:
    """Check whether the name of a header suggests that its value is a key."""
    return any(word in header.lower() for word in _KEYISH)


def hide_keys(fields: dict[str, Any]) -> None:
    """Put a ``Secret`` in place of ``api_key`` among keyword arguments, and hide the keys of fallbacks.

    In place, since a traceback may be printed with the variables of every frame.

    Raises:
        ConfigurationError: The key is malformed. It is then no longer among the arguments.
    """
    for name in fields.keys() & {"fallbacks", "fallback_configs"}:
        fields[name] = hide_nested_keys(fields[name])
    if not isinstance(fields.get("api_key"), (Secret, OmittedKey, type(None))):
        fields["api_key"] = Secret(_unwrapped(fields.pop("api_key")), "api_key=")


def quoted(text: str) -> str:
    """Quote a name for a message, unless it could be a key in the wrong place."""
    start = text.replace(":", "/").partition("/")[0]
    looks_like_a_key = _KEY_PREFIX.match(text) or (len(start) >= _KEY_LENGTH and any(map(str.isdigit, start)))
    if looks_like_a_key or len(text) > _LONGEST_NAME or not text.isprintable():
        return "that name"
    return repr(text)


def _unwrapped(value: Any) -> Any:
    """Unwrap Pydantic's ``SecretStr``, and ``UncheckedKey``."""
    return value.get_secret_value() if hasattr(value, "get_secret_value") else value
