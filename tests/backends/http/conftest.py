from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.scripted_server import Network
from tests.support.sync_and_async import Caller, Mode, caller
from unified_llm._backends.http import Transport


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    return Network(monkeypatch)


@pytest.fixture
def transport(network: Network) -> Iterator[Transport]:
    made = Transport(now=network.clock)
    yield made
    made.close()


@pytest.fixture(params=["sync", "async"])
def mode(request: pytest.FixtureRequest) -> Mode:
    parameter: Mode = request.param
    return parameter


@pytest.fixture
def call(mode: Mode) -> Iterator[Caller]:
    with caller(mode) as made:
        yield made
