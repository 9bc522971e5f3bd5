"""Copies and pickles of the objects of the adapters: what a copy shares with its original, and what no pickle has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from unified_llm._adapters.field_values import refuse_unknown_fields
from unified_llm._config.always_validated import checked_changes
from unified_llm._config.without_keys import without_secrets
from unified_llm._core.hidden import CLEAR_VARIABLES, Hidden

if TYPE_CHECKING:
    from pydantic import BaseModel as _Base

    from unified_llm._client.client import LLMClient
else:
    _Base = object  # another Pydantic class would cost every import some milliseconds


class Copies(_Base):
    """Mixin of ``TargetFields``, whose fields it names: put it before Pydantic's class among the bases."""

    if TYPE_CHECKING:
        ALIASES: ClassVar[Mapping[str, str]]
        SHARED: ClassVar[tuple[str, ...]]
        api_key: Any
        _client: LLMClient | None
        _key_omitted: bool

        @property
        def client(self) -> LLMClient:
            """The client of the chain."""
            ...

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy; the copy shares connections and health with the original.

        Raises:
            ConfigurationError: ``update`` has a field that is unknown, or a value that makes no sense.
        """
        given = Hidden(update or {})
        del update
        with CLEAR_VARIABLES:
            changes = Hidden(checked_changes(given.value, self.ALIASES))
            refuse_unknown_fields(changes.value, tuple(type(self).model_fields), type(self).__name__)
            copied = super().model_copy(deep=deep)
            _set_all(copied, changes)
            if changes.value:
                _ = copied.client  # which is made again if it has to be, and finds what is wrong
        return copied

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Copy the settings; connections, health and other models are shared."""
        memo = {} if memo is None else memo
        for shared in (self._client, *(getattr(self, name, None) for name in self.SHARED)):
            if shared is not None:
                memo[id(shared)] = shared
        return super().__deepcopy__(memo)

    def __getstate__(self) -> dict[Any, Any]:
        """Pickle the settings without keys: the copy looks in its own environment."""
        copied = self._to_pickle()
        vars(copied).update(without_secrets(vars(copied)))
        left_out_key = self._key_omitted or (self.api_key is not None and copied.api_key is None)
        state = super(Copies, copied).__getstate__()
        kept, declared = dict(state["__dict__"]), type(self).model_fields.items()
        left_out = {name: field.get_default(call_default_factory=True) for name, field in declared if name not in kept}
        private = {**(state["__pydantic_private__"] or {}), "_client": None, "_key_omitted": left_out_key}
        return {**state, "__dict__": {**kept, **left_out}, "__pydantic_private__": private}

    def _to_pickle(self) -> Self:
        """Return a copy to be pickled: what cannot be is taken out of it, by a framework too."""
        return self.model_copy()


def _set_all(copied: Copies, given: Hidden[Mapping[str, Any]]) -> None:
    for name, value in given.value.items():
        setattr(copied, name, value)
