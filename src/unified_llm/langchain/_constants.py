"""Names and types that the public classes need; cheap to import.

The modules that translate calls, messages and responses are imported when they are first needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias

from langchain_core.runnables import Runnable

from unified_llm._adapters import call_names

# ``model_provider`` in LangChain's metadata, whichever target serves the request.
PROVIDER: Final = "unified-llm"
# The key of ``response_metadata`` for the target that served the request and the record of attempts.
RECORD: Final = "unified_llm"
# The key of ``additional_kwargs`` for opaque provider state.
PROVIDER_STATE: Final = "unified_llm_provider_state"

# LangChain's tools are Runnables. (Importing BaseTool for this would import a tenth of langchain-core.)
ToolLike: TypeAlias = dict[str, Any] | type | Callable[..., Any] | Runnable[Any, Any]
Schema: TypeAlias = dict[str, Any] | type
Method: TypeAlias = Literal["function_calling", "json_schema", "json_mode"]

# Fields of a request that keep their name.
PLAIN: Final = call_names.PLAIN | {"n"}
# Keyword arguments that are not sent: LangChain adds them for its own use.
NOT_SENT: Final = frozenset({"stream", "stream_usage"})

# All keyword arguments that a call may have.
REQUEST_FIELDS: Final = call_names.request_fields(PLAIN, NOT_SENT)
