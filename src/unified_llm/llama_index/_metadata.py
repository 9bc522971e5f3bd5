"""``LLMMetadata`` of a chain of targets.

LlamaIndex reads it once for an index or an agent, so it describes what every target of the chain supports: it changes
with the settings only, never with an outage. No request is sent, and no exception is raised.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from llama_index.core.base.llms.types import LLMMetadata
from llama_index.core.constants import DEFAULT_CONTEXT_WINDOW

from unified_llm._adapters.chain_features import ChainFeatures, chain_features
from unified_llm._core.repeated_warnings import warn_once
from unified_llm._core.target import Target
from unified_llm._lib.short_repr import served_by

# LlamaIndex's value of ``num_output`` for no limit.
_UNLIMITED: Final = -1


def chain_metadata(
    targets: Sequence[Target], *, window: int | None, calls_tools: bool | None, max_tokens: int | None
) -> LLMMetadata:
    """Return the smallest context window, and whether every target supports tool calls.

    A window that is not known counts as LlamaIndex's default (3,900 tokens): a prompt that is packed for a larger one
    would fail, or be cut, whenever that target serves it.

    Args:
        targets: The chain; empty while its settings are inconsistent.
        window: The context window, in place of that of the models.
        calls_tools: Whether tool calls are supported, in place of what is known of the models.
        max_tokens: The most tokens of an answer. No more than half of the window is reported: LlamaIndex subtracts
            it from the window, and nothing would be left where a model may write as much as it reads.
    """
    chain = chain_features(targets)
    smallest = window or _smallest_window(chain)
    if calls_tools is None:
        calls_tools = "tools" in chain.features
    return LLMMetadata(
        context_window=smallest,
        num_output=min(max_tokens, smallest // 2) if max_tokens else _UNLIMITED,
        is_chat_model=True,
        is_function_calling_model=calls_tools,
        model_name=served_by(targets[0].provider, targets[0].model) if targets else "unknown",
    )


def _smallest_window(chain: ChainFeatures) -> int:
    if chain.context_window is None:
        return DEFAULT_CONTEXT_WINDOW
    if chain.unknown and chain.context_window > DEFAULT_CONTEXT_WINDOW:
        for target in chain.unknown:
            warn_once(
                ("context window", target.health_key),
                "%s: its context window is not known, so the metadata of this chain say %d tokens; declare it by "
                "context_window= of that target",
                target.name,
                DEFAULT_CONTEXT_WINDOW,
            )
        return DEFAULT_CONTEXT_WINDOW
    return chain.context_window
