"""Keys among the keyword arguments of a call: hidden before a framework's tracers get the arguments, or refused.

The frameworks pass a call's arguments to their tracers before the model sees them, and keep them in the variables of
their frames. So the check comes first, around the framework's own methods. What is bound to a model is kept and copied,
so a key is no argument that can be bound.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, Final, TypeVar

from pydantic import SecretStr

from unified_llm._adapters.field_values import describe_config
from unified_llm._client.call_options import OPTIONS_OF_TARGETS
from unified_llm._config.llm_config import LLMConfig, read_fallbacks
from unified_llm._core.api_key import Secret
from unified_llm._core.cache_identity import fields_identity, headers_identity
from unified_llm._core.hidden import CLEAR_VARIABLES, Hidden
from unified_llm._core.not_in_a_body import advice_on, may_hold_a_key
from unified_llm._core.redaction import looks_like_a_key, may_be_a_key, without_keys
from unified_llm.exceptions import ConfigurationError, ValidationError

_Class = TypeVar("_Class", bound=type)

_HEADERS: Final = "extra_headers"
_NESTED: Final = "llm_kwargs"
# Arguments that have no keys, or are treated by themselves.
_NO_BODIES: Final = frozenset({"fallbacks", "response_format", "tool_choice", "ls_structured_output_format", _HEADERS})


def _hide_keys(kwargs: dict[str, Any]) -> None:
    """Hide the key of a call and those of its fallbacks, in place; refuse others.

    Options that make no sense are refused here as well, before anything sees them: a key may stand in the wrong place.

    Raises:
        ValidationError: There is another argument that may hold a key, or a number of retries makes no sense.
        ConfigurationError: The key, the URL or a fallback is wrong.
    """
    if not kwargs:
        return
    given: dict[str, Any] = {
        name: kwargs.pop(name) for name in OPTIONS_OF_TARGETS if name in kwargs and kwargs[name] is not None
    }
    refuse_keys(kwargs)
    if not given:
        return
    from unified_llm._client import target_options  # which imports what makes targets

    named = target_options.read(given)["named_targets"]
    kwargs.update(given)
    if "api_key" in given:
        key = named.api_key
        kwargs["api_key"] = SecretStr(key.reveal()) if isinstance(key, Secret) else key  # which every tracer can write
    if "fallbacks" in given:
        kwargs["fallbacks"] = _checked(named.fallbacks)


def _checked(fallbacks: Sequence[Any]) -> Sequence[Any]:
    """Return fallbacks, once texts that look like a key are known to name a model.

    Raises:
        ConfigurationError: One names none.
    """
    for text in fallbacks:
        if isinstance(text, str) and looks_like_a_key(text):
            from unified_llm._providers import registry

            if registry.parse_model_string(text) is None:
                raise ConfigurationError(f"{registry.unknown_model(text)}")
    return fallbacks


def hide_bound_keys(kwargs: dict[str, Any]) -> None:
    """Refuse keys among arguments to bind, and hide those of fallbacks, in place.

    Raises:
        ValidationError: An argument may hold a key.
        ConfigurationError: A fallback is wrong.
    """
    fallbacks = kwargs.pop("fallbacks", None)
    refuse_keys(kwargs, how="bound")
    if fallbacks is not None:
        kwargs["fallbacks"] = _checked(read_fallbacks(fallbacks))


def refuse_keys(kwargs: dict[str, Any], *, how: str = "passed with a call") -> None:
    """Refuse arguments that hold a key, and remove their values: a traceback may be printed with its variables.

    Raises:
        ValidationError: There is such an argument.
    """
    if kwargs and (names := [name for name in kwargs if may_hold_a_key(name)]):
        kwargs.update(dict.fromkeys(names))
        raise ValidationError(f"{names[0]!r} cannot be {how}: {advice_on(names[0])}")


def _hide_nested_keys(kwargs: dict[str, Any]) -> None:
    """Hide the key of a call, and those of its fallbacks, among arguments for the call that are a mapping themselves.

    Raises:
        LLMError: One of them makes no sense.
    """
    if isinstance(nested := kwargs.get(_NESTED), Mapping):
        kwargs[_NESTED] = dict(nested)
        _hide_keys(kwargs[_NESTED])


def guards_keys(
    calls: Sequence[str], bindings: Sequence[str] = (), nested: Sequence[str] = ()
) -> Callable[[_Class], _Class]:
    """Decorate an adapter's class so that nothing sees a key among the arguments of its methods, inherited ones too.

    Args:
        calls: Methods that call the model, which hide a key.
        bindings: Methods that bind arguments to it, which refuse one.
        nested: Methods that take the arguments of a call in ``llm_kwargs``, which hide a key in that.
    """
    checks = [(calls, _hide_keys), (bindings, hide_bound_keys), (nested, _hide_nested_keys)]

    def decorate(adapter: _Class) -> _Class:
        for names, check in checks:
            for name in names:
                setattr(adapter, name, _guard(getattr(adapter, name), check))
        return adapter

    return decorate


def _guard(method: Callable[..., Any], check: Callable[[dict[str, Any]], None]) -> Callable[..., Any]:
    """Wrap a method. Its arguments are prompts, so the variables that wait for it show none of them."""
    if inspect.iscoroutinefunction(method):

        @wraps(method)
        async def acall(self: Any, *args: Any, **kwargs: Any) -> Any:
            given = Hidden((args, kwargs))
            del args, kwargs
            with self.translated(), CLEAR_VARIABLES:
                check(given.value[1])
            return await method(self, *given.value[0], **given.value[1])

        return acall

    @wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        given = Hidden((args, kwargs))
        del args, kwargs
        with self.translated(), CLEAR_VARIABLES:
            check(given.value[1])
        return method(self, *given.value[0], **given.value[1])

    return call


def shown_to_tracers(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments as tracers may see them: without the key, and with headers that may be keys hidden."""
    shown = {name: _without_keys(name, value) for name, value in kwargs.items() if name != "api_key"}
    if isinstance(fallbacks := shown.get("fallbacks"), Sequence):
        shown["fallbacks"] = [
            describe_config(link) if isinstance(link, LLMConfig) else link if isinstance(link, str) else repr(link)
            for link in fallbacks
        ]
    if isinstance(headers := shown.get(_HEADERS), Mapping):
        shown[_HEADERS] = {name: "***" if may_be_a_key(str(name)) else value for name, value in headers.items()}
    return shown


def _without_keys(name: str, value: Any) -> Any:
    """Return an argument without keys in bodies; schemas have none, and may be large."""
    if name == "tools" and isinstance(value, Sequence):
        return [tool if _is_function(tool) else without_keys(tool) for tool in value]
    return value if name in _NO_BODIES else without_keys(value)


def _is_function(tool: Any) -> bool:
    return not isinstance(tool, Mapping) or tool.get("type") == "function"


def digest_keys(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments as a cache key may hold them: the key and headers as digests, without those of a request.

    Responses of fallbacks are not cached.
    """
    kept = {name: value for name, value in kwargs.items() if name not in {"api_key", "fallbacks", "request_id"}}
    if (key := kwargs.get("api_key")) is not None:
        is_text = isinstance(key, SecretStr)
        kept["account"] = Secret(key.get_secret_value(), "api_key=").fingerprint if is_text else key.account
    if isinstance(headers := kept.pop(_HEADERS, None), Mapping):
        kept[_HEADERS] = headers_identity(headers)
    clean = {name: _without_keys(name, value) for name, value in kept.items()}
    return clean if clean == kept else {**clean, "bodies": fields_identity(kept)}
