"""Types of the fields of a configuration, and the checks that they share.

A check raises ``ConfigurationError`` where the whole message is its own; an error that belongs behind the name of the
field is a ``ValueError``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias, cast

from pydantic import BeforeValidator

from unified_llm._config.field_errors import WrongValueError
from unified_llm._config.given_targets import explain
from unified_llm._core import headers
from unified_llm._core.api_key import OmittedKey
from unified_llm._core.base_url import normalise
from unified_llm._core.redaction import looks_like_a_key
from unified_llm._core.seconds import read_seconds
from unified_llm._lib.byte_sizes import read_bytes
from unified_llm.exceptions import ConfigurationError

if TYPE_CHECKING:
    from unified_llm._providers.spec import ProviderSpec

LEFT_OUT: Final[str] = OmittedKey.KEY.value
"""Stands in a dump as JSON for what is in no dump: a key, or the value of a header that may be one."""
_URL_PACKAGES: Final = frozenset({"httpx", "yarl", "pydantic", "pydantic_core"})  # which have classes of URLs
_LONGEST_NAME: Final = 100
_VARIABLE: Final = re.compile(r"[A-Za-z_]\w{0,99}", re.ASCII)
_API_VERSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def _number(value: object) -> object:
    if isinstance(value, bool):
        raise WrongValueError("must be a number, not True or False")
    return value


NUMBER: Final = BeforeValidator(_number)


def read_limit(value: object) -> object:
    """Read seconds greater than 0; None is no limit."""
    return value if value is None else read_seconds(value)


def read_wait(value: object) -> object:
    """Read seconds, 0 among them; None is left to the caller."""
    return value if value is None else read_seconds(value, or_zero=True)


Limit: TypeAlias = Annotated[float | None, BeforeValidator(read_limit)]
"""Seconds greater than 0, or None."""
Wait: TypeAlias = Annotated[float | None, BeforeValidator(read_wait)]
"""Seconds, 0 among them, or None."""


def read_ttl(value: object) -> object:
    """Read a time to keep something, which may have no end."""
    return value if value == float("inf") else read_seconds(value, or_zero=True)


def read_memory(value: object) -> object:
    """Read a size of memory; None is the default.

    Raises:
        WrongValueError: It is no size.
    """
    try:
        return value if value is None else read_bytes(value)
    except ValueError as wrong:
        raise WrongValueError(str(wrong)) from None


MemorySize: TypeAlias = Annotated[int | None, BeforeValidator(read_memory)]
"""A size in bytes, or None; also text with a unit, such as ``"24GB"``."""


def read_stop(value: object) -> object:
    """Read one text at which to stop, or several."""
    return (value,) if isinstance(value, str) else value


def check_model(value: object) -> object:
    """Return the name of a model as it is.

    Raises:
        ConfigurationError: It is no string.
    """
    if value is None or isinstance(value, str):
        return value
    raise ConfigurationError(f'model must be a string, such as "openai/gpt-5-mini", not {explain(value)}')


def check_name(value: object, field: str = "name=") -> object:
    """Return the name of a target as it is.

    Raises:
        ConfigurationError: It is empty, long or not printable.
    """
    if isinstance(value, str) and (not value.strip() or not value.isprintable() or len(value) > _LONGEST_NAME):
        raise ConfigurationError(f"{field} must be printable text of at most {_LONGEST_NAME} characters.")
    return value


def check_account(value: object) -> object:
    """Return the name of an account as it is.

    Raises:
        ConfigurationError: It is no name, or a key in its place.
    """
    if isinstance(value, str) and looks_like_a_key(value):
        raise ConfigurationError("account= is a name of your own for the account; an API key itself is api_key=.")
    return check_name(value, "account=")


def check_variable(value: object) -> object:
    """Return the name of an environment variable that has a key, as it is. A key in its place is not repeated.

    Raises:
        ConfigurationError: It is no name of a variable.
    """
    if value is not None and not (isinstance(value, str) and _is_variable(value)):
        raise ConfigurationError(
            "api_key_env= is the name of an environment variable, such as MY_GATEWAY_API_KEY; an API key itself is "
            "passed as api_key= of a client or a fallback."
        )
    return value


def _is_variable(name: str) -> bool:
    plain = name.isupper() or (name.islower() and not any(map(str.isdigit, name)))
    return bool(_VARIABLE.fullmatch(name)) and (plain or not looks_like_a_key(name))


def text_of_url(value: object) -> object:
    """Return a URL object of another package as text; anything else as it is."""
    return str(value) if type(value).__module__.partition(".")[0] in _URL_PACKAGES else value


def read_url(value: object) -> object:
    """Return a base URL as text, also that of a URL object; what may be a folder is checked with the provider.

    Raises:
        ConfigurationError: It is malformed, or holds a password.
    """
    url = str(value) if isinstance(value, PurePath) else text_of_url(value)
    if isinstance(url, str) and not may_be_folder(url):
        normalise(url, source="base_url=")
    return url


def check_base_url(url: str, spec: ProviderSpec | None) -> None:
    """Refuse a folder for a provider behind HTTP, and a URL for MLX.

    Raises:
        ConfigurationError: With what to write instead.
    """
    if spec is None or spec.format != "mlx":
        normalise(url, source="base_url=")
    elif not may_be_folder(url):
        raise ConfigurationError(
            "The base_url= of MLX is the folder of a model. A server of mlx-lm speaks OpenAI's format: write "
            'provider="openai-compatible" with its base_url=.'
        )


def may_be_folder(text: str) -> bool:
    """Return whether a text may be the path of a folder: MLX alone has such a thing as ``base_url``."""
    if "://" in text:
        return text.lower().startswith("file://")
    return text.startswith(("~", ".")) or "/" in text or "\\" in text


def check_headers(value: object) -> object:
    """Return headers as they are.

    Raises:
        ConfigurationError: A name or value cannot be sent, or is not for users to set.
    """
    if isinstance(value, Mapping):
        given = cast("Mapping[str, str]", value)
        if omitted := [name for name, text in given.items() if text == LEFT_OUT]:
            raise ConfigurationError(f"The value of the header {omitted[0]} was left out of the dump: give it again.")
        headers.check(given, "default_headers", ConfigurationError)
    return value


def check_api_version(version: str, source: str) -> str:
    """Return a version of an API that can be part of a URL.

    Raises:
        ConfigurationError: It is something else.
    """
    if not _API_VERSION.fullmatch(version) or ".." in version:
        raise ConfigurationError(f"The version from {source} is no version of an API, such as 2024-10-21.")
    return version


def check_version(value: object) -> object:
    """Return ``api_version=`` as it is; ``check_api_version`` says what it raises."""
    return check_api_version(value, "api_version=") if isinstance(value, str) else value


def check_key_header(given: Mapping[str, str], spec: ProviderSpec | None) -> None:
    """Refuse the header in which the provider gets its key.

    Raises:
        ConfigurationError: It is among these, or another is that no user may set.
    """
    key_header = spec.quirks.key_header if spec else ""
    headers.check(given, "default_headers", ConfigurationError, key_header=key_header)
