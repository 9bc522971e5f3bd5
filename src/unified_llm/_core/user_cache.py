"""The folder for files that this package can do without, in that of the platform."""

from __future__ import annotations

import sys
from pathlib import Path

from unified_llm._core.environment import real_variable
from unified_llm._lib.local_files import home_folder


def user_cache_folder() -> Path | None:
    """Return the folder of this user; None without a home directory."""
    if (home := home_folder()) is None:
        return None
    if sys.platform == "darwin":
        caches = home / "Library" / "Caches"
    elif sys.platform == "win32":
        caches = Path(real_variable("LOCALAPPDATA") or home / "AppData" / "Local")
    else:
        named = real_variable("XDG_CACHE_HOME") or ""
        caches = Path(named) if Path(named).is_absolute() else home / ".cache"
    return caches / "unified-llm"
