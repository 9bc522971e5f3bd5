"""The conformance suite for LlamaIndex LLMs, over ``UnifiedLLM``."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from conformance.llama_index.contenders.unified import Unified
from conformance.llama_index.suite import *  # noqa: F403 - the tests and their fixtures

pytestmark = [
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning"),  # LlamaIndex's own
    pytest.mark.filterwarnings("ignore:is_running called:DeprecationWarning"),
    # Its default memory is a database, which it does not close.
    pytest.mark.filterwarnings("ignore:.aiosqlite.core.Connection object .* was deleted before:ResourceWarning"),
    # Its chat engines read streams in a thread, and raise there the error that they also pass to the reader.
    pytest.mark.filterwarnings(
        "ignore:(?s)Exception in thread .* in write_response_to_history"
        ".*StreamInterruptedError:pytest.PytestUnhandledThreadExceptionWarning"
    ),
]


@pytest.fixture(scope="session")
def contender() -> Unified:
    """A chain of one target; the other tests of this folder fail over."""
    return Unified()


@pytest.fixture(scope="module", autouse=True)
def _collected() -> Iterator[None]:
    """Collect garbage here, and not during another module's tests."""
    yield
    gc.collect()
