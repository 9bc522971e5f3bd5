"""LangChain's part of ``ChatUnified`` and ``UnifiedEmbeddings``: serialization, and chat models as fallbacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from unified_llm._adapters import target_fields
from unified_llm._adapters.call_names import ALIASES
from unified_llm._adapters.field_values import describe_config
from unified_llm._adapters.links import Link, is_object
from unified_llm._config.llm_config import LLMConfig
from unified_llm._config.profile_names import profile_named
from unified_llm._core.hidden import Hidden
from unified_llm._core.redaction import without_keys
from unified_llm._lib.short_repr import served_by
from unified_llm.langchain._errors import translate_errors

if TYPE_CHECKING:
    from unified_llm.langchain._wrapped_model import WrappedChatModel

    _Base = target_fields.TargetFields
else:
    _Base = object  # another Pydantic class would cost every import some milliseconds


def wrap(candidate: object) -> WrappedChatModel | None:
    """Wrap a LangChain chat model, or a binding of one, as a target.

    The module that does so is imported at the first call.

    Returns:
        The target; None if the candidate is no chat model.
    """
    if candidate is None or isinstance(candidate, str):
        return None
    from unified_llm.langchain import _wrapped_model

    return _wrapped_model.wrap(candidate)


# Fields with further fields of a body, where gateways take keys.
_BODIES: Final = ("extra_body", "model_kwargs")


class LangChainFields(_Base):
    """Mixin for LangChain classes over a chain of targets: put it before ``TargetFields`` among the bases."""

    ALIASES: ClassVar[Mapping[str, str]] = ALIASES
    SHARED: ClassVar[tuple[str, ...]] = (*target_fields.TargetFields.SHARED, "callbacks", "cache", "rate_limiter")

    @classmethod
    def wrap(cls, candidate: object) -> WrappedChatModel | None:
        """Wrap a LangChain chat model as a target; return None if the candidate is no chat model."""
        return wrap(candidate)

    @classmethod
    def translated(cls) -> AbstractContextManager[None]:
        """Return a context manager that raises our errors as LangChain's too."""
        return translate_errors()

    @property
    def model_name(self) -> str | None:
        """The name of the primary, where much of LangChain reads it."""
        name: str | None = self._describe_model(self.model)
        return name

    def _model_named_elsewhere(self) -> str | None:
        """Return the primary where the fields do not name it, but a profile or a setting of the process does."""
        if self.model is not None and profile_named(self.model) is None:
            return None
        first = self.client.targets[0]
        return served_by(first.provider, first.model)

    # LangChain's interface of serializable objects

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Return True: objects of this class can be dumped and loaded."""
        return True

    @classmethod
    def get_lc_namespace(cls) -> list[str]:
        """Return the public module of the class, from which a dump is loaded even if the file moves."""
        return ["unified_llm", "langchain"]

    @property
    def lc_secrets(self) -> dict[str, str]:
        """The environment variable that a dump names in place of the API key."""
        if is_object(self.model):  # which has its own
            return {}
        from unified_llm._config.resolve import complete
        from unified_llm._providers import registry

        settings = complete(self._config())
        parsed = registry.parse_model_string(settings.model or "")
        provider = settings.provider or (parsed[0] if parsed else "openai-compatible")
        variables = registry.row(provider).key_env
        return {"api_key": variables[0] if variables else "UNIFIED_LLM_API_KEY"}

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """Fields that LangChain cannot dump by itself: fallbacks without their keys, and the breaker, as plain data."""
        fallbacks = self._describe_fallbacks(self.fallbacks)
        attributes: dict[str, Any] = {"fallbacks": fallbacks} if fallbacks else {}
        attributes |= {name: without_keys(body) for name in _BODIES if (body := getattr(self, name, None))}
        return {**attributes, "breaker": asdict(self.breaker)} if self.breaker else attributes

    def _describe_fallbacks(self, fallbacks: Sequence[Link]) -> list[Any]:
        """Return fallbacks without their keys. A chat model object is kept: LangChain has its own way to dump it."""
        return [describe_config(fallback) if isinstance(fallback, LLMConfig) else fallback for fallback in fallbacks]

    def _identity(self) -> dict[str, Any]:
        """Return the settings that identify this chain in traces and cache keys: no API keys, no breaker state."""
        names = (*LLMConfig.model_fields, *sorted(self.MADE_FROM))
        hidden = {"api_key", "default_headers", "fallbacks", "verify_ssl", "proxy", "client_cert", "on_attempt"}
        fields = type(self).model_fields
        shown = [name for name in names if name in fields and name not in hidden]
        identity = {name: without_keys(value) for name in shown if (value := getattr(self, name)) not in (None, (), [])}
        identity["model"] = self._describe_model(self.model)
        return {**identity, "fallbacks": [self.describe(fallback) for fallback in self.fallbacks]}

    # Copies: LangChain caches the dump of an object in ``_serialized``, so a change of a field must delete it

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a field; the change takes effect with the next call."""
        given = Hidden(value)
        del value
        super().__setattr__(name, given.value)
        if self.ALIASES.get(name, name) in type(self).model_fields:
            vars(self).pop("_serialized", None)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy, which shares connections and health with the original.

        Raises:
            ConfigurationError: ``update`` has a field that is unknown.
        """
        given = Hidden(update)
        del update
        copied = super().model_copy(update=given.value, deep=deep)
        vars(copied).pop("_serialized", None)
        if isinstance(metadata := getattr(copied, "metadata", None), dict) and "metadata" not in (given.value or {}):
            vars(copied)["metadata"] = dict(metadata)
        return copied

    def __getstate__(self) -> dict[Any, Any]:
        """Pickle the settings without API keys: the unpickled object reads them from its own environment."""
        state = super().__getstate__()
        state["__dict__"].pop("_serialized", None)
        return state
