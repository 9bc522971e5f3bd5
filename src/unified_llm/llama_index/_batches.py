"""Jobs of LlamaIndex, whose calls wait for the limits of their targets as those of ``LLMClient.map`` do.

LlamaIndex has no batch method of a model: its extractors, rerankers and parsers hand coroutines to ``run_jobs``, which
make single calls, and nothing in the context of their tasks says so. They are told from others by a frame of the task::

    run_jobs.<locals>.worker     of llama_index.core.async_utils
      await job                  code of an extractor, or of the user
        await llm.achat(...)     looks for that frame
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from types import FrameType
from typing import Final

from unified_llm._client.queued_calls import is_queued, queued_if

_MODULE: Final = "llama_index.core.async_utils"
_WORKER: Final = "run_jobs.<locals>.worker"


def queued_in_run_jobs() -> AbstractContextManager[None]:
    """Mark the calls of the block as calls of a batch where ``run_jobs`` awaits the coroutine that makes them."""
    return queued_if(several=not is_queued() and _is_in_run_jobs())


def _is_in_run_jobs() -> bool:
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    while frame is not None:
        if frame.f_code.co_qualname == _WORKER and frame.f_globals.get("__name__") == _MODULE:
            return True
        frame = frame.f_back
    return False
