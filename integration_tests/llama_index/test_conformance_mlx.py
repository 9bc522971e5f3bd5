"""The conformance suite for LlamaIndex LLMs, over ``UnifiedLLM`` with a model in this process.

``unmet`` of the contender lists the tests that such a model cannot pass, and why: one of them that passes is a failure
here, as is any other that fails. Those that pass by chance are not run.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from conformance.llama_index.contenders.mlx import BY_CHANCE, UnifiedMLX
from conformance.llama_index.suite import *  # noqa: F403 - the tests and their fixtures
from integration_tests.llama_index.test_conformance import pytestmark as warnings
from unified_llm._backends.mlx import unavailable_reason
from unified_llm._backends.mlx.engines import close_engines

pytestmark = [pytest.mark.skipif(unavailable_reason() is not None, reason=str(unavailable_reason())), *warnings]


@pytest.fixture(scope="module")
def contender() -> Iterator[UnifiedMLX]:
    """A chain of one scripted model in this process."""
    contender = UnifiedMLX()
    yield contender
    contender.close()
    close_engines()
    gc.collect()


@pytest.fixture(autouse=True)
def _unmet(request: pytest.FixtureRequest) -> None:
    test = f"{request.cls.__name__}.{request.node.originalname}"
    if (reason := UnifiedMLX.unmet.get(test)) is not None:
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True, run=test not in BY_CHANCE))
