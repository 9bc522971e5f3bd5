"""Headers of a response."""

from __future__ import annotations

from typing import Any


class Headers(dict[str, str]):
    """Headers of a response, by names in any case."""

    def __getitem__(self, name: str) -> str:
        """Return the value of a header."""
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        """Return whether there is such a header."""
        return super().__contains__(f"{name}".lower())

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of a header, or the default."""
        return super().get(name.lower(), default)
