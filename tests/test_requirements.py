"""The pinned requirements: the lowest versions are those of ``pyproject.toml``, and no file names an index."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.version import Version

from unified_llm import __version__

REPOSITORY = Path(__file__).parent.parent
REQUIREMENTS = sorted((REPOSITORY / "requirements").glob("*.txt"))
PROJECT: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# The extras that have code; the names of the others are reserved. The last two are not among the lowest versions: the
# tests run without them, and each is hundreds of megabytes.
WITH_TESTS = ("langchain", "agents", "llama-index", "mlx", "otel", "redis", "yaml", "cli", "system-certs")
IN_USE = (*WITH_TESTS, "vision", "ray")


def lines_of(path: Path) -> list[str]:
    lines = [line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line]


def lower_bound(required: Requirement) -> Version:
    (bound,) = [Version(part.version) for part in required.specifier if part.operator == ">="]
    return bound


def test_the_lowest_versions_are_those_that_the_package_allows() -> None:
    """``make lowest`` would test others: ``make lock`` writes the file again."""
    extras = PROJECT["optional-dependencies"]
    required = map(Requirement, [*PROJECT["dependencies"], *(line for name in WITH_TESTS for line in extras[name])])
    outside = [requirement for requirement in required if requirement.name != PROJECT["name"]]  # not its own extras
    lowest = {requirement.name: lower_bound(requirement) for requirement in outside}
    pins = map(Requirement, lines_of(REPOSITORY / "requirements" / "lowest.txt"))
    pinned = {pin.name: Version(next(iter(pin.specifier)).version) for pin in pins if pin.name in lowest}
    assert pinned == lowest
    assert len(lowest) == 16


def test_requirements_are_versions_alone() -> None:
    """An address of an index would be that of the machine on which the file was written."""
    assert len(REQUIREMENTS) > 5
    for path in REQUIREMENTS:
        assert [line for line in lines_of(path) if line.startswith("-") or "://" in line] == [], path.name


def test_the_page_about_compatibility_states_the_same_versions() -> None:
    page = (REPOSITORY / "docs" / "compatibility.md").read_text(encoding="utf-8")
    extras = PROJECT["optional-dependencies"]
    for required in map(Requirement, [*PROJECT["dependencies"], *(line for name in IN_USE for line in extras[name])]):
        if required.specifier:
            rows = [row for row in page.splitlines() if row.startswith(f"| {required.name} ")]
            assert [row for row in rows if str(lower_bound(required)) in row], required.name
    minimum = PROJECT["requires-python"].removeprefix(">=")
    assert f"| Python | {minimum} to 3.14 |" in page
    assert any(line.endswith("Python :: 3.14") for line in PROJECT["classifiers"])


def test_the_supported_version_is_the_current_one() -> None:
    major, minor, *_ = __version__.split(".")
    assert f"({major}.{minor}.x)" in (REPOSITORY / "SECURITY.md").read_text(encoding="utf-8")
