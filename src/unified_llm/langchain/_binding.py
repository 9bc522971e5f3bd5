"""A ``ChatUnified`` with bound arguments: fallbacks added to it become targets of its chain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from langchain_core.language_models import LanguageModelInput, chat_models
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableBinding

from unified_llm._adapters.call_names import check_body_fields
from unified_llm._adapters.call_secrets import guards_keys
from unified_llm._adapters.target_fields import TargetFields
from unified_llm._config.llm_config import LLMConfig, read_fallbacks
from unified_llm.exceptions import ConfigurationError, ValidationError
from unified_llm.langchain._base import wrap
from unified_llm.langchain._constants import REQUEST_FIELDS
from unified_llm.langchain._errors import translate_errors

if TYPE_CHECKING:
    from langchain_core.language_models.chat_models import (
        _ChatModelBinding as _Binding,  # pyright: ignore[reportPrivateUsage]
    )
else:
    # Private, and newer than the oldest supported langchain-core; it adds only types.
    _Binding = getattr(chat_models, "_ChatModelBinding", RunnableBinding)

Fallback: TypeAlias = str | LLMConfig | Mapping[str, Any] | Runnable[LanguageModelInput, Any]
"""What ``with_fallbacks`` takes."""

# The exceptions that LangChain's own fallbacks handle by default.
DEFAULT_EXCEPTIONS: Final = (Exception,)


@guards_keys(("invoke", "ainvoke", "stream", "astream", "batch", "abatch"), ("bind",))
class ModelBinding(_Binding):  # type: ignore[no-redef] # as in langchain-core, for Pydantic's plugin
    """Binding of a ``ChatUnified``, with ``with_fallbacks`` of its own."""

    @classmethod
    def translated(cls) -> AbstractContextManager[None]:
        """Return a context manager that raises our errors as LangChain's too."""
        return translate_errors()

    def bind(self, **kwargs: Any) -> ModelBinding:
        """Bind further arguments.

        Raises:
            ValidationError: One of them is misspelled, or belongs to the client.
        """
        return cast("ModelBinding", super().bind(**checked_bound(kwargs)))

    def with_fallbacks(  # type: ignore[override] # stays a chat model with bound arguments
        self,
        fallbacks: Sequence[Fallback],
        *,
        exceptions_to_handle: tuple[type[BaseException], ...] = DEFAULT_EXCEPTIONS,
        exception_key: str | None = None,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Add fallbacks as ``ChatUnified.with_fallbacks`` does; the bound arguments apply to every fallback."""
        model, links = self.bound, read_fallbacks(fallbacks)
        if not isinstance(model, TargetFields) or not can_join_chain(links, exceptions_to_handle, exception_key):
            return super().with_fallbacks(links, exceptions_to_handle=exceptions_to_handle, exception_key=exception_key)
        joined = cast("Any", model).with_fallbacks([self._unbind_same_arguments(link) for link in links])
        return self.model_copy(update={"bound": joined})

    def _unbind_same_arguments(self, fallback: Any) -> Any:
        """Remove the binding of a ``ChatUnified`` with the same bound arguments, so that its targets join the chain."""
        if isinstance(fallback, RunnableBinding) and isinstance(fallback.bound, TargetFields):
            return fallback.bound if fallback.kwargs == self.kwargs else fallback
        return fallback


def checked_bound(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return arguments to bind, once those that no call takes are refused: not in each call.

    Raises:
        ValidationError: One of them is misspelled, or belongs to the client.
    """
    if further := kwargs.keys() - REQUEST_FIELDS:
        with translate_errors():
            check_body_fields(further, REQUEST_FIELDS, ValidationError)
    return kwargs


def can_join_chain(
    fallbacks: Sequence[Any], exceptions: tuple[type[BaseException], ...], exception_key: str | None
) -> bool:
    """Return whether fallbacks can become targets of a chain, rather than LangChain's own fallbacks.

    Raises:
        ConfigurationError: They cannot, and one of them is no ``Runnable`` but a model string or a configuration.
    """
    is_default = exceptions == DEFAULT_EXCEPTIONS and exception_key is None
    configured = [fallback for fallback in fallbacks if isinstance(fallback, (str, LLMConfig))]
    if is_default and all(isinstance(fallback, (str, LLMConfig)) or _is_model(fallback) for fallback in fallbacks):
        return True
    if configured:
        raise ConfigurationError(
            "exceptions_to_handle, exception_key, and Runnables that are no chat models or have a RunnableConfig, need "
            "LangChain's own fallbacks, which are Runnables: write ChatUnified(model=...) in place of a model string."
        )
    return False


def _is_model(fallback: Any) -> bool:
    """Return whether it is a chat model, perhaps with bound arguments: a chain would lose its tags and callbacks."""
    has_config = isinstance(fallback, RunnableBinding) and bool(fallback.config or fallback.config_factories)
    return not has_config and wrap(fallback) is not None
