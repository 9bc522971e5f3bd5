"""Fields of ``LLMConfig`` that are read one by one, from a source whose errors name more than the field."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from unified_llm._config.constructor_names import ALIASES
from unified_llm._config.field_groups import TARGET_FIELDS
from unified_llm._config.field_signatures import accepted_names
from unified_llm._config.llm_config import LLMConfig
from unified_llm._core.hidden import CLEAR_VARIABLES
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
    fields: dict[str, Any] = {name: value}
    return getattr(LLMConfig(**fields), name)


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
