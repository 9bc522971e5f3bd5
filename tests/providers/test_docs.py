"""The page about providers is what its table says."""

from __future__ import annotations

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_about_providers_is_up_to_date() -> None:
    generator = runpy.run_path(str(DOCS / "generate_providers.py"))
    written = (DOCS / "providers.md").read_text(encoding="utf-8")
    assert written == generator["render"](), "run: python docs/generate_providers.py"
