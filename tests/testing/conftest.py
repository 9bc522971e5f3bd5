from __future__ import annotations

import asyncio
import time
from typing import NoReturn

import pytest

from tests.support.four_ways import CANARY


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for provider in ("OPENAI", "ANTHROPIC", "GROQ"):
        monkeypatch.setenv(f"{provider}_API_KEY", f"{CANARY}-{provider}")


@pytest.fixture(autouse=True)
def _no_real_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test that sleeps in real time."""
    sleep = asyncio.sleep

    def refuse(seconds: float) -> NoReturn:
        raise AssertionError(f"{seconds} s of real time")

    async def refuse_unless_zero(seconds: float) -> None:
        assert seconds == 0, "real time"
        await sleep(0)

    monkeypatch.setattr(time, "sleep", refuse)
    monkeypatch.setattr(asyncio, "sleep", refuse_unless_zero)
