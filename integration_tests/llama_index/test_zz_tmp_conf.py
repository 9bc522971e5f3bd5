"""The suite of ``conformance/llama_index``, which is for any LLM, over this one."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from conformance.llama_index.contenders.unified import Unified
from conformance.llama_index.suite import *  # noqa: F403 - the tests and what they stand on

pytestmark = [
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning"),  # LlamaIndex's own
    pytest.mark.filterwarnings("ignore:is_running called:DeprecationWarning"),
    # Its chat engines read streams in threads, and raise there what they also hand to the reader.
    # Nothing in LlamaIndex closes an LLM or a memory: their connections are left to the collector.
]


@pytest.fixture(scope="session")
def contender() -> Unified:
    """One target; the others of this folder fail over."""
    return Unified()


@pytest.fixture(scope="module", autouse=True)
def _collected() -> Iterator[None]:
    """What is left is collected here, and not in the middle of another module's tests."""
    yield
    gc.collect()
