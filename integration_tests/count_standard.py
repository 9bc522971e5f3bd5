"""Run LangChain's standard suites in each configuration and count: ``python -m integration_tests.count_standard``.

Pytest exits with 0 if a test was skipped, deselected or never collected; this script fails then.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from integration_tests.langchain.needs_judgement import NEEDS_JUDGEMENT

_HERE = Path(__file__).parent
_IMPOSSIBLE = {"test_structured_output_pydantic_2_v1"} if sys.version_info >= (3, 14) else set[str]()
# What a model of text in this process has no use for: keys, recordings, media.
_TEXT_ONLY = {
    "test_init_from_env", "test_stream_time", "test_pdf_inputs", "test_audio_inputs", "test_image_inputs",
    "test_image_tool_message", "test_pdf_tool_message", "test_anthropic_inputs",
}  # fmt: skip


@dataclass(frozen=True)
class Configuration:
    """Tests of one module, and which of them may be skipped.

    Attributes:
        name: What is tested.
        file: The module.
        tests: How many there are.
        judged: Those that need a model's judgement, and are skipped, by name.
        skipped: The others that may be skipped, by name.
        repeated: How often a test runs; once, if it is not named.
    """

    name: str
    file: str
    tests: int = 68  # 10 chat unit, 50 chat integration, 3 embedding unit and 5 embedding integration tests
    judged: frozenset[str] = frozenset()
    skipped: frozenset[str] = frozenset(_IMPOSSIBLE)
    repeated: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def expected(self) -> Counter[str]:
        """Return how many tests have which outcome."""
        skipped = sum(self.repeated.get(name, 1) for name in self.judged | self.skipped)
        return +Counter(passed=self.tests - skipped, skipped=skipped)


CONFIGURATIONS = (
    Configuration("the primary answers", "test_standard.py"),
    Configuration("the primary answers 503, the fallback answers", "test_standard_primary_down.py"),
    Configuration(
        "a tiny model in this process",
        "test_standard_mlx.py",
        tests=60,  # of chat models
        judged=frozenset(NEEDS_JUDGEMENT),
        skipped=frozenset(_IMPOSSIBLE | _TEXT_ONLY),
        repeated={"test_tool_calling": 2, "test_agent_loop": 2},
    ),
)


class Count:
    """Pytest plugin that counts the outcomes of the tests of a configuration."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self.outcomes: Counter[str] = Counter()
        self.skipped: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if hasattr(report, "wasxfail"):
            self.outcomes["xfailed or xpassed"] += 1
        elif report.when == "call" or not report.passed:
            self.outcomes[report.outcome] += 1
        if report.skipped:
            self.skipped.add(report.nodeid.rsplit("::", 1)[1].partition("[")[0])

    @property
    def complete(self) -> bool:
        wanted = self._configuration
        return self.outcomes == wanted.expected and self.skipped == wanted.judged | wanted.skipped


def main() -> int:
    """Run each configuration; return 0 if all are complete, otherwise 1."""
    incomplete = False
    for configuration in CONFIGURATIONS:
        count = Count(configuration)
        file = str(_HERE / "langchain" / configuration.file)
        pytest.main(["-q", "--no-header", "--benchmark-disable", file], plugins=[count])
        incomplete |= not count.complete
        names = ("passed", "failed", "skipped", "xfailed or xpassed")
        outcomes = ", ".join(f"{count.outcomes[outcome]} {outcome}" for outcome in names)
        sys.stdout.write(f"standard suites, {configuration.name}: {outcomes} of {configuration.tests}\n")
        for test in sorted(count.skipped):
            reason = (
                f"needs a model's judgement: {NEEDS_JUDGEMENT[test]}" if test in configuration.judged else "skipped"
            )
            sys.stdout.write(f"  {test}: {reason}\n")
    return int(incomplete)


if __name__ == "__main__":
    sys.exit(main())
