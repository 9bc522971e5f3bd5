"""LangChain's response cache, with one more rule: only responses of the primary are stored.

LangChain stores whatever a model returned under that model's key. Without this rule, the weaker response of a fallback,
served during an outage of one minute, would be returned for the lifetime of the cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from langchain_core.caches import RETURN_VAL_TYPE, BaseCache
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.globals import get_llm_cache
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult, Generation

from unified_llm._core.hidden import Hidden
from unified_llm.langchain._constants import RECORD


class PrimaryOnlyCache(BaseCache):
    """Wrapper of the user's cache: looks everything up, stores only responses of the primary."""

    def __init__(self, cache: BaseCache) -> None:
        self._cache = cache

    def lookup(self, prompt: str, llm_string: str) -> RETURN_VAL_TYPE | None:
        """Return the cached response; None if there is none."""
        return self._cache.lookup(prompt, llm_string)

    async def alookup(self, prompt: str, llm_string: str) -> RETURN_VAL_TYPE | None:
        """Return the cached response; None if there is none."""
        return await self._cache.alookup(prompt, llm_string)

    def update(self, prompt: str, llm_string: str, return_val: RETURN_VAL_TYPE) -> None:
        """Store a response of the primary; drop one of a fallback."""
        if not _is_from_fallback(return_val):
            self._cache.update(prompt, llm_string, return_val)

    async def aupdate(self, prompt: str, llm_string: str, return_val: RETURN_VAL_TYPE) -> None:
        """Store a response of the primary; drop one of a fallback."""
        if not _is_from_fallback(return_val):
            await self._cache.aupdate(prompt, llm_string, return_val)

    def clear(self, **kwargs: Any) -> None:
        """Clear the user's cache."""
        self._cache.clear(**kwargs)


def _is_from_fallback(generations: Sequence[Generation]) -> bool:
    return any(
        isinstance(generation, ChatGeneration)
        and generation.message.response_metadata.get(RECORD, {}).get("used_fallback")
        for generation in generations
    )


if TYPE_CHECKING:
    _Base = BaseChatModel
else:
    _Base = object  # another Pydantic class would cost every import some milliseconds


class PrimaryOnlyCacheMixin(_Base):
    """Mixin for a chat model: only responses of its primary are stored in LangChain's cache."""

    def _generate_with_cache(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        given = Hidden((messages, stop, kwargs))
        del messages, stop, kwargs
        model = self._with_primary_only_cache()
        call = super(PrimaryOnlyCacheMixin, model)._generate_with_cache
        return call(*given.value[:2], run_manager, **given.value[2])

    async def _agenerate_with_cache(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        given = Hidden((messages, stop, kwargs))
        del messages, stop, kwargs
        model = self._with_primary_only_cache()
        call = super(PrimaryOnlyCacheMixin, model)._agenerate_with_cache
        return await call(*given.value[:2], run_manager, **given.value[2])

    def _with_primary_only_cache(self) -> Self:
        """Return this model; where a cache is in use, a copy that stores only responses of the primary in it."""
        cache = self.cache if isinstance(self.cache, BaseCache) else get_llm_cache()
        if cache is None or self.cache is False:
            return self
        copied = self.model_copy()
        vars(copied)["cache"] = PrimaryOnlyCache(cache)
        return copied
