"""Table of all numbered fault cases by kind of call: ``python integration_tests/fault_table.py [--markdown]``.

Runs only the tests that declare a case (``@pytest.mark.case(29)``), prints only this table, and exits with 1 if a case
failed, or has no test for a kind of call to which it applies.
"""

from __future__ import annotations

import io
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Final

import pytest

_ROOT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(_ROOT))
sys.dont_write_bytecode = True

from integration_tests.support.fault_catalogue import TITLES, WAYS, reason  # noqa: E402

APART: Final = "apart"
_NAMES: Final = {
    "generate": "sync call",
    "agenerate": "async call",
    "stream": "sync stream",
    "astream": "async stream",
    "sync": "sync call",
    "async": "async call",
} | {way: way for way in WAYS}


class Claims:
    """Pytest plugin that records the cases of each test and its outcome."""

    def __init__(self) -> None:
        self.claims: dict[str, list[tuple[int, str]]] = {}
        self.ends: dict[tuple[int, str], Counter[str]] = defaultdict(Counter)
        self.failed: list[str] = []
        self.strays: set[int] = set()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            for marker in item.iter_markers("case"):
                self.strays |= set(marker.args) - set(TITLES)
                places = [(number, way) for number in marker.args for way in _ways(item, marker)]
                self.claims.setdefault(item.nodeid, []).extend(places)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.passed and report.when != "call":
            return
        for claim in self.claims.get(report.nodeid, ()):
            self.ends[claim][report.outcome] += 1
        if report.failed:
            self.failed.append(report.nodeid)


def _ways(item: pytest.Item, marker: pytest.Mark) -> Iterable[str]:
    """Return the kinds of call in a test: from its mark, else from its parameters."""
    if marker.kwargs.get("ways"):
        return [str(way) for way in marker.kwargs["ways"]]
    params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    for name in ("way", "mode", "room", "listed"):
        if name in params:
            return [_NAMES.get(str(params[name]), APART)]
    return [APART]


def cell(ends: Counter[str], number: int, way: str, notes: list[str]) -> str:
    """Return the cell of one case and one kind of call."""
    if ends["failed"]:
        return f"FAILED {ends['failed']}"
    if ends["passed"]:
        return str(ends["passed"])
    why = "" if way == APART else reason(number, way)
    if why is None:
        return "MISSING"
    if why and why not in notes:
        notes.append(why)
    return f"- {chr(ord('a') + notes.index(why))}" if why else ""


def rows(claims: Claims, notes: list[str]) -> Iterator[list[str]]:
    """Yield the rows of the table."""
    yield ["case", "", *WAYS, APART]
    for number, title in TITLES.items():
        yield [
            str(number),
            title,
            *(cell(claims.ends[number, way], number, way, notes) for way in (*WAYS, APART)),
        ]


def show(table: list[list[str]], *, markdown: bool) -> None:
    """Print the table."""
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for position, row in enumerate(table):
        padded = [
            text.rjust(widths[0]) if not column else text.ljust(widths[column]) for column, text in enumerate(row)
        ]
        sys.stdout.write(f"| {' | '.join(padded)} |\n" if markdown else f"{'  '.join(padded).rstrip()}\n")
        if markdown and not position:
            sys.stdout.write(f"|{'|'.join('-' * (width + 2) for width in widths)}|\n")


def main(*arguments: str) -> int:
    """Run the tests and print the table; return the exit status."""
    claims, output, begun = Claims(), io.StringIO(), time.monotonic()
    folders = [str(_ROOT / "tests"), str(_ROOT / "integration_tests")]
    with redirect_stdout(output):
        status = pytest.main(
            ["-m", "case", "-q", "--no-header", "--tb=short", "-p", "no:cacheprovider", "--show-capture=no", *folders],
            plugins=[claims],
        )
    notes: list[str] = []
    table = list(rows(claims, notes))
    markdown = "--markdown" in arguments
    show(table, markdown=markdown)
    for position, note in enumerate(notes):
        sys.stdout.write(f"{chr(10) * (not position)}{chr(ord('a') + position)}: {note}{'  ' * markdown}\n")
    empty = [row[0] for row in table[1:] if not any(text.isdigit() for text in row[2:])]
    wrong = sum(text == "MISSING" for row in table for text in row) + len(empty) + len(claims.strays)
    if claims.failed or status or wrong:
        sys.stdout.write(output.getvalue())
    passed = sum(ends["passed"] for ends in claims.ends.values())
    skipped = sum(ends["skipped"] for ends in claims.ends.values())
    sys.stdout.write(
        f"\n{len(TITLES)} cases: {passed} passed, {len(claims.failed)} failed, {skipped} skipped, {wrong} missing, "
        f"in {time.monotonic() - begun:.0f} s\n"
    )
    return int(bool(claims.failed or status or wrong))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
