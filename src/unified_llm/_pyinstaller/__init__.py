"""PyInstaller finds the hooks in this folder by the entry point ``pyinstaller40`` of the package.

Only PyInstaller imports it, while it builds a program.
"""

from __future__ import annotations

from pathlib import Path


def get_hook_dirs() -> list[str]:
    """Return the folders that contain hooks."""
    return [str(Path(__file__).parent)]
