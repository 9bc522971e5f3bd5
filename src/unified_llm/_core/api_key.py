"""API keys: checked when they are given, hidden wherever they might be printed.

A malformed key must be found here: HTTP clients echo it in full when they refuse the header.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, NoReturn

from unified_llm.exceptions import ConfigurationError

_LONGEST: Final = 8192
# A signed token is three base64 strings with dots between (RFC 7519); a key has no dot in it.
_TOKEN: Final = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*")


class Secret:
    """An API key, readable only through ``reveal()``. It is never pickled.

    Args:
        value: The key.
        source: Where it came from, for messages: ``api_key=``, or the name of an environment variable.

    Raises:
        ConfigurationError: It is empty, or holds a character that no HTTP header can carry. The message names the
            source and the kind of mistake, never the value.
    """

    __slots__ = ("_value", "fingerprint", "source")

    def __init__(self, value: object, source: str) -> None:
        problem = problem_with_key(value)
        if problem:
            del value  # the traceback may be printed with its variables
            raise ConfigurationError(f"The key from {source} {problem}.")
        assert isinstance(value, str)  # noqa: S101 - problem_with_key has looked
        self._value = value
        self.source = source
        # Tells two keys apart in the shared health registry without keeping either there.
        self.fingerprint = hashlib.sha256(value.encode()).hexdigest()[:12]

    def reveal(self) -> str:
        """Return the key."""
        return self._value

    @property
    def is_token(self) -> bool:
        """Return whether it is a signed token, such as one of Entra ID, rather than a key."""
        return _TOKEN.fullmatch(self._value) is not None

    def __repr__(self) -> str:
        """Hide the key."""
        return "Secret('***')"

    def __eq__(self, other: object) -> bool:
        """Compare the keys."""
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        """Hash the key."""
        return hash(self._value)

    def __copy__(self) -> Secret:
        """Return itself: a secret is immutable."""
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        """Return itself: a secret is immutable."""
        return self

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled."""
        raise TypeError("A key is never pickled; the copy finds it in the environment again.")


@dataclass(frozen=True, slots=True)
class NoKey:
    """Why a target has no API key, for messages about a server that wants one.

    Attributes:
        reason: Why a key of the environment is not sent; empty where there is none.
        advice: What to do.
    """

    reason: str
    advice: str


class OmittedKey(Enum):
    """Stands in a pickled configuration, or one dumped as JSON, for a key that was given explicitly."""

    KEY = "left out of the dump"

    def __repr__(self) -> str:
        """Say so."""
        return "<key left out of the pickle>"


def unwrapped(value: Any) -> Any:
    """Unwrap Pydantic's ``SecretStr``."""
    return value.get_secret_value() if hasattr(value, "get_secret_value") else value


def problem_with_key(value: object) -> str | None:
    """Return why a value can be no key, in words that continue a sentence about it; None if it can."""
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
