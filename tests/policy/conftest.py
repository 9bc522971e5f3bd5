from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import pytest

from tests.support.policy_harness import Mode, PolicyHarness
from tests.support.scripted_targets import Attempt

MakeHarness: TypeAlias = Callable[[Mapping[str, Sequence[Attempt]]], PolicyHarness]


@pytest.fixture(params=["sync", "async"])
def make_harness(request: pytest.FixtureRequest) -> MakeHarness:
    """Return a factory of harnesses; every test with this fixture runs once with each driver."""
    mode: Mode = request.param
    return lambda scripts: PolicyHarness(scripts, mode)
