"""The conformance suite itself: its references to llama-index-core are valid. The integration tests run it."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import llama_index.core
import pytest

from conformance.llama_index import suite

CORE = Path(llama_index.core.__file__).parent
CITED = re.compile(r"Needed by ([\w/]+\.py)(?: and ([\w/]+\.py))?")


def _tests() -> list[tuple[str, Any]]:
    classes = [cls for section in suite.SECTIONS.values() for cls in section]
    return [
        (f"{cls.__name__}.{name}", test) for cls in classes for name, test in vars(cls).items() if name[:5] == "test_"
    ]


def test_every_test_says_who_in_llamaindex_needs_it() -> None:
    tests = _tests()
    assert len(tests) > 90
    for name, test in tests:
        cited = CITED.search(inspect.cleandoc(test.__doc__ or "").replace("\n", " "))
        assert cited, name
        assert all((CORE / path).is_file() for path in cited.groups() if path), f"{name}: {cited.groups()}"


def test_the_suite_hands_on_every_section() -> None:
    listed = {cls.__name__ for section in suite.SECTIONS.values() for cls in section}
    assert listed == {name for name in suite.__all__ if name.startswith("Test")}


def test_what_a_contender_cannot_do_is_listed_by_tests_that_there_are() -> None:
    from conformance.llama_index.contenders.mlx import UNMET

    assert set(UNMET) <= {name for name, _ in _tests()}


def test_whoever_is_tried_is_a_contender() -> None:
    from conformance.llama_index.harness import load

    assert load("conformance.llama_index.contenders.unified:Unified").name == "UnifiedLLM"
    with pytest.raises(TypeError, match="not a Contender"):
        load("builtins:dict")
