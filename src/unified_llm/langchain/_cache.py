"""LangChain's cache of answers, with one rule more: an answer of a fallback is not kept as if it were the primary's.

LangChain stores whatever a model returned under that model's key. Here this would mean that the poorer answer of a last
resort, given during an outage of a minute, is handed out for as long as the cache lives.
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

from unified_llm.langchain._constants import RECORD


class PrimaryAnswers(BaseCache):
    """A cache that lets everything out, and only answers of the primary in."""

    def __init__(self, cache: BaseCache) -> None:
        """Wrap the user's cache."""
        self._cache = cache

    def lookup(self, prompt: str, llm_string: str) -> RETURN_VAL_TYPE | None:
        """What the cache has."""
        return self._cache.lookup(prompt, llm_string)

    async def alookup(self, prompt: str, llm_string: str) -> RETURN_VAL_TYPE | None:
        """What the cache has."""
        return await self._cache.alookup(prompt, llm_string)

    def update(self, prompt: str, llm_string: str, return_val: RETURN_VAL_TYPE) -> None:
        """Keep an answer of the primary."""
        if not _stood_in(return_val):
            self._cache.update(prompt, llm_string, return_val)

    async def aupdate(self, prompt: str, llm_string: str, return_val: RETURN_VAL_TYPE) -> None:
        """Keep an answer of the primary."""
        if not _stood_in(return_val):
            await self._cache.aupdate(prompt, llm_string, return_val)

    def clear(self, **kwargs: Any) -> None:
        """Empty the cache."""
        self._cache.clear(**kwargs)


def _stood_in(generations: Sequence[Generation]) -> bool:
    return any(
        isinstance(each, ChatGeneration) and each.message.response_metadata.get(RECORD, {}).get("fell_back")
        for each in generations
    )


if TYPE_CHECKING:
    _Base = BaseChatModel
else:
    _Base = object  # a Pydantic class more would cost every import some milliseconds


class PrimaryCaching(_Base):
    """The part of a chat model that keeps only its primary's answers in LangChain's cache."""

    def _generate_with_cache(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        model = self._with_careful_cache()
        return super(PrimaryCaching, model)._generate_with_cache(messages, stop, run_manager, **kwargs)

    async def _agenerate_with_cache(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        model = self._with_careful_cache()
        return await super(PrimaryCaching, model)._agenerate_with_cache(messages, stop, run_manager, **kwargs)

    def _with_careful_cache(self) -> Self:
        """This model; where there is a cache, a copy that lets only the primary's answers into it."""
        cache = self.cache if isinstance(self.cache, BaseCache) else get_llm_cache()
        if cache is None or self.cache is False:
            return self
        copied = self.model_copy()
        vars(copied)["cache"] = PrimaryAnswers(cache)
        return copied
