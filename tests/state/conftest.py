"""Two processes that share one Redis in memory; their clocks have different origins."""

from __future__ import annotations

import pytest

from tests.support.redis_in_memory import MemoryRedis, SimulatedProcess


@pytest.fixture
def server() -> MemoryRedis:
    return MemoryRedis()


@pytest.fixture
def one(server: MemoryRedis) -> SimulatedProcess:
    return SimulatedProcess(server, offset=1_000.0)


@pytest.fixture
def other(server: MemoryRedis) -> SimulatedProcess:
    return SimulatedProcess(server, offset=77_000.0)
