"""All cases of the tables, in every kind of call to which they apply."""

from __future__ import annotations

import pytest

from integration_tests.support.fault_cases import bodies, connections, event_streams, inputs, local_servers, refusals
from integration_tests.support.fault_harness import Case, Way, run_case

TABLES = (connections, refusals, bodies, event_streams, inputs, local_servers)
CASES = [case for table in TABLES for case in table.CASES]


@pytest.mark.parametrize(
    ("case", "way"),
    [
        pytest.param(case, way, id=f"{case.number}: {case.title}, {way}", marks=pytest.mark.case(case.number))
        for case in CASES
        for way in case.ways
    ],
)
def test_case(case: Case, way: Way) -> None:
    run_case(case, way)
