"""Every test is also a test of silence: no log line of ours, of httpx or of httpcore may hold a canary key.

Keys in tests begin with ``sk-canary``, in any case. Both test folders use this fixture through their ``conftest.py``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

LOGGERS = ("unified_llm", "httpx", "httpcore")
MARK = "sk-canary"


class Listener(logging.Handler):
    """Remembers which records gave a canary away: in their text, their arguments, or the exception they carry."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.caught: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        told = f"{record.getMessage()} {vars(record)!r}"
        if record.exc_info:
            told += logging.Formatter().formatException(record.exc_info)
        if MARK in told.lower():
            self.caught.append(f"{record.name} {record.levelname} in {record.funcName}")


@pytest.fixture(autouse=True)
def no_key_in_any_log() -> Iterator[None]:
    """Listen at DEBUG while the test runs."""
    listener = Listener()
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(listener)
        logger.setLevel(logging.DEBUG)
    yield
    for logger, (level, propagate) in zip(loggers, before, strict=True):
        logger.removeHandler(listener)
        logger.setLevel(level)
        logger.propagate = propagate
    assert listener.caught == [], "a key was logged"
