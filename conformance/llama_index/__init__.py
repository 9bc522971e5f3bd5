"""A conformance suite for LlamaIndex LLMs: what llama-index-core relies on, tested over real connections.

LlamaIndex declares an LLM's methods as abstract, but does not specify their behaviour. The tests specify what its
callbacks, programs, agents and chat engines rely on, and name the file of llama-index-core that needs it. They do not
depend on an LLM: a ``Contender`` creates it, and a scripted server of OpenAI's chat format answers. Only the contender
``unified`` imports unified-llm.
"""

from __future__ import annotations

import pytest

from conformance.llama_index.contender import Contender

__all__ = ["Contender"]

pytest.register_assert_rewrite("conformance.llama_index.sections", "conformance.llama_index.call_modes")
