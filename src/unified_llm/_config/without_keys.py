"""Pickles, copies and dumps of a configuration, without its keys."""

from __future__ import annotations

from collections.abc import Mapping
from ssl import SSLContext
from typing import TYPE_CHECKING, Any, Self

from unified_llm._config.field_types import LEFT_OUT
from unified_llm._core.api_key import OmittedKey
from unified_llm._core.hidden import HiddenText
from unified_llm._core.key_callable import KeyCallable
from unified_llm._core.redaction import Headers, may_be_a_key, without_keys
from unified_llm._lib.read_only import freeze

if TYPE_CHECKING:
    from pydantic import BaseModel as _Base
    from pydantic import SerializationInfo
else:
    _Base = object  # as for AlwaysValidated


def without_secrets(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return those fields that a pickle has with other values: without keys, and without an SSL context."""
    key, given, verify = fields["api_key"], fields["default_headers"], fields["verify_ssl"]
    return {
        "api_key": key if isinstance(key, KeyCallable) and key.is_importable else None,
        "extra_body": fields["extra_body"] and freeze(without_keys(fields["extra_body"])),
        "default_headers": given and Headers({name: given[name] for name in given if not may_be_a_key(name)}),
        "verify_ssl": True if isinstance(verify, SSLContext) else verify,
    }


class WithoutKeys(_Base):
    """Mixin for ``LLMConfig``, whose pickles and JSON have no key, and say so; a dump as Python objects has it."""

    def __getstate__(self) -> dict[Any, Any]:
        """Pickle without the key, headers and fields of the body that may hold one, and an SSL context.

        Of a function of a module that returns keys, a pickle has the name.
        """
        state = super().__getstate__()
        fields = {**state["__dict__"], **without_secrets(state["__dict__"])}
        if fields["api_key"] is None and state["__dict__"]["api_key"] is not None:
            fields["api_key"] = OmittedKey.KEY
        return {**state, "__dict__": fields}

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Copy; a configuration is immutable, so the copy shares its values."""
        return self.model_copy()


def dump_key(key: object) -> str | None:
    """Return what a key is in JSON: a text that says that it was left out."""
    return None if key is None else LEFT_OUT


def dump_headers(given: Mapping[str, str], info: SerializationInfo) -> dict[str, str]:
    """Dump headers, so that a configuration can be made of the dump. The repr of keys hides them; JSON has none."""
    omit = info.mode == "json"
    return {
        name: text if not may_be_a_key(name) else LEFT_OUT if omit else HiddenText(text) for name, text in given.items()
    }


def dump_body(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the fields of a body are in JSON: without keys."""
    fields: dict[str, Any] = without_keys(body)
    return fields
