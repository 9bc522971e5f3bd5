"""Skip a test whose server is not installed, with the command to install it; fail in CI."""

from __future__ import annotations

import importlib.util
import os
import shutil
from typing import NoReturn

import pytest


def need(*modules: str, install: str) -> None:
    """Skip the test unless these modules can be imported. ``TESTS_NO_SKIP=1`` makes a skip a failure."""
    absent = [module for module in modules if importlib.util.find_spec(module) is None]
    if absent:
        _skip_or_fail(", ".join(absent), install)


def need_program(name: str, *, install: str) -> str:
    """Return the path of a program; skip as ``need`` does."""
    return shutil.which(name) or _skip_or_fail(name, install)


def _skip_or_fail(name: str, install: str) -> NoReturn:
    message = f"{name} is missing: {install}"
    if os.environ.get("TESTS_NO_SKIP") == "1":
        pytest.fail(message)
    pytest.skip(message)
