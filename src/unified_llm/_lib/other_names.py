"""Attributes that an object has under another name in other packages: an ``AttributeError`` that says what to use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, NoReturn


class HintsAtOtherNames:
    """Base of classes whose users may look for attributes of other packages' classes."""

    __slots__ = ()

    OTHER_NAMES: ClassVar[Mapping[str, str]] = {}
    """Names in other packages, and what to use here."""

    if not TYPE_CHECKING:  # type checkers know which attributes there are

        def __getattr__(self, name: str) -> NoReturn:
            """Refuse an attribute that does not exist, with the one to use."""
            instead = type(self).OTHER_NAMES.get(name)
            hint = f": use {instead}" if instead else ""
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{hint}", name=name, obj=self)
