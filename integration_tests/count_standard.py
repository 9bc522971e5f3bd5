"""Run LangChain's standard suites in both configurations and count: ``python integration_tests/count_standard.py``.

Pytest exits with 0 if a test was skipped, deselected or never collected; this script fails then.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

_HERE = Path(__file__).parent
# 10 chat unit tests, 50 chat integration tests, 3 embedding unit tests and 5 embedding integration tests.
_EXPECTED = 68
_CONFIGURATIONS = {
    "the primary answers": "test_standard.py",
    "the primary answers 503, the fallback answers": "test_standard_primary_down.py",
}
_IMPOSSIBLE = {"test_structured_output_pydantic_2_v1"} if sys.version_info >= (3, 14) else set[str]()


class Count:
    """Pytest plugin that counts the outcomes of tests."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.skipped: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if hasattr(report, "wasxfail"):
            self.outcomes["xfailed or xpassed"] += 1
        elif report.when == "call" or not report.passed:
            self.outcomes[report.outcome] += 1
        if report.skipped:
            self.skipped.add(report.nodeid.rsplit("::", 1)[1])

    @property
    def complete(self) -> bool:
        allowed = Counter(passed=_EXPECTED - len(_IMPOSSIBLE), skipped=len(_IMPOSSIBLE))
        return self.outcomes == +allowed and self.skipped == _IMPOSSIBLE


def main() -> int:
    """Run both configurations; return 0 if both are complete, otherwise 1."""
    incomplete = False
    for name, file in _CONFIGURATIONS.items():
        count = Count()
        pytest.main(["-q", "--no-header", "--benchmark-disable", str(_HERE / "langchain" / file)], plugins=[count])
        incomplete |= not count.complete
        names = ("passed", "failed", "skipped", "xfailed or xpassed")
        outcomes = ", ".join(f"{count.outcomes[outcome]} {outcome}" for outcome in names)
        sys.stdout.write(f"standard suites, {name}: {outcomes} of {_EXPECTED}\n")
        for test in sorted(count.skipped):
            sys.stdout.write(f"  skipped: {test}\n")
    return int(incomplete)


if __name__ == "__main__":
    sys.exit(main())
