"""Names of profiles: ``@production`` in the place of a model."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from unified_llm._core.redaction import quoted
from unified_llm._lib.close_names import closest

PROFILE_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


def profile_named(model: object) -> str | None:
    """Return the name of the profile that stands in the place of a model; None for a model.

    Models of some servers begin with ``@`` and have a slash (``@cf/meta/llama``): those are no profiles.
    """
    if not isinstance(model, str) or not model.startswith("@"):
        return None
    return model[1:] if PROFILE_NAME.fullmatch(model[1:]) else None


def suggest_profile(name: str, profiles: Collection[str]) -> str:
    """Return the end of the sentence "there is no profile ..."."""
    near = closest(name, [*profiles])
    known = ", ".join(f"@{profile}" for profile in profiles) or "none"
    hint = f'did you mean "@{near}"?' if near else f"the file has {known}."
    return f"{quoted('@' + name)}: {hint}"
