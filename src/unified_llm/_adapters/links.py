"""The targets of a chain as users give them to an adapter: read, checked, described."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

from unified_llm._adapters.field_values import describe_config
from unified_llm._config.given_targets import explain
from unified_llm._config.llm_config import LLMConfig, read_fallbacks
from unified_llm.exceptions import ConfigurationError

if TYPE_CHECKING:
    from unified_llm._core.exchange import WrappedModel

Link: TypeAlias = Any
"""A model string, an ``LLMConfig``, or a model object of the framework."""
Wrap: TypeAlias = "Callable[[object], WrappedModel | None]"
"""Wraps a model object of the framework as a target; returns None for anything else."""


class ChainOfTargets:
    """An object that is a chain itself, so that its targets can join another one."""

    def links(self) -> tuple[Link, ...]:
        """Return the whole chain, as fallbacks of another one."""
        raise NotImplementedError


def is_object(model: object) -> bool:
    """Return whether the primary is a model object rather than a string."""
    return model is not None and not isinstance(model, str)


def read_primary(model: Any, wrap: Wrap, kind: str) -> Any:
    """Check the primary: a string, which the configuration checks further, or a model object.

    Args:
        model: What the user gave.
        wrap: How a model object is wrapped.
        kind: What a model object of the framework is called; empty where there are none.

    Raises:
        ConfigurationError: It is something else.
    """
    if isinstance(model, ChainOfTargets):
        raise ConfigurationError(
            f"model= is a {type(model).__name__}, which is a chain already: use it as it is, set its fallbacks, or put "
            "it into fallbacks=[...] of this one."
        )
    if not is_object(model) or wrap(model) is not None:
        return model
    if isinstance(model, LLMConfig):
        raise ConfigurationError("model must be a string: the fields of an LLMConfig are arguments of their own here.")
    kinds = f'a string, such as "openai/gpt-5-mini",{f" or {kind}," if kind else ""}'
    raise ConfigurationError(f"model must be {kinds} not {explain(model)}")


def read_links(fallbacks: Any, wrap: Wrap) -> tuple[Link, ...]:
    """Check fallbacks, and turn mappings into configurations, so that no key stays in a plain dict.

    Raises:
        ConfigurationError: One of them is neither a target nor a model.
    """
    return tuple(link for fallback in read_fallbacks(fallbacks) for link in _read_link(fallback, wrap))


def _read_link(fallback: Any, wrap: Wrap) -> tuple[Link, ...]:
    if isinstance(fallback, ChainOfTargets):
        return fallback.links()  # the targets of the inner chain, each with its own health
    if isinstance(fallback, (str, LLMConfig)) or wrap(fallback) is not None:
        return (fallback,)
    kinds = "a model string, a mapping, an LLMConfig or a model of the framework"
    raise ConfigurationError(f"A fallback is {kinds}, not {explain(fallback)}")


def wrap_links(links: Iterable[Link], wrap: Wrap) -> tuple[Any, ...]:
    """Return fallbacks as the client takes them.

    A tuple: a dump has an empty list where none were given, and a client would take that for a choice.
    """
    return tuple(link if isinstance(link, (str, LLMConfig)) else wrap(link) or link for link in links)


def with_wrapped_fallbacks(kwargs: dict[str, Any], wrap: Wrap) -> dict[str, Any]:
    """Return the arguments of a call with its fallbacks, if there are any, as the client takes them."""
    if kwargs.get("fallbacks") is None:
        return kwargs
    return {**kwargs, "fallbacks": wrap_links(read_links(kwargs["fallbacks"], wrap), wrap)}


def describe_link(link: Link, wrap: Wrap) -> Any:
    """Describe a target as plain data without its key: for dumps, traces and cache keys."""
    if link is None or isinstance(link, str):
        return link
    if isinstance(link, LLMConfig):
        return describe_config(link)
    wrapped = wrap(link)
    return f"{wrapped.provider}/{wrapped.model}" if wrapped else link
