"""Keys: checked when they are given, hidden wherever they might be printed.

A malformed key must be found here: HTTP clients echo it in full when they refuse the header.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, NoReturn

from unified_llm.exceptions import ConfigurationError

_LONGEST: Final = 8192
# How providers' keys begin, and from what length on a single word with digits is more likely a key than a name.
_KEY_PREFIX: Final = re.compile(r"(sk|pk|rk|gsk|csk|hf|xai|nvapi|pplx|r8|AIza|AKIA|ghp|key|tgp|fw)[-_]?[\w-]{12,}|AIza")
_KEY_LENGTH: Final = 28
_LONGEST_NAME: Final = 80
# Header names that suggest a key. (LLMConfig refuses Authorization.)
_KEYISH: Final = ("key", "token", "secret", "auth", "cookie")


class Secret:
    """A key that shows itself only to ``reveal()``. It is never pickled.

    Args:
        value: The key.
        source: Where it came from, for messages: ``api_key=``, or the name of an environment variable.

    Raises:
        ConfigurationError: It is empty, or holds a character that no HTTP header can carry. The message names the
            source and the kind of mistake, never the value.
    """

    __slots__ = ("_value", "fingerprint", "source")

    def __init__(self, value: object, source: str) -> None:
        """Check and keep a key."""
        problem = _problem_with(value)
        if problem:
            del value  # whoever prints this traceback with its variables must not print the key
            raise ConfigurationError(f"The key from {source} {problem}.")
        assert isinstance(value, str)  # noqa: S101 - _problem_with has looked
        self._value = value
        self.source = source
        # Tells two keys apart in the shared health registry without keeping either there.
        self.fingerprint = hashlib.sha256(value.encode()).hexdigest()[:12]

    def reveal(self) -> str:
        """The key itself."""
        return self._value

    def __repr__(self) -> str:
        """Nothing that could be a key."""
        return "Secret('***')"

    def __eq__(self, other: object) -> bool:
        """Equal when the keys are equal."""
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        """By the key."""
        return hash(self._value)

    def __copy__(self) -> Secret:
        """A secret is immutable: a copy is itself."""
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        """A secret is immutable: a copy is itself."""
        return self

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled."""
        raise TypeError("A key is never pickled; the copy finds it in the environment again.")


class OmittedKey(Enum):
    """Stands in a pickled configuration for a key that was given explicitly."""

    KEY = "left out of the pickle"

    def __repr__(self) -> str:
        """Say so."""
        return "<key left out of the pickle>"


class Covered:
    """A key that nobody has checked yet: it shows itself in no traceback while something else may be found wrong."""

    __slots__ = ("_value",)

    def __init__(self, value: str | bytes) -> None:
        """Keep it."""
        self._value = value

    def get_secret_value(self) -> str | bytes:
        """The key itself, by the name that Pydantic's ``SecretStr`` gave this."""
        return self._value

    def __repr__(self) -> str:
        """Nothing that could be a key."""
        return "Covered('***')"


def covered(given: Any) -> Any:
    """A mapping, or a list with mappings in it, whose keys are covered; whatever else, as it is. Never fails."""
    if isinstance(given, (list, tuple)):
        return [_cover(each) for each in given]
    return _cover(given)


def _cover(given: Any) -> Any:
    if isinstance(given, Mapping) and isinstance(given.get("api_key"), (str, bytes)):
        return {**given, "api_key": Covered(given["api_key"])}
    return given


def may_be_a_key(header: str) -> bool:
    """Whether the name of a header suggests that its value is a key."""
    return any(word in header.lower() for word in _KEYISH)


def hide(fields: dict[str, Any]) -> None:
    """Put a ``Secret`` in place of ``api_key`` among keyword arguments, and cover the keys of fallbacks.

    In place, since the variables of every call that is under way may be printed with a traceback.

    Raises:
        ConfigurationError: The key is malformed. It is then no longer among the arguments.
    """
    for name in fields.keys() & {"fallbacks", "fallback_configs"}:
        fields[name] = covered(fields[name])
    if not isinstance(fields.get("api_key"), (Secret, OmittedKey, type(None))):
        fields["api_key"] = Secret(_plain(fields.pop("api_key")), "api_key=")


def quoted(text: str) -> str:
    """A name for a message, unless it could be a key that stands in the wrong place."""
    start = text.replace(":", "/").partition("/")[0]
    looks_like_a_key = _KEY_PREFIX.match(text) or (len(start) >= _KEY_LENGTH and any(map(str.isdigit, start)))
    if looks_like_a_key or len(text) > _LONGEST_NAME or not text.isprintable():
        return "that name"
    return repr(text)


def _plain(value: Any) -> Any:
    """Pydantic's ``SecretStr`` has the same purpose, and is opened in the same way everywhere."""
    return value.get_secret_value() if hasattr(value, "get_secret_value") else value


def _problem_with(value: object) -> str | None:
    if not isinstance(value, str):
        return f"must be a string, not {type(value).__name__}"
    if not value.strip():
        return "is empty"
    if value != value.strip():
        return "has white space (perhaps a line break) before or after it: remove that"
    if not value.isascii():
        return "has a character outside ASCII (perhaps a curly quote from a document): copy it again"
    if not value.isprintable() or " " in value:
        return "has a space or a control character in it: copy it again"
    if len(value) > _LONGEST:
        return f"is longer than {_LONGEST} characters, so it is no key"
    return None
