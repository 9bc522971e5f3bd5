"""Skip, with the command that would help, where a server cannot be had; in CI, fail."""

from __future__ import annotations

import importlib.util
import os
import shutil
from typing import NoReturn

import pytest


def need(*modules: str, install: str) -> None:
    """Go on only if these can be imported. ``UNIFIED_LLM_NO_SKIP=1`` makes a skip a failure."""
    absent = [each for each in modules if importlib.util.find_spec(each) is None]
    if absent:
        _miss(", ".join(absent), install)


def need_program(name: str, *, install: str) -> str:
    """As ``need``, for a program; where it is."""
    return shutil.which(name) or _miss(name, install)


def _miss(what: str, install: str) -> NoReturn:
    message = f"{what} is missing: {install}"
    if os.environ.get("UNIFIED_LLM_NO_SKIP") == "1":
        pytest.fail(message)
    pytest.skip(message)
