"""What a chain of models can do, in the words of LlamaIndex's metadata.

LlamaIndex keeps what it reads here for as long as an index or an agent lives, so this tells what the whole chain can
do, whoever happens to answer: it changes with the settings alone, never with an outage. It sends nothing, and never
raises.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from llama_index.core.base.llms.types import LLMMetadata
from llama_index.core.constants import DEFAULT_CONTEXT_WINDOW

from unified_llm._core.target import Target

# What LlamaIndex takes for "as much as the model likes".
_UNBOUND: Final = -1


def chain_metadata(
    targets: Sequence[Target], *, window: int | None, calls_tools: bool | None, max_tokens: int | None
) -> LLMMetadata:
    """The smallest window that is known, and whether every target calls tools.

    Last resorts do not count: they are passed over for what they cannot do, and lower nobody's sights.

    Args:
        targets: The chain; empty where its settings do not fit together yet.
        window: In place of what is known of the models.
        calls_tools: The same.
        max_tokens: The most tokens of an answer. No more than half of the window is reported: LlamaIndex subtracts
            it from the window, and is left with nothing where a model may write as much as it reads.
    """
    counted = [target for target in targets if not target.last_resort] or list(targets)
    windows = [target.context_window for target in counted if target.context_window]
    smallest = window or min(windows, default=DEFAULT_CONTEXT_WINDOW)
    if calls_tools is None:
        calls_tools = bool(counted) and all("tools" in target.features for target in counted)
    return LLMMetadata(
        context_window=smallest,
        num_output=min(max_tokens, smallest // 2) if max_tokens else _UNBOUND,
        is_chat_model=True,
        is_function_calling_model=calls_tools,
        model_name=targets[0].name if targets else "unknown",
    )
