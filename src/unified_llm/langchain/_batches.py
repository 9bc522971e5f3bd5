"""LangChain's batch methods, whose calls wait for the limits of their targets as those of ``LLMClient.map`` do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from unified_llm._client.queued_calls import queued_calls

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    _Base = BaseChatModel
else:
    _Base = object  # another Pydantic class would cost every import some milliseconds


class QueuedBatchesMixin(_Base):
    """Mixin for a chat model: put it before ``BaseChatModel`` among the bases.

    LangChain runs the calls of a batch in threads with a copy of the context, or in tasks, which copy it. A chain calls
    these methods of its steps, so they hold for ``(prompt | model).batch(...)`` as well.
    """

    def batch(self, inputs: list[Any], config: Any = None, **kwargs: Any) -> list[Any]:
        """Call the model with each input, in threads; the calls wait for their turn at rate limits."""
        with queued_calls():
            return super().batch(inputs, config, **kwargs)

    async def abatch(self, inputs: list[Any], config: Any = None, **kwargs: Any) -> list[Any]:
        """Do the same as ``batch``, in tasks."""
        with queued_calls():
            return await super().abatch(inputs, config, **kwargs)

    def batch_as_completed(self, inputs: Sequence[Any], config: Any = None, **kwargs: Any) -> Iterator[tuple[int, Any]]:
        """Do the same as ``batch``; yield each result with its index as soon as it is there."""
        results = super().batch_as_completed(inputs, config, **kwargs)
        while True:
            with queued_calls():  # not while the caller has a result
                result = next(results, None)
            if result is None:
                return
            yield result

    async def abatch_as_completed(
        self, inputs: Sequence[Any], config: Any = None, **kwargs: Any
    ) -> AsyncIterator[tuple[int, Any]]:
        """Do the same as ``batch_as_completed``, in tasks."""
        results = super().abatch_as_completed(inputs, config, **kwargs)
        while True:
            with queued_calls():
                result = await anext(results, None)
            if result is None:
                return
            yield result

    def _combine_llm_outputs(self, _llm_outputs: list[dict[str, Any] | None], /) -> dict[str, Any]:
        from unified_llm.langchain import _answers

        return _answers.sum_outputs(_llm_outputs)
