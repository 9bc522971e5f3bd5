"""Names and types that the classes themselves need, and the door to foreign models: it costs nothing to import.

What does the work (translation of calls, messages and answers) is imported when it is first needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from langchain_core.runnables import Runnable

from unified_llm._adapters import call_kwargs

if TYPE_CHECKING:
    from unified_llm.langchain._wrapped_model import WrappedChatModel

# The provider that LangChain is told, whoever answers.
PROVIDER: Final = "unified-llm"
# The key of ``response_metadata`` under which it is told who answered, and what was tried.
RECORD: Final = "unified_llm"
# The key of ``additional_kwargs`` under which a message keeps what its provider alone can read.
PROVIDER_STATE: Final = "unified_llm_provider_state"

# Every tool of LangChain's is a Runnable. (Naming BaseTool here would import a tenth of langchain-core.)
ToolLike: TypeAlias = dict[str, Any] | type | Callable[..., Any] | Runnable[Any, Any]
Schema: TypeAlias = dict[str, Any] | type
Method: TypeAlias = Literal["function_calling", "json_schema", "json_mode"]

# Fields of a request that travel under their own name.
PLAIN: Final = call_kwargs.PLAIN | {"n"}
# What LangChain adds for its own use, and what only says how the method is called.
NOT_SENT: Final = frozenset({"stream", "stream_usage"})

# Every name that a call may set.
REQUEST_FIELDS: Final = PLAIN | call_kwargs.FORMED | call_kwargs.OPTIONS | NOT_SENT


def wrap(runnable: Any) -> WrappedChatModel | None:
    """A chat model of LangChain's as a target; None where it is none. Imported when the first one is met."""
    from unified_llm.langchain import _wrapped_model as models

    return models.wrap(runnable)
