"""Fields of ``LLMConfig`` that are read one by one, from a source whose errors name more than the field."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import PurePath
from typing import Any, TypeVar

from unified_llm._config.constructor_names import ALIASES
from unified_llm._config.field_groups import TARGET_FIELDS
from unified_llm._config.field_signatures import accepted_names
from unified_llm._config.field_types import may_be_folder, read_url
from unified_llm._config.llm_config import LLMConfig
from unified_llm._core.hidden import CLEAR_VARIABLES
from unified_llm._core.redaction import quoted
from unified_llm._providers import registry
from unified_llm.exceptions import ConfigurationError

Read = TypeVar("Read")


def known_names() -> tuple[str, ...]:
    """Return the names that fields may have, their other names among them."""
    return (*accepted_names(LLMConfig), *ALIASES)


def find_target_field(names: Iterable[str]) -> str | None:
    """Return the first name of what makes a target (``model``, ``provider`` ...), which is no setting of a provider."""
    return next((name for name in names if ALIASES.get(name, name) in TARGET_FIELDS), None)


def checked_field(name: str, value: Any) -> Any:
    """Return the value of a field as a configuration has it.

    Raises:
        ConfigurationError: It makes no sense.
    """
    if name == "base_url" and isinstance(value, (str, PurePath)) and may_be_folder(str(value)):
        return read_url(value)  # of MLX alone, which shows where all fields are checked together
    if name == "api" and isinstance(value, str):
        _check_api(value)
    fields: dict[str, Any] = {name: value}
    return getattr(LLMConfig(**fields), name)


def _check_api(api: str) -> None:
    """Refuse a format that no provider has. Set for all targets, it holds for those whose provider has it."""
    known = dict.fromkeys(name for spec in registry.specs() for name in spec.apis)
    if api not in known:
        raise ConfigurationError(f"No provider has the api {quoted(api)}; to choose from: {', '.join(known)}.")


def attempt(read: Callable[[], Read]) -> tuple[Read, None] | tuple[None, str]:
    """Read something that may be wrong, to report the mistake with its source.

    The error that is caught keeps no variables, which may be keys. The caller raises the one that takes its place,
    outside of an ``except``, so that the first is not its context.

    Args:
        read: A function without arguments; not a ``partial``, whose repr has its arguments.

    Returns:
        What was read and None, or None and what is wrong.
    """
    try:
        with CLEAR_VARIABLES:
            return read(), None
    except ConfigurationError as wrong:
        return None, str(wrong)
