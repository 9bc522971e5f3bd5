"""Names that both directions of the translation need: it costs nothing to import."""

from __future__ import annotations

from typing import Final

from unified_llm._adapters import call_kwargs

# The provider that observers are told, whoever answers.
PROVIDER: Final = "unified-llm"
# The key of ``raw`` under which it is told who answered, and what was tried.
RECORD: Final = "unified_llm"
# The key of a thinking block's ``additional_information`` for what only the author of an answer can read.
PROVIDER_STATE: Final = "provider_state"

# Fields of a request that travel under their own name.
PLAIN: Final = call_kwargs.PLAIN | {"as_text"}
# What only says how the method is called.
NOT_SENT: Final = frozenset({"stream", "formatted", "verbose"})

# Every name that a call may set.
REQUEST_FIELDS: Final = PLAIN | call_kwargs.FORMED | call_kwargs.OPTIONS | NOT_SENT
