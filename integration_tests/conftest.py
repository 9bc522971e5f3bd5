"""Shared fixtures of the integration tests: loopback only, a fresh health registry, and two scripted upstreams."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration_tests.support.upstream import Upstream
from tests.support import canary
from tests.support.process_state import reset_process_state

_HERE = Path(__file__).parent
# pydantic.v1 does not support Python 3.14, so this one standard test cannot run there.
_IMPOSSIBLE_ON_3_14 = "test_structured_output_pydantic_2_v1"


canary.clear_environment()

# A shell starts what runs in the background with SIGINT ignored, and so would all programs that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    canary.register_plugin(config)
    # The standard tests import pydantic.v1 on any Python, and it warns where it does not work.
    config.addinivalue_line("filterwarnings", "ignore:Core Pydantic V1 functionality:UserWarning")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    loopback = pytest.mark.allow_hosts(["127.0.0.1", "::1"])
    impossible = pytest.mark.skip(reason="pydantic.v1 does not support Python 3.14")
    for item in items:
        if not item.path.is_relative_to(_HERE):
            continue
        item.add_marker(loopback)
        if sys.version_info >= (3, 14) and item.name.startswith(_IMPOSSIBLE_ON_3_14):
            item.add_marker(impossible)


@pytest.fixture(scope="session")
def _upstreams() -> Iterator[tuple[Upstream, Upstream]]:
    with Upstream() as first, Upstream() as second:
        yield first, second


@pytest.fixture
def upstream(_upstreams: tuple[Upstream, Upstream]) -> Iterator[Upstream]:
    """The primary; the test fails if it receives an invalid request."""
    yield from _checked(_upstreams[0])


@pytest.fixture
def second(_upstreams: tuple[Upstream, Upstream]) -> Iterator[Upstream]:
    """A second upstream, for failover."""
    yield from _checked(_upstreams[1])


def _checked(server: Upstream) -> Iterator[Upstream]:
    server.reset()
    yield server
    assert server.violations == []


@pytest.fixture(autouse=True)
def _fresh_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reset what the process shares, and remove this machine's own settings from the environment."""
    for name in [*os.environ]:
        if name.startswith(("OPENAI_", "LANGSMITH_", "LANGCHAIN_")) and name not in canary.KEYS:
            monkeypatch.delenv(name)
    reset_process_state()
