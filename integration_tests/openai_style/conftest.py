"""The fake of OpenAI's API for these tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from integration_tests.fakes.openai_api.server import Fault, OpenAIAPI


@pytest.fixture(scope="session")
def _server() -> Iterator[OpenAIAPI]:
    with OpenAIAPI() as server:
        yield server


@pytest.fixture
def api(_server: OpenAIAPI) -> OpenAIAPI:
    """A server that has just started, with hosts that are slow, that cut answers, and that recover."""
    _server.reset()
    break_hosts(_server)
    return _server


def break_hosts(server: OpenAIAPI) -> None:
    server.faults |= {
        "/slow": Fault(delay=0.4),
        "/cut": Fault(cut_after=40),
        "/twice": Fault(status=429, headers={"Retry-After-Ms": "20"}, times=2),
        "/fails-midway": Fault(
            event='data: {"error": {"message": "No more.", "type": "server_error", "code": "oops"}}\n\n'
        ),
        "/once": Fault(status=503, headers={"Retry-After-Ms": "20"}, times=2),
    }
