"""Resident memory of the package: below 10 MB above that of httpx and pydantic, as benchmarks/memory.py measures it."""

from __future__ import annotations

import sys

import pytest

from benchmarks.memory import BASE, LIMIT, measure


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read in /proc")
def test_a_call_needs_less_than_ten_megabytes_above_httpx_and_pydantic() -> None:
    for sizes in measure(rounds=3).values():
        assert sizes["a call"] - sizes[BASE] < LIMIT
        assert sizes["100 more calls"] - sizes["a call"] < 1.0
