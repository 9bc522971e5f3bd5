"""Test harness: runs the suite against one contender in this process and records each result.

``python -m conformance.llama_index.harness my_package.my_module:Mine results.json``; further options are pytest's.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Generator
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import pytest

from conformance.llama_index.contender import Contender

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# Seconds for a test. The longest wait is that between retries: twice ten seconds in LiteLLM.
TEST_TIMEOUT = 45.0


@dataclass
class CaseResult:
    """The result of one test.

    Attributes:
        group: The test's class.
        test: Its name.
        case: Its parameters; empty if it has none.
        reason: Why it failed; None if it passed.
    """

    group: str
    test: str
    case: str
    reason: str | None = None


class ResultRecorder:
    """A pytest plugin that provides the contender and records the results."""

    def __init__(self, contender: Contender) -> None:
        self._contender = contender
        self.results: dict[str, CaseResult] = {}

    @pytest.fixture(scope="session")
    def contender(self) -> Contender:
        """Return the contender."""
        return self._contender

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Record the collected tests as passed."""
        for item in items:
            name, _, case = item.name.partition("[")
            self.results[item.nodeid] = CaseResult(item.nodeid.split("::")[1], name, case.removesuffix("]"))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, object, object]:
        """Fail a test that hangs."""
        if not hasattr(signal, "SIGALRM"):
            return (yield)
        signal.signal(signal.SIGALRM, _raise_timeout)
        signal.setitimer(signal.ITIMER_REAL, TEST_TIMEOUT)
        try:
            return (yield)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record why a test failed; an error in its teardown counts too."""
        if report.failed and self.results[report.nodeid].reason is None:
            self.results[report.nodeid].reason = _first_line(report)


def _raise_timeout(*_: object) -> NoReturn:
    raise TimeoutError(f"the test did not end within {TEST_TIMEOUT:.0f} seconds")


def load(spec: str) -> Contender:
    """Create a contender from the path of its class: ``package.module:Class``.

    Raises:
        TypeError: The class is not a ``Contender``.
    """
    module, _, name = spec.partition(":")
    contender = getattr(import_module(module), name)()
    if not isinstance(contender, Contender):
        raise TypeError(f"{spec} is not a Contender.")
    return contender


def run_suite(contender: Contender, *options: str) -> dict[str, Any]:
    """Run the suite; options are pytest's.

    Raises:
        RuntimeError: pytest did not run the tests.
    """
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    recorder = ResultRecorder(contender)
    # Without this repository's pytest settings. Native tracebacks: pytest's own can fail while threads run, on 3.11.
    settings = f"-q -c {os.devnull} --import-mode=importlib --tb=native -p no:cacheprovider -W ignore".split()
    try:
        exit_code = pytest.main(
            [str(HERE / "suite.py"), "--rootdir", str(ROOT), *settings, *options], plugins=[recorder]
        )
    finally:
        contender.close()
    if exit_code not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
        raise RuntimeError(f"pytest could not run the suite: {exit_code!r}")
    packages = (*contender.packages, "llama-index-core")
    return {
        "name": contender.name,
        "unmet": dict(contender.unmet),
        "versions": {package: version(package) for package in packages},
        "results": [asdict(result) for result in recorder.results.values()],
    }


def _first_line(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    return (crash.message if crash else str(report.longrepr)).partition("\n")[0][:300]


if __name__ == "__main__":
    spec, out, *rest = sys.argv[1:]
    Path(out).write_text(json.dumps(run_suite(load(spec), *rest)), encoding="utf-8")
