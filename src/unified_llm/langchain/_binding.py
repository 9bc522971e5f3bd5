"""A ``ChatUnified`` with bound arguments, which stays a chain when fallbacks are added to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from langchain_core.language_models import LanguageModelInput, chat_models
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableBinding

from unified_llm._adapters.target_fields import TargetFields
from unified_llm.langchain._constants import wrap

if TYPE_CHECKING:
    from langchain_core.language_models.chat_models import (
        _ChatModelBinding as _Binding,  # pyright: ignore[reportPrivateUsage]
    )
else:
    # Private, and newer than the oldest langchain-core that we run with; it adds nothing but types.
    _Binding = getattr(chat_models, "_ChatModelBinding", RunnableBinding)

# The exceptions that LangChain's own fallbacks handle unless told otherwise.
EVERYTHING: Final = (Exception,)


class ModelBinding(_Binding):  # type: ignore[no-redef] # as in langchain-core, for Pydantic's plugin
    """A ``ChatUnified`` with bound arguments: fallbacks given to it join its chain too."""

    def with_fallbacks(  # type: ignore[override] # stays a chat model with bound arguments
        self,
        fallbacks: Sequence[Runnable[LanguageModelInput, Any]],
        *,
        exceptions_to_handle: tuple[type[BaseException], ...] = EVERYTHING,
        exception_key: str | None = None,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """As ``ChatUnified.with_fallbacks``; what is bound here is asked of every fallback."""
        model = self.bound
        if not isinstance(model, TargetFields) or not joinable(fallbacks, exceptions_to_handle, exception_key):
            return super().with_fallbacks(
                fallbacks, exceptions_to_handle=exceptions_to_handle, exception_key=exception_key
            )
        joined = cast("Runnable[LanguageModelInput, AIMessage]", model).with_fallbacks(
            [self._unbound(each) for each in fallbacks]
        )
        return self.model_copy(update={"bound": joined})

    def _unbound(self, fallback: Runnable[LanguageModelInput, Any]) -> Runnable[LanguageModelInput, Any]:
        """A chain with the same arguments bound is as good without: then its targets can join this one's."""
        if isinstance(fallback, RunnableBinding) and isinstance(fallback.bound, TargetFields):
            return fallback.bound if fallback.kwargs == self.kwargs else fallback
        return fallback


def joinable(fallbacks: Sequence[Any], exceptions: tuple[type[BaseException], ...], exception_key: str | None) -> bool:
    """Whether fallbacks can become targets of a chain."""
    return exceptions == EVERYTHING and exception_key is None and all(wrap(each) for each in fallbacks)
