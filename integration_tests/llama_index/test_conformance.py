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
    # Its usual memory is a database, which nothing in it closes.
    pytest.mark.filterwarnings("ignore:.aiosqlite.core.Connection object .* was deleted before:ResourceWarning"),
    # Its chat engines read streams in a thread, and raise there what they also hand to the reader.
    pytest.mark.filterwarnings(
        "ignore:(?s)Exception in thread .* in write_response_to_history"
        ".*StreamInterruptedError:pytest.PytestUnhandledThreadExceptionWarning"
    ),
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
