"""Limits of one batch at each provider, and what its API takes; larger inputs are split into several batches.

The providers' own limits are higher for most. Results of a batch are read into memory at once, so that these are chosen
for results of up to 256 MiB, which is the most that a response with files may be (``_core/response_limits.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from unified_llm._core.target import Target

_MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Limits of one batch.

    Attributes:
        entries: The most entries.
        size: The most bytes of their bodies.
        texts: The most texts to embed, in all entries.
        takes_file: The entries are uploaded as a file first.
        keeps_label: The batch has a name, by which it is found.
    """

    entries: int = 5_000
    size: int = 48 * _MIB
    texts: int = 5_000
    takes_file: bool = True
    keeps_label: bool = True


# OpenAI: 50,000 requests, 200 MB and 50,000 texts (types/batch_create_params.py). Mistral: a million requests
# (docs.mistral.ai/studio-api/batch-processing).
_OF_OPENAI: Final = BatchLimits()
_LIMITS: Final[Mapping[str, BatchLimits]] = {
    "openai_chat": _OF_OPENAI,
    "openai_responses": _OF_OPENAI,
    # 100,000 requests or 256 MB: platform.claude.com/docs/en/build-with-claude/batch-processing
    "anthropic": BatchLimits(takes_file=False, keeps_label=False),
    # 20 MB with the request that begins it: ai.google.dev/gemini-api/docs/batch-api
    "gemini": BatchLimits(size=15 * _MIB, takes_file=False),
}


def batch_limits(target: Target) -> BatchLimits:
    """Return the limits of a batch of a target."""
    return _LIMITS.get(target.format, _OF_OPENAI)
