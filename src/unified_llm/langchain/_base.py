"""What ``ChatUnified`` and ``UnifiedEmbeddings`` add to a chain: LangChain's dumps, and chat models as fallbacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, Self

from unified_llm._adapters import target_fields
from unified_llm._adapters.call_kwargs import ALIASES
from unified_llm._config.llm_config import LLMConfig
from unified_llm.langchain._constants import wrap
from unified_llm.langchain._errors import translated

if TYPE_CHECKING:
    from unified_llm.langchain._wrapped_model import WrappedChatModel

    _Base = target_fields.TargetFields
else:
    _Base = object  # a Pydantic class more would cost every import some milliseconds


class LangChainFields(_Base):
    """The part of a chain that is LangChain's own: put it before ``TargetFields`` among the bases."""

    ALIASES: ClassVar[Mapping[str, str]] = ALIASES
    SHARED: ClassVar[tuple[str, ...]] = (*target_fields.TargetFields.SHARED, "callbacks", "cache", "rate_limiter")

    @classmethod
    def wrap(cls, candidate: object) -> WrappedChatModel | None:
        """A chat model of LangChain's as a target; None where it is none."""
        return wrap(candidate)

    @classmethod
    def translated(cls) -> AbstractContextManager[None]:
        """Raises our errors so that LangChain knows them too."""
        return translated()

    @property
    def model_name(self) -> str | None:
        """``model`` under the name that much of LangChain looks for."""
        return self.model

    # What LangChain asks of a serializable object

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """It can be dumped and loaded."""
        return True

    @classmethod
    def get_lc_namespace(cls) -> list[str]:
        """Where a dump finds the class again, wherever its file is moved."""
        return ["unified_llm", "langchain"]

    @property
    def lc_secrets(self) -> dict[str, str]:
        """The environment variable that a dump names in place of the key."""
        from unified_llm._providers import registry

        named = registry.parse_model_string(self.model or "")
        provider = self.provider or (named[0] if named else "openai-compatible")
        variables = registry.row(provider).key_env
        return {"api_key": variables[0] if variables else "UNIFIED_LLM_API_KEY"}

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """Fallbacks without their keys, and what is no plain data yet."""
        links = [target_fields.plain(link) if isinstance(link, LLMConfig) else link for link in self.fallbacks]
        attributes: dict[str, Any] = {"fallbacks": links} if links else {}
        return {**attributes, "breaker": asdict(self.breaker)} if self.breaker else attributes

    def _describe_fallbacks(self, fallbacks: Sequence[target_fields.Fallback]) -> list[Any]:
        """A chat model object stays itself: LangChain dumps it in its own way."""
        return [target_fields.plain(link) if isinstance(link, LLMConfig) else link for link in fallbacks]

    def _identity(self) -> dict[str, Any]:
        """What tells this chain from another: for traces and cache keys, so without keys and without breakers."""
        names = (*LLMConfig.model_fields, *sorted(self.MADE_FROM))
        hidden = {"api_key", "default_headers", "fallbacks", "verify_ssl", "on_attempt"}
        known = [name for name in names if name in type(self).model_fields and name not in hidden]
        identity = {name: value for name in known if (value := getattr(self, name)) not in (None, (), [])}
        return {**identity, "fallbacks": [self.describe(link) for link in self.fallbacks]}

    # Copies: LangChain keeps the dump of an object, which nobody else would renew

    def __setattr__(self, name: str, value: Any) -> None:
        """Let the change of a field take effect with the next call."""
        super().__setattr__(name, value)
        if self.ALIASES.get(name, name) in type(self).model_fields:
            vars(self).pop("_serialized", None)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy, which shares connections and health with the original.

        Raises:
            ConfigurationError: ``update`` has a field that is unknown.
        """
        copied = super().model_copy(update=update, deep=deep)
        vars(copied).pop("_serialized", None)
        if isinstance(metadata := getattr(copied, "metadata", None), dict) and "metadata" not in (update or {}):
            vars(copied)["metadata"] = dict(metadata)
        return copied

    def __getstate__(self) -> dict[Any, Any]:
        """Pickle the settings without keys: the copy looks in its own environment."""
        state = super().__getstate__()
        state["__dict__"].pop("_serialized", None)
        return state
