from __future__ import annotations

from collections.abc import Iterator

import pytest

from integration_tests.support.ray_cluster import RayCluster
from integration_tests.support.upstream import KEY


@pytest.fixture(scope="session")
def cluster() -> Iterator[RayCluster]:
    """A cluster whose workers have the keys of the scripted upstreams in their environment."""
    pytest.importorskip("ray", reason="Ray has no wheel for this Python")
    with RayCluster({"VLLM_API_KEY": KEY, "SECOND_KEY": KEY}) as running:
        yield running
