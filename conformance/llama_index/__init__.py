"""A standard suite for LLMs of LlamaIndex's: what its core relies on, tried over real connections.

LlamaIndex says in abstract methods what an LLM has, and nowhere what it must do. What its callbacks, programs, agents
and chat engines rely on is written down here as tests, each of which names the file of llama-index-core that needs it.
They know nothing of any one LLM: a ``Contender`` says how to make one, and a scripted server of OpenAI's chat format
answers. Nothing here imports unified-llm, but for the contender of that name.
"""

from __future__ import annotations

import pytest

from conformance.llama_index.contender import Contender

__all__ = ["Contender"]

pytest.register_assert_rewrite("conformance.llama_index.sections", "conformance.llama_index.asking")
