"""Constants of both directions of the conversion; cheap to import."""

from __future__ import annotations

from typing import Final

from unified_llm._adapters import call_names

# The provider that LlamaIndex's observers see, whichever target answers.
PROVIDER: Final = "unified-llm"
# The key of ``raw`` for the target that answered and the attempts.
RECORD: Final = "unified_llm"
# The key of a thinking block's ``additional_information`` for opaque state of the provider that answered.
PROVIDER_STATE: Final = "provider_state"

# Fields of a request that are passed on under the same name.
PLAIN: Final = call_names.PLAIN | {"as_text"}
# Arguments about the method itself, not the request.
NOT_SENT: Final = frozenset({"stream", "formatted", "verbose"})

# Every argument that a call may set.
REQUEST_FIELDS: Final = call_names.request_fields(PLAIN, NOT_SENT)
