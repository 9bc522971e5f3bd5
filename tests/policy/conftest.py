from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import pytest

from tests.support.policy_harness import Mode, Room
from tests.support.scripted_targets import Attempt

Rooms: TypeAlias = Callable[[Mapping[str, Sequence[Attempt]]], Room]


@pytest.fixture(params=["sync", "async"])
def room(request: pytest.FixtureRequest) -> Rooms:
    """Makes a room; every test that asks for it runs once with each driver."""
    mode: Mode = request.param
    return lambda scripts: Room(scripts, mode)
