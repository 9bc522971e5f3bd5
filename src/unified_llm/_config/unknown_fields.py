"""Names that are no field of what they are given to: the error, with a suggestion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from unified_llm._config.constructor_names import advice
from unified_llm._core.redaction import quoted
from unified_llm._lib.close_names import closest
from unified_llm.exceptions import ConfigurationError


def refuse_unknown(
    fields: Mapping[str, Any],
    known: Sequence[str],
    where: str,
    *,
    otherwise: str = "further fields of the request go into extra_body={...}.",
) -> None:
    """Refuse names that are not known.

    Args:
        fields: The names.
        known: Those that are known.
        where: What has fields of these names.
        otherwise: What to do where no known name is near.

    Raises:
        ConfigurationError: With the nearest known name.
    """
    for name in fields:
        if name in known:
            continue
        if text := advice(name):
            raise ConfigurationError(f"{where} has no field {name!r}: {text}")
        near = closest(name, known)
        hint = f"did you mean {near!r}?" if near else otherwise
        raise ConfigurationError(f"{where} has no field {quoted(name, 'of that name')}: {hint}")
