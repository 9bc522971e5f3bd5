"""docs/support.md: each of its cells is right, and the test that a cell names would fail if it said the opposite."""

from __future__ import annotations

import json
import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.support.support_checks import CHECKS, check_cell
from tests.support.thorough import some
from unified_llm._providers.registry import ROWS
from unified_llm.exceptions import LLMError

ROOT = Path(__file__).parents[2]
# What the page claims: a row of the table of providers that is changed is found here as well.
CLAIMS: dict[str, dict[str, dict[str, Any]]] = json.loads((ROOT / "docs" / "support.json").read_text(encoding="utf-8"))
CELLS: list[tuple[str, str, str, str, dict[str, str]]] = [
    (provider, column, cell["support"], cell["test"], cell["models"])
    for provider, row in CLAIMS.items()
    for column, cell in row.items()
]
HERE = f"{Path(__file__).relative_to(ROOT).as_posix()}::test_a_cell_of_the_support_matrix_is_right"
CHECKED = [
    pytest.param(
        *(provider, column, support, models),
        id=f"{provider}-{column}",
        marks=[pytest.mark.thorough] if number % 4 else [],  # a quick run takes some of the cells
    )
    for number, (provider, column, support, test, models) in enumerate(CELLS)
    if test.startswith(HERE)
]
OPPOSITE = {"no": "yes", "by chat": "text completion", "text completion": "by chat"}
PARTS = {"images": "data, URL", "files": "data, URL", "audio": "data"}


@pytest.mark.parametrize(("provider", "column", "support", "models"), CHECKED)
def test_a_cell_of_the_support_matrix_is_right(
    provider: str, column: str, support: str, models: dict[str, str]
) -> None:
    check_cell(provider, column, support)
    for pattern, of_model in models.items():
        check_cell(provider, column, of_model, model=name_like(pattern))


def name_like(pattern: str) -> str:
    """Return a name that a pattern of models matches."""
    return re.sub(r"\[(.).*?\]", r"\1", pattern).replace("*", "-")


def opposite(column: str, support: str) -> str:
    if support == "no" and column in PARTS:
        return PARTS[column]
    return OPPOSITE.get(support, "no")


def test_the_test_of_a_cell_fails_where_the_cell_says_the_opposite() -> None:
    for provider, column, support, test, _ in some(CELLS, 4, start=1):
        if test.startswith(HERE) and column != "chat":  # no provider lacks it
            with pytest.raises((AssertionError, LLMError, pytest.fail.Exception)):
                check_cell(provider, column, opposite(column, support))


def test_every_cell_names_a_test_that_exists_and_covers_it() -> None:
    collected = {f"{HERE}[{case.id}]" for case in CHECKED}
    for provider, column, _, test, _ in CELLS:
        if test in collected:
            assert test == f"{HERE}[{provider}-{column}]"
            continue
        path, _, name = test.partition("::")
        assert provider in Path(path).parts, f"{test} is no test of {provider}"
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), test


def test_every_provider_has_a_cell_in_every_column() -> None:
    assert {cell[:2] for cell in CELLS} == set(product((row.name for row in ROWS), CHECKS))
