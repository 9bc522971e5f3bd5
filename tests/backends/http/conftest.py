from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.backends.http.colours import Caller, Colour, caller
from tests.backends.http.scripted import Network
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
def colour(request: pytest.FixtureRequest) -> Colour:
    found: Colour = request.param
    return found


@pytest.fixture
def call(colour: Colour) -> Iterator[Caller]:
    with caller(colour) as made:
        yield made
