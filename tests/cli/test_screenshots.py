"""The screenshots of the documentation show what the commands show."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest  # noqa: TC002 - as in the other files of tests

from tests.support.doc_pages import ROOT

SCRIPT = ROOT / "docs" / "make_screenshots.py"


def load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


def test_the_screenshots_are_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setitem(sys.modules, SCRIPT.stem, None)
    screenshots = load(SCRIPT)
    assert screenshots.outdated() == [], "run python docs/make_screenshots.py"
    page = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    assert {f"screenshots/{name}.svg" for name in screenshots.SCREENS} <= set(
        page.replace("(", " ").replace(")", " ").split()
    )
