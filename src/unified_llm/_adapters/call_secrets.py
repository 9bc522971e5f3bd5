"""Keys among the keyword arguments of a call: refused before a framework's tracers get the arguments, or hidden.

No call takes a key: it belongs to a target. The frameworks pass a call's arguments to their tracers before the model
sees them, and keep them in the variables of their frames. So the check comes first, around the framework's own methods.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Final, TypeVar

from unified_llm._core.cache_identity import headers_identity
from unified_llm._core.hidden import Hidden
from unified_llm._core.not_in_a_body import advice_on, may_hold_a_key
from unified_llm._core.redaction import may_be_a_key
from unified_llm.exceptions import ValidationError

_Class = TypeVar("_Class", bound=type)

_HEADERS: Final = "extra_headers"


def refuse_keys(kwargs: dict[str, Any]) -> None:
    """Refuse arguments that hold a key, and remove their values: a traceback may be printed with its variables.

    Raises:
        ValidationError: There is such an argument.
    """
    if kwargs and (names := [name for name in kwargs if may_hold_a_key(name)]):
        kwargs.update(dict.fromkeys(names))
        raise ValidationError(f"{names[0]!r} cannot be passed with a call: {advice_on(names[0])}")


def refuses_keys(*methods: str) -> Callable[[_Class], _Class]:
    """Decorate an adapter's class so that these methods, inherited ones too, refuse keys before anything sees them."""

    def decorate(adapter: _Class) -> _Class:
        for name in methods:
            setattr(adapter, name, _guard(getattr(adapter, name)))
        return adapter

    return decorate


def _guard(method: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a method. Its arguments are prompts, so the variables that wait for it show none of them."""
    if inspect.iscoroutinefunction(method):

        @wraps(method)
        async def acall(self: Any, *args: Any, **kwargs: Any) -> Any:
            given = Hidden((args, kwargs))
            del args, kwargs
            with self.translated():
                refuse_keys(given.value[1])
            return await method(self, *given.value[0], **given.value[1])

        return acall

    @wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        given = Hidden((args, kwargs))
        del args, kwargs
        with self.translated():
            refuse_keys(given.value[1])
        return method(self, *given.value[0], **given.value[1])

    return call


def hide_header_values(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments as tracers may see them: values of headers that may be keys are hidden."""
    shown = dict(kwargs)
    if isinstance(headers := shown.get(_HEADERS), Mapping):
        shown[_HEADERS] = {name: "***" if may_be_a_key(str(name)) else value for name, value in headers.items()}
    return shown


def digest_headers(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments as a cache key may hold them: headers as a digest, without those of one request."""
    kept = dict(kwargs)
    if isinstance(headers := kept.pop(_HEADERS, None), Mapping):
        kept[_HEADERS] = headers_identity(headers)
    return kept
